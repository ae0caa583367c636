"""Batches of noise carried to images, on a grid or in steps that choose themselves.

From the inside out a batch's denoiser is the network in its precision with its context, guidance,
and what keeps the denoised images within the data's range. A solver sees ``denoise(x_t, t)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from undrift.conditioning import Condition
from undrift.diffusion import Denoise, Prediction
from undrift.errors import UsageError
from undrift.json_types import JsonObject
from undrift.pipelines.diffusion.guide import Guide
from undrift.pipelines.diffusion.learned import Learned
from undrift.pipelines.diffusion.model import DiffusionModel
from undrift.pipelines.diffusion.settings import DiffusionSettings
from undrift.pipelines.diffusion.stepping import AdaptiveSteps, Stepping, stepping_of
from undrift.pipelines.whole_number import within
from undrift.sampling import (
    AfterStep,
    AnalyticFirstStep,
    BoundDenoise,
    CountedDenoiser,
    ImageNoise,
    OnStep,
    integrate,
    integrate_adaptive,
)
from undrift.sampling.thresholding import DataRange, Threshold

Limit = Callable[[Denoise], Denoise]
"""Puts a denoiser's images within the range of the data."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A batch that is finished.

    Attributes:
        x: the images, in the model's space (B, ...).
        evaluations: of the denoiser, that each image needed, (B,) int64; None where the grid says.
        evaluated: evaluations of the whole batch, where each image needs its own number.
    """

    x: Tensor
    evaluations: Tensor | None = None
    evaluated: int = 0

    def nfe_by_image(self, forwards: int) -> list[np.ndarray]:
        """Network forwards that each image needed, (B,) float64; of a grid nothing: [].

        Args:
            forwards: network forwards of the batch, each image counted, which guidance doubles.
        """
        if self.evaluations is None:
            return []
        return [self.evaluations.numpy() * (forwards / (self.evaluated * len(self.x)))]


@dataclass(frozen=True, eq=False)
class Drawing:
    """How the batches of one request are drawn: settings with every default filled in.

    Attributes:
        model: draws.
        stepping: the sampler and its steps.
        guide: guidance.
        precision: of the network's matrix products.
        threshold: what keeps denoised images in the data's range.
    """

    model: DiffusionModel
    stepping: Stepping
    guide: Guide
    precision: str
    threshold: Threshold | None = None

    @classmethod
    def of(cls, model: DiffusionModel, settings: DiffusionSettings, learned: Learned) -> Drawing:
        """Fill in the spec's defaults.

        Raises:
            UsageError: for a value that cannot be used, or two that exclude each other.
        """
        threshold, guide = settings.threshold, Guide.of(model, settings)
        return cls(
            model,
            stepping_of(settings, model.spec, guide.scale, learned),
            guide,
            settings.precision,
            None if threshold is None else Threshold.parse(threshold),
        )

    def recorded(self, trajectory: int) -> int:
        """Of how many images the trajectory is recorded.

        Raises:
            UsageError: for a number below 0, or a sampler whose images have steps of their own.
        """
        if within("trajectory", trajectory, 0) and isinstance(self.stepping, AdaptiveSteps):
            raise UsageError(
                f"trajectory with sampler {self.stepping.sampler!r}, where each image has steps of "
                "its own: name another sampler, or leave trajectory out"
            )
        return trajectory

    def times(self) -> Tensor:
        """The grid, of which an adaptive sampler takes the beginning alone."""
        return self.stepping.times(self.model.denoiser)

    def limit(self) -> Limit | None:
        """The threshold with the range that bytes have in the codec's space.

        Raises:
            UsageError: for a codec whose space is not one of pixels.
        """
        if self.threshold is None:
            return None
        channels = self.model.spec.image_shape[0]
        return partial(self.threshold.around, data=DataRange.of_codec(self.model.codec, channels))

    def bind(
        self,
        denoiser: CountedDenoiser,
        condition: Condition,
        rows: range,
        limit: Limit | None = None,
    ) -> BoundDenoise:
        """``denoise(x_t, t)`` of some images under their condition, encoded once.

        Args:
            denoiser: of the model.
            condition: of the images.
            rows: their numbers.
            limit: see `limit`.
        """
        guided, context = self.guide.around(denoiser, self.model, condition, rows)
        if limit is not None:
            guided = limit(guided)
        low = self.precision == "bfloat16"

        def denoise(x_t: Tensor, t: Tensor) -> Prediction:
            with torch.autocast(x_t.device.type, torch.bfloat16, enabled=low):
                return guided(x_t, t, context)

        return denoise

    def carry(
        self,
        times: Tensor,
        denoise: BoundDenoise,
        noise: ImageNoise,
        after_step: AfterStep | None,
        on_progress: OnStep | None,
        start: Callable[[Tensor], Tensor] | None = None,
    ) -> Drawn:
        """Carry the images that ``noise`` belongs to along ``times``, from noise by default.

        Args:
            times: the grid.
            denoise: the batch's denoiser.
            noise: of its images.
            after_step: see `undrift.sampling.integrate`.
            on_progress: called after every step.
            start: from standard normal noise to the states to begin with.

        Raises:
            DivergedError: for a model whose numbers are not finite, where the steps depend on them.
            UsageError: for an image that takes too many evaluations.
        """
        schedule, model = self.model.denoiser.schedule, self.model
        drawn = noise.initial(model.latent_shape)
        x = drawn * schedule(times[0]).sigma if start is None else start(drawn)
        x = x.to(model.device).contiguous(memory_format=model.memory_format)
        if isinstance(self.stepping, AdaptiveSteps):
            result = integrate_adaptive(
                denoise,
                x,
                schedule,
                method=self.stepping.sampler,
                rtol=self.stepping.tolerance,
                atol=self.stepping.tolerance,
                start=float(times[0]),
                sigma_min=self.stepping.sigma_min,
                on_progress=on_progress,
            )
            return Drawn(result.x, result.evaluations, result.forwards)
        if self.stepping.analytic_first_step:
            denoise = AnalyticFirstStep(denoise, schedule, times[0], std=model.codec.sigma_data)
        return Drawn(
            integrate(
                denoise,
                x,
                times,
                self.stepping.solver,
                schedule=schedule,
                noise=noise,
                after_step=after_step,
                on_progress=on_progress,
            )
        )

    def settings(self) -> JsonObject:
        """What repeats it, as plain data; what is off is left out."""
        return {
            **self.stepping.settings(),
            **self.guide.settings(),
            **({} if self.threshold is None else {"threshold": str(self.threshold)}),
            "precision": self.precision,
        }
