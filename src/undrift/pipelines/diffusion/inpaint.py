"""Inpainting by a diffusion model that was never trained for it.

By the methods of `undrift.sampling.inverse`: ``moments`` and the rules of `PosteriorDenoiser`
correct the denoised image by the known pixels, ``repaint`` puts these back at every noise level and
repeats levels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.codec.affine import Affine
from undrift.conditioning import Condition
from undrift.diffusion import Prediction
from undrift.errors import UsageError
from undrift.pipelines.diffusion.draw import Drawing
from undrift.pipelines.diffusion.model import DiffusionModel
from undrift.pipelines.diffusion.settings import (
    DiffusionEditing,
    DiffusionInpainting,
    DiffusionSettings,
)
from undrift.pipelines.masked import MaskedImages
from undrift.pipelines.progress import OnProgress, step_progress
from undrift.pipelines.request import Request
from undrift.pipelines.samples import Samples
from undrift.pipelines.spec import SampleSpec
from undrift.pipelines.whole_number import MOST_STEPS, within
from undrift.sampling import (
    AfterStep,
    BoundDenoise,
    CountedDenoiser,
    ImageNoise,
    adaptive_name,
)
from undrift.sampling.inverse import (
    Mask,
    Measurement,
    MomentMatched,
    PosteriorDenoiser,
    RePaint,
    Rule,
    time_travel,
)
from undrift.sampling.learned import Tabled
from undrift.sampling.thresholding import DataRange

SAMPLER = "ddpm"
"""New noise at every step lets masked pixels follow the known ones: best on the digits."""

LONGER = 2
"""Steps by default, in those of the model's own sampling."""


def inpaint(
    model: DiffusionModel,
    masked: MaskedImages,
    condition: Condition,
    settings: DiffusionInpainting,
    *,
    seed: int,
    batch_size: int,
    on_progress: OnProgress | None,
) -> Samples:
    """See `undrift.pipelines.Pipeline.inpaint`."""
    spec, codec, schedule = model.spec, model.codec, model.denoiser.schedule
    if not isinstance(codec, Affine):
        raise UsageError(f"inpaint: pixels cannot be known in the space of {type(codec).__name__}")
    drawing = drawing_of(model, settings, condition, SAMPLER)
    request = Request(len(masked), seed, 0, batch_size)
    condition = masked.by_result(condition)
    times = _times(drawing, settings)
    limits = DataRange.of_codec(codec, spec.image_shape[0])
    counted = CountedDenoiser(model.denoiser)
    parts: list[NDArray[np.uint8]] = []
    for k, rows in enumerate(request.batches):
        denoise = drawing.bind(counted, condition[rows.start : rows.stop], rows)
        measured = Measurement(
            codec.encode(masked.pixels(rows).to(model.device)), masked.known(rows).to(model.device)
        )
        after_step: AfterStep | None = None
        if settings.method == "repaint":
            after_step = RePaint(measured, schedule)
        else:
            denoise = within_range(_given(denoise, measured, settings.method, codec), limits)

        def preview(x0: Tensor, rows: range = rows) -> NDArray[np.uint8]:
            return masked.inpainted(rows, model.decoded(x0))

        drawn = drawing.carry(
            times,
            denoise,
            ImageNoise(seed, masked.numbers(rows)),
            after_step=after_step,
            on_progress=None
            if on_progress is None
            else step_progress(on_progress, request.batches, k, preview),
        )
        parts.append(preview(drawn.x))
    jump, resample = settings.travel
    repaint = {"jump": jump, "resample": resample} if settings.method == "repaint" else {}
    return Samples(
        images=np.concatenate(parts),
        labels=None if condition.labels is None else condition.labels.numpy(),
        nfe=counted.images / len(masked),
        settings={**drawing.settings(), "method": settings.method, **repaint},
    )


def _given(denoise: BoundDenoise, measured: Measurement, rule: Rule, codec: Affine) -> BoundDenoise:
    """The denoiser given known pixels, by ``rule``."""
    if rule == "moments":
        return MomentMatched(denoise, measured)
    channels = measured.values.shape[1]
    count = (channels * measured.known.flatten(1).sum(1)).clamp(min=1)
    return PosteriorDenoiser(
        denoise,
        Mask(measured.known),
        measured.part(measured.values),
        rule=rule,
        deviation=codec.sigma_data,
        count=count[:, None, None, None],
    )


def _times(drawing: Drawing, settings: DiffusionInpainting) -> Tensor:
    """The grid, with the repeated runs of repaint.

    Raises:
        UsageError: for numbers that are out of range.
    """
    times = drawing.times()
    if settings.method != "repaint":
        return times
    jump, resample = settings.travel
    within("resample", resample, 1, MOST_STEPS // len(times))
    return time_travel(times, jump, resample)


def drawing_of(
    model: DiffusionModel,
    settings: DiffusionInpainting | DiffusionEditing,
    condition: Condition,
    sampler: str,
) -> Drawing:
    """How results are drawn: by ``sampler`` and twice the model's own steps by default.

    Raises:
        UsageError: for guidance without conditions, or a sampler that cannot follow what is known.
    """
    named = settings.grid is None or isinstance(settings.grid, str)
    guidance = settings.guidance
    if not condition:
        if guidance not in (None, 1):
            raise UsageError(
                f"guidance {guidance}: there is nothing to guide towards; {_to_give(model.spec)}"
            )
        guidance = 1.0
    if settings.sampler == Tabled.name:
        raise UsageError("sampler 'learned' was learned for whole images: name another")
    if settings.sampler is not None and adaptive_name(settings.sampler) is not None:
        raise UsageError(
            f"sampler {settings.sampler!r} chooses its own steps, and these would follow "
            f"what is inpainted: name one that takes steps, such as {SAMPLER}"
        )
    chosen = DiffusionSettings(
        guidance=guidance,
        sampler=sampler if settings.sampler is None else settings.sampler,
        steps=LONGER * model.spec.steps if settings.steps is None and named else settings.steps,
        grid=settings.grid,
    )
    return Drawing.of(model, chosen, {})


def _to_give(spec: SampleSpec) -> str:
    """What to give, for guidance to lead towards, of what the model takes."""
    kinds = {"labels": spec.class_names, "a prompt": spec.text, "numbers": spec.numbers}
    kinds["maps"] = spec.maps
    taken = [name for name, has in kinds.items() if has]
    if not taken:
        return "leave it out"
    return f"give {' or '.join(filter(None, (', '.join(taken[:-1]), taken[-1])))}"


def within_range(denoise: BoundDenoise, limits: DataRange) -> BoundDenoise:
    """Keep what is expected within the range of bytes, as the mean of images is.

    The slope of a network in the strongest noise is next to chance, and what follows from it may
    lie anywhere.
    """

    def limited(x_t: Tensor, t: Tensor) -> Prediction:
        prediction = denoise(x_t, t)
        low, high = limits.like(prediction.x0)
        return replace(prediction, x0=torch.clamp(prediction.x0, low, high))

    return limited
