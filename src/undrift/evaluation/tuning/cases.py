"""Images to tune a sampler on: their noise, conditions and fine solutions.

They are named by a seed of their own, a hash of the purpose and the seed of the request, so
that no image which a user draws or evaluates has had a part in the tuning.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule
from undrift.evaluation.conditions import Conditions
from undrift.pipelines import DiffusionPipeline
from undrift.pipelines.given import Given
from undrift.pipelines.labels import Labels
from undrift.pipelines.numbers import OutOfRangeWarning
from undrift.randomness import key
from undrift.sampling import BoundDenoise, karras
from undrift.sampling.learned import Cases, Trajectory, trace

FINE = 200
"""Evaluations of the fine solution."""

PART = 32
"""Images that are differentiated through together: what bounds the memory."""

_NODES = 48

OnPart = Callable[[int], None]
"""Called with the images that have been solved finely since the last call."""


@dataclass(frozen=True)
class Source:
    """Where cases come from.

    Attributes:
        pipeline: the model.
        guidance: guidance scale.
        seed: of the request.
        conditions: captions and numbers that images are drawn with; None leaves these open.
    """

    pipeline: DiffusionPipeline
    guidance: float
    seed: int
    conditions: Conditions | None = None

    @property
    def schedule(self) -> NoiseSchedule:
        """The model's path."""
        return self.pipeline.denoiser.schedule

    @property
    def spread(self) -> float:
        """Standard deviation of the data in the model's space."""
        return self.pipeline.denoiser.parameterization.sigma_data

    def bound(self, rows: range, labels: Labels = None) -> tuple[BoundDenoise, Tensor]:
        """Denoiser and noise of some images."""
        seed = key("tune sampler", self.seed)
        given: Given = (
            {} if self.conditions is None else self.conditions.arguments(rows.start, len(rows))
        )
        if labels is not None:
            given["labels"] = labels
        with warnings.catch_warnings(action="ignore", category=OutOfRangeWarning):
            return self.pipeline.bound(rows, seed=seed, guidance=self.guidance, **given)

    def times(self) -> Tensor:
        """The fine grid: Karras et al.'s, down to where the pipeline's own goes."""
        return karras(self.schedule, FINE, sigma_min=self.pipeline.spec.sigma_min)


def draw_cases(source: Source, rows: range, on_part: OnPart | None = None) -> list[Cases]:
    """Solve the images ``rows`` finely.

    Args:
        source: the model.
        rows: numbers of the images.
        on_part: called after each part; to cancel, raise.
    """
    times = source.times()
    keep = kept_nodes(source.schedule, times)
    made = []
    for start in range(rows.start, rows.stop, PART):
        part = range(start, min(start + PART, rows.stop))
        denoise, noise = source.bound(part)
        with torch.no_grad():
            x = noise * source.schedule(times[0]).sigma
            path = trace(denoise, x, source.schedule, times, keep)
        made.append(Cases(denoise, path))
        if on_part is not None:
            on_part(len(part))
    return made


def few_of(source: Source, rows: range, cases: list[Cases], count: int) -> list[Cases]:
    """The first ``count`` of the images ``rows``, whose cases are known, as one small part."""
    denoise, _ = source.bound(rows[:count])
    path = Trajectory.joined([one.path for one in cases])
    return [
        Cases(denoise, Trajectory(path.times, path.states[:, :count], path.denoised[:, :count]))
    ]


def kept_nodes(schedule: NoiseSchedule, times: Tensor) -> list[int]:
    """Nodes of the fine grid about evenly spaced in the log-SNR, the ends among them."""
    log_snr = schedule(times[:-1]).log_snr
    inner = torch.arange(1, len(times) - 1)
    low, high = log_snr[inner[0]], log_snr[inner[-1]]
    wanted = torch.linspace(0, 1, _NODES, dtype=torch.float64) * (high - low) + low
    nearest = (log_snr[inner][None, :] - wanted[:, None]).abs().argmin(1)
    return sorted({0, *inner[nearest].tolist(), len(times) - 2, len(times) - 1})
