"""Cases to learn from with nothing trained: the exact denoiser of a mixture on small images."""

from __future__ import annotations

import torch
from torch import Tensor

from undrift.diffusion import GaussianMixture, MixtureDenoiser, NoiseSchedule
from undrift.randomness import generator
from undrift.sampling import karras
from undrift.sampling.learned import Cases, Trajectory, trace

SHAPE = (1, 3, 3)
SPREAD = 1.0
FINE = 120
NODES = (0, *range(6, 118, 3), 119, 120)


def mixture() -> GaussianMixture:
    means = torch.randn(6, *SHAPE, generator=generator(0, "means"), dtype=torch.float64)
    return GaussianMixture(means, [0.1, 0.15, 0.2, 0.25, 0.3, 0.35])


def noise(rows: range) -> Tensor:
    return torch.stack(
        [torch.randn(SHAPE, generator=generator(1, i), dtype=torch.float64) for i in rows]
    )


def cases(schedule: NoiseSchedule, rows: range, part: int = 16) -> list[Cases]:
    denoise = MixtureDenoiser(mixture(), schedule)
    times = karras(schedule, FINE, sigma_min=0.01)
    sigma = schedule(times[0]).sigma
    starts = range(rows.start, rows.stop, part)
    return [
        Cases(
            denoise,
            trace(
                denoise,
                noise(range(first, min(first + part, rows.stop))) * sigma,
                schedule,
                times,
                NODES,
            ),
        )
        for first in starts
    ]


def joined(some: list[Cases]) -> Trajectory:
    return Trajectory.joined([one.path for one in some])
