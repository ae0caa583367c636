"""A fine solution, and what coarse steps along it would get wrong.

The fine solution holds the states ``x_i`` at the nodes and the denoised images ``D_i``. From there
one step of Euler or of DPM-Solver++(2M) (``solvers/dpmpp_2m.py``), which was at node h before, is

    x'_j = (sigma_j / sigma_i) x_i + G (D_i + e (D_i - D_h)),                          (1)
    G    = alpha_j - sigma_j alpha_i / sigma_i

so that its error x'_j - x_j is a sum of stored vectors, and its length a quadratic form of their
inner products. It reaches the image at the rate at which the flow of N(0, c^2) shrinks it,

    c / sqrt(alpha_j^2 c^2 + sigma_j^2)                                                (2)

Symbols: ``e`` = h_j / (2 h_i), ratio of the steps in the half log-SNR; ``c`` standard deviation of
the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.diffusion import Level, NoiseSchedule, Prediction
from undrift.sampling.integrate import integrate
from undrift.sampling.solver import BoundDenoise, Draw
from undrift.sampling.solvers import DPMpp2M


@dataclass(frozen=True, eq=False)
class Trajectory:
    """States of some images from noise to data.

    Attributes:
        times: of the nodes, falling to 0, shape (N + 1,).
        states: x_i, shape (N + 1, B, ...).
        denoised: D_i, shape (N, B, ...).
    """

    times: Tensor
    states: Tensor
    denoised: Tensor

    def at(self, nodes: Sequence[int]) -> Trajectory:
        """The same with some of its nodes, the last one among them."""
        return Trajectory(
            self.times[list(nodes)], self.states[list(nodes)], self.denoised[list(nodes[:-1])]
        )

    @staticmethod
    def joined(parts: Sequence[Trajectory]) -> Trajectory:
        """Several with the same nodes as one, along the images."""
        return Trajectory(
            parts[0].times,
            torch.cat([part.states for part in parts], 1),
            torch.cat([part.denoised for part in parts], 1),
        )


def trace(
    denoise: BoundDenoise, x: Tensor, schedule: NoiseSchedule, times: Tensor, keep: Sequence[int]
) -> Trajectory:
    """Solve finely with DPM-Solver++(2M).

    Args:
        denoise: the denoiser.
        x: states at ``times[0]``, shape (B, ...).
        schedule: the path.
        times: the fine grid, falling to 0.
        keep: which of its nodes to keep, rising, the first and the last among them.
    """
    wanted, node = set(keep), 0
    states, denoised = [x], []

    def after_step(x_s: Tensor, t: Tensor, s: Tensor, prediction: Prediction, draw: Draw) -> Tensor:
        nonlocal node
        if node in wanted:
            denoised.append(prediction.x0)
        node += 1
        if node in wanted:
            states.append(x_s)
        return x_s

    integrate(denoise, x, times, DPMpp2M(), schedule=schedule, after_step=after_step)
    return Trajectory(times[list(keep)], torch.stack(states), torch.stack(denoised))


def reach(level: Level, spread: float) -> Tensor:
    """How much of a change at ``level`` reaches the image, equation (2).

    Args:
        level: one or several.
        spread: c, standard deviation of the data.
    """
    return spread / torch.sqrt(level.alpha**2 * spread**2 + level.sigma**2)  # (2)


def step_costs(path: Trajectory, schedule: NoiseSchedule, spread: float) -> Tensor:
    """Mean error over images of every step of equation (1), weighted by (2).

    Args:
        path: the fine solution.
        schedule: its path.
        spread: c, standard deviation of the data.

    Returns:
        Root mean squares by (h, i, j), float64 (N + 1, N + 1, N + 1), as `shortest_path` reads
        them; NaN where there is no such step.
    """
    level = schedule(path.times)
    last = len(path.denoised)
    inner = _inner_products(path)
    own = inner[:, last + 1 :, last + 1 :]
    apart = own.diagonal(dim1=1, dim2=2)
    half, rate = level.log_snr[:-1] / 2, reach(level, spread)
    cost = torch.full((last + 1,) * 3, torch.nan, dtype=torch.float64, device="cpu")
    for i in range(last):
        before = slice(0, max(i, 1))
        # |D_i - D_h|^2 by image and h
        turn = apart[:, i, None] - 2 * own[:, i, before] + apart[:, before]
        for j in range(i + 1, last + 1):
            shrink = level.sigma[j] / level.sigma[i]
            gain = level.alpha[j] - shrink * level.alpha[i]
            missed = -inner[:, j] + shrink * inner[:, i] + gain * inner[:, last + 1 + i]
            square = -missed[:, j] + shrink * missed[:, i] + gain * missed[:, last + 1 + i]
            e = torch.zeros(max(i, 1), dtype=torch.float64, device="cpu")
            if 0 < i and j < last:  # the last step is Euler's, like the first
                e = (half[j] - half[i]) / (2 * (half[i] - half[before]))
            along = missed[:, last + 1 + i, None] - missed[:, last + 1 :][:, before]
            squares = square[:, None] + 2 * gain * e * along + (gain * e) ** 2 * turn  # (1)
            cost[before, i, j] = rate[j] * squares.clamp_min(0).sqrt().mean(0)
    return cost


def _inner_products(path: Trajectory) -> Tensor:
    """Mean products of states and denoised images with each other, float64 (B, V, V)."""
    found = []
    for b in range(path.states.shape[1]):
        rows = torch.cat([path.states[:, b], path.denoised[:, b]]).flatten(1)
        rows = rows.to("cpu", torch.float64)
        found.append(rows @ rows.T / rows.shape[1])
    return torch.stack(found)
