"""Batches of noise carried to data, on a grid or in steps that choose themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule
from undrift.pipelines.stepping import AdaptiveSteps, Stepping
from undrift.sampling import (
    AfterStep,
    AnalyticFirstStep,
    BoundDenoise,
    ImageNoise,
    OnStep,
    integrate,
    integrate_adaptive,
)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A batch that is finished.

    Attributes:
        x: the images, in the model's space (B, ...).
        evaluations: of the denoiser, that each image needed, (B,) int64; None where the grid says.
        asked: evaluations of the whole batch, where each image needs its own number.
    """

    x: Tensor
    evaluations: Tensor | None = None
    asked: int = 0

    def nfe_by_image(self, forwards: int) -> list[np.ndarray]:
        """Network forwards that each image needed, (B,) float64; of a grid nothing: [].

        Args:
            forwards: network forwards of the batch, each image counted, which guidance doubles.
        """
        if self.evaluations is None:
            return []
        return [self.evaluations.numpy() * (forwards / (self.asked * len(self.x)))]


@dataclass(frozen=True, eq=False)
class Drawing:
    """One way to draw, made ready for a model; used batch by batch.

    Attributes:
        stepping: the sampler and its steps.
        schedule: the path.
        times: the grid, of which an adaptive sampler takes the beginning alone.
        sigma_data: standard deviation of the data in the model's space.
        shape: of one image there.
        device: where to draw.
        memory_format: of the states.
    """

    stepping: Stepping
    schedule: NoiseSchedule
    times: Tensor
    sigma_data: float
    shape: tuple[int, ...]
    device: torch.device
    memory_format: torch.memory_format

    def __call__(
        self,
        denoise: BoundDenoise,
        noise: ImageNoise,
        after_step: AfterStep | None,
        on_progress: OnStep | None,
    ) -> Drawn:
        """Draw the images that ``noise`` belongs to.

        Raises:
            DivergedError: for a model whose numbers are not finite, where the steps depend on them.
            UsageError: for an image that takes too many evaluations.
        """
        x = noise.initial(self.shape) * self.schedule(self.times[0]).sigma
        x = x.to(self.device).contiguous(memory_format=self.memory_format)
        if isinstance(self.stepping, AdaptiveSteps):
            return self._adaptive(self.stepping, denoise, x, on_progress)
        if self.stepping.analytic_first_step:
            first = self.times[0]
            denoise = AnalyticFirstStep(denoise, self.schedule, first, std=self.sigma_data)
        return Drawn(
            integrate(
                denoise,
                x,
                self.times,
                self.stepping.solver,
                schedule=self.schedule,
                noise=noise,
                after_step=after_step,
                on_progress=on_progress,
            )
        )

    def _adaptive(
        self, steps: AdaptiveSteps, denoise: BoundDenoise, x: Tensor, on_progress: OnStep | None
    ) -> Drawn:
        result = integrate_adaptive(
            denoise,
            x,
            self.schedule,
            method=steps.sampler,
            rtol=steps.tolerance,
            atol=steps.tolerance,
            start=float(self.times[0]),
            sigma_min=steps.sigma_min,
            on_progress=on_progress,
        )
        return Drawn(result.x, result.evaluations, result.forwards)
