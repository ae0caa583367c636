"""Inpainting by a diffusion model that was never trained for it.

Two ways, both from `undrift.sampling.inverse`: ``moments`` asks a denoiser that has heard of the
known pixels, ``repaint`` puts them back at every noise level and walks levels again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.codec.affine import Affine
from undrift.diffusion import Prediction
from undrift.errors import UsageError
from undrift.pipelines.call import Call, Method
from undrift.pipelines.drawing import Drawing
from undrift.pipelines.holes import Holes
from undrift.pipelines.labels import Labels, resolve_labels
from undrift.pipelines.progress import OnProgress, telling
from undrift.pipelines.request import Request
from undrift.pipelines.samples import Samples
from undrift.pipelines.whole_number import MOST_STEPS, within
from undrift.sampling import (
    AfterStep,
    BoundDenoise,
    CountedDenoiser,
    ImageNoise,
    adaptive_name,
)
from undrift.sampling.inverse import Measurement, MomentMatched, RePaint, time_travel
from undrift.sampling.learned import Tabled
from undrift.sampling.thresholding import DataRange

if TYPE_CHECKING:
    from undrift.pipelines.diffusion import DiffusionPipeline

SAMPLER = "ddpm"
"""New noise at every step lets hidden pixels follow the known ones: on the digits it fills best."""

LONGER = 2
"""Steps unless told otherwise, in those of the model's own sampling."""

RESAMPLE, JUMP = 5, 1
"""Of repaint: with the few steps of today's grids short jumps settle soonest."""


@dataclass(frozen=True)
class Painting:
    """How a diffusion model paints, as it was asked for; None is the default.

    Attributes:
        method: ``"moments"`` or ``"repaint"``.
        resample: of repaint: how often each run of steps is walked.
        jump: of repaint: the steps of a run.
    """

    method: Method = "moments"
    resample: int | None = None
    jump: int | None = None

    def times(self, times: Tensor) -> Tensor:
        """The grid as it is walked.

        Raises:
            UsageError: for numbers that are out of range, or that the method does not have.
        """
        if self.method == "repaint":
            jump, resample = self._travel
            within("resample", resample, 1, MOST_STEPS // len(times))
            return time_travel(times, jump, resample)
        for name in ("resample", "jump"):
            if (value := getattr(self, name)) is not None:
                raise UsageError(f"{name} {value!r} with method 'moments': only repaint has it")
        return times

    def settings(self) -> dict[str, object]:
        """What repeats it, as plain data."""
        if self.method == "moments":
            return {"method": self.method}
        jump, resample = self._travel
        return {"method": self.method, "resample": resample, "jump": jump}

    @property
    def _travel(self) -> tuple[int, int]:
        jump = JUMP if self.jump is None else self.jump
        return jump, RESAMPLE if self.resample is None else self.resample


def inpaint(
    pipeline: DiffusionPipeline,
    images: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    call: Call,
    painting: Painting,
    variants: int,
    labels: Labels,
    on_progress: OnProgress | None,
) -> Samples:
    """See `DiffusionPipeline.inpaint`; ``call.n`` is not looked at."""
    began = time.perf_counter()
    spec, codec, schedule = pipeline.spec, pipeline.codec, pipeline.denoiser.schedule
    holes = Holes.checked(images, mask, variants, call.first, call.seed, spec)
    if not isinstance(codec, Affine):
        raise UsageError(f"inpaint: pixels cannot be known in the space of {type(codec).__name__}")
    request = _request(pipeline, call, len(holes), labels)
    classes = None
    if labels is not None:
        of_images = resolve_labels(labels, len(images), request.seed, spec, holes.first)
        classes = None if of_images is None else holes.by_fill(of_images)
    times = painting.times(request.stepping.times(pipeline.denoiser))
    binding = pipeline.binding(request)
    drawing = Drawing(
        request.stepping,
        schedule,
        times,
        codec.sigma_data,
        spec.shape,
        pipeline.device,
        pipeline.memory_format,
    )
    limits = DataRange.of_codec(codec, spec.shape[0])
    counted = CountedDenoiser(pipeline.denoiser)
    parts: list[NDArray[np.uint8]] = []
    for k, rows in enumerate(request.batches):
        chosen = None if classes is None else classes[rows.start : rows.stop]
        denoise = binding(counted, chosen, len(rows))
        measured = Measurement(
            codec.encode(holes.pixels(rows).to(pipeline.device)),
            holes.known(rows).to(pipeline.device),
        )
        after_step: AfterStep | None = None
        if painting.method == "repaint":
            after_step = RePaint(measured, schedule)
        else:
            denoise = _within(MomentMatched(denoise, measured), limits)

        def look(x0: Tensor, rows: range = rows) -> NDArray[np.uint8]:
            return holes.filled(rows, pipeline.look(x0))

        drawn = drawing(
            denoise,
            ImageNoise(request.seed, holes.numbers(rows)),
            after_step=after_step,
            on_progress=None
            if on_progress is None
            else telling(on_progress, request.batches, k, look),
        )
        parts.append(look(drawn.x))
    return Samples(
        images=np.concatenate(parts),
        labels=classes,
        class_names=spec.class_names,
        nfe=counted.images / len(holes),
        seconds=time.perf_counter() - began,
        settings=request.settings(labels)
        | {"n": len(images), "first": holes.first, "variants": holes.variants}
        | painting.settings(),
    )


def _request(pipeline: DiffusionPipeline, call: Call, fills: int, labels: Labels) -> Request:
    """The request for so many fills, their number taken for that of images."""
    spec = pipeline.spec
    named = call.grid is None or isinstance(call.grid, str)
    guidance = call.guidance
    if labels is None:
        if guidance not in (None, 1):
            raise UsageError(f"guidance {guidance}: it needs labels to guide towards; give labels")
        guidance = 1.0
    if call.sampler == Tabled.name:
        raise UsageError("sampler 'learned' was learned for whole images: name another")
    if call.sampler is not None and adaptive_name(call.sampler) is not None:
        raise UsageError(
            f"sampler {call.sampler!r} chooses its own steps, and these would follow the paint: "
            f"name one that takes steps, such as {SAMPLER}"
        )
    call = replace(
        call,
        n=fills,
        first=0,
        guidance=guidance,
        sampler=SAMPLER if call.sampler is None else call.sampler,
        steps=LONGER * spec.steps if call.steps is None and named else call.steps,
    )
    return Request.checked(call, spec, pipeline.device, {})


def _within(denoise: BoundDenoise, limits: DataRange) -> Callable[[Tensor, Tensor], Prediction]:
    """Keep what is expected within the range of bytes, as the mean of images is.

    The slope of a network in the strongest noise is next to chance, and what follows from it may
    lie anywhere.
    """

    def limited(x_t: Tensor, t: Tensor) -> Prediction:
        prediction = denoise(x_t, t)
        low, high = limits.like(prediction.x0)
        return replace(prediction, x0=torch.clamp(prediction.x0, low, high))

    return limited
