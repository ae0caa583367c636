"""Coefficients by least squares: each step lands as near as it can to the fine solution.

On a grid whose states x*_k are known, the coefficients of step k (``learned/table.py``) follow from
the sampler's own denoised images so far:

    min_c  mean |x*_{k+1} - (sigma_{k+1} / sigma_k) x_k - sum_j c_j D_j|^2
           + ridge mean |sum_j (c_j - c^0_j) D_j|^2                                    (1)

a small linear system, solved step after step for the cost of one pass. Symbols: ``c^0`` the
coefficients of a classical rule, which a larger ridge keeps to.

Reference: Frankel et al. 2025, "S4S: Solving for a Diffusion Model Solver", coefficients of one
step; they fit them by gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule, Prediction
from undrift.sampling.learned.table import Table
from undrift.sampling.learned.tabled import follow
from undrift.sampling.learned.trajectory import Trajectory
from undrift.sampling.solver import BoundDenoise

_RIDGE = 1e-3
_FLOOR = 1e-6  # of the mean square: below it, denoised images are taken for equal


@dataclass(frozen=True, eq=False)
class Cases:
    """Some images to learn from, drawn together.

    Attributes:
        denoise: the denoiser with their conditions.
        path: their fine solution.
    """

    denoise: BoundDenoise
    path: Trajectory

    @property
    def start(self) -> Tensor:
        """Their noise, at the first time, (B, ...)."""
        return self.path.states[0]

    @property
    def target(self) -> Tensor:
        """What it becomes, (B, ...)."""
        return self.path.states[-1]


def regress(cases: Sequence[Cases], table: Table, schedule: NoiseSchedule) -> Table:
    """The table with other coefficients, by equation (1).

    Args:
        cases: images whose fine solutions have exactly the table's times as nodes.
        table: its times and c^0.
        schedule: the path.
    """
    level = schedule(table.times)
    shrink = level.sigma[1:] / level.sigma[:-1]
    states = [one.start for one in cases]
    known: list[list[Tensor]] = [[] for _ in cases]
    coefficients = torch.zeros_like(table.coefficients)
    for k in range(table.steps):
        for one, x, images in zip(cases, states, known, strict=True):
            with torch.no_grad():
                images.append(one.denoise(x, table.model_times[k]).x0)
        gram, pull = _moments(cases, states, known, shrink[k], k)
        size = k + 1
        unit = torch.eye(size, dtype=gram.dtype, device=gram.device)
        weight = _RIDGE * gram + _FLOOR * gram.diagonal().mean() * unit
        classical = table.coefficients[k, :size]
        solved = torch.linalg.solve(gram + weight, pull + weight @ classical)  # (1)
        coefficients[k, :size] = solved
        states = [
            shrink[k] * x + sum(c * x0 for c, x0 in zip(solved, images, strict=True))
            for x, images in zip(states, known, strict=True)
        ]
    return replace(table, coefficients=coefficients)


def denoised_along(
    denoise: BoundDenoise, start: Tensor, table: Table, schedule: NoiseSchedule
) -> Tensor:
    """The denoised images of a table's steps from ``start`` (B, ...), on the CPU, (K, B, ...)."""
    images: list[Tensor] = []

    def recorded(x: Tensor, t: Tensor) -> Prediction:
        prediction = denoise(x, t)
        images.append(prediction.x0.cpu())
        return prediction

    with torch.no_grad():
        follow(recorded, start, table, schedule)
    return torch.stack(images)


def _moments(
    cases: Sequence[Cases],
    states: Sequence[Tensor],
    known: Sequence[Sequence[Tensor]],
    shrink: Tensor,
    k: int,
) -> tuple[Tensor, Tensor]:
    """Mean products of the denoised images with each other, (k + 1, k + 1), and with what lacks."""
    gram = torch.zeros(k + 1, k + 1, dtype=torch.float64, device="cpu")
    pull = torch.zeros(k + 1, dtype=torch.float64, device="cpu")
    values = 0
    for one, x, images in zip(cases, states, known, strict=True):
        stacked = torch.stack(list(images)).flatten(1).to("cpu", torch.float64)
        lacking = (one.path.states[k + 1] - shrink * x).flatten().to("cpu", torch.float64)
        gram += stacked @ stacked.T
        pull += stacked @ lacking
        values += lacking.numel()
    return gram / values, pull / values
