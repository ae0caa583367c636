r"""The log-density of the probability-flow ODE.

Definition: with ``u = x / alpha`` and ``r = sigma / alpha`` every path is the ODE

    du / d ln r = u - D(u, r),                                                                   (1)

where ``D`` estimates ``E[x_0 | x_t]``. It is solved in ``y = u / S`` with ``S^2 = s^2 + r^2``, the
standard deviation of ``u`` if the data has deviation ``s`` per element:

    dy / d ln r = (s^2 / S^2 u - D) / S =: g,          div g = d s^2 / S^2 - tr dD/du,           (2)

which stands still for isotropic Gaussian data: what is integrated is only what is not Gaussian. By
the instantaneous change of variables ``d log p(y) / d ln r = - div g``, hence

    log p(u at r_min) = log N(y_T; 0, I) - d ln S_min + int div g d ln r,                        (3)

from ``r_min`` to ``r_max``, where ``p(y_T) = N(0, I)`` is the model's prior. (3) is a normalised
density, of the data with noise ``r_min`` and not of the data itself; dequantization.py and
importance.py turn it into a bound on the probability of a discrete image.

Symbols: ``d`` number of dimensions. Four evaluations per step of RK4: 64 points are 252.

References: Song et al. 2021, appendix D.2; Chen et al. 2018 (instantaneous change of variables);
Zheng et al. 2023 (the standardised variable).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule
from undrift.errors import DivergedError
from undrift.likelihood.span import Span
from undrift.likelihood.trace import Trace
from undrift.sampling import BoundDenoise

OdeSolver = Literal["rk4", "dopri5"]


@dataclass(frozen=True)
class FlowDensity:
    """What (3) came to.

    Attributes:
        log_p: log-density in the model's space (B,), float64, in nats.
        evaluations: of the denoiser per image.
    """

    log_p: Tensor
    evaluations: int


def flow_log_density(
    denoise: BoundDenoise,
    z: Tensor,
    *,
    schedule: NoiseSchedule,
    span: Span,
    std: float,
    trace: Trace,
    points: int = 64,
    solver: OdeSolver = "rk4",
    tolerance: float = 1e-5,
    dtype: torch.dtype = torch.float32,
) -> FlowDensity:
    """Return the log-density (3) at ``z``.

    Args:
        denoise: of the model, without guidance: a guided one has no likelihood.
        z: numbers in the model's space (B, ...), at the noise of ``span.high``.
        schedule: the path of ``denoise``.
        span: where the integral begins and ends.
        std: s of (2), the data's standard deviation.
        trace: how the divergence is taken.
        points: of RK4, evenly in log-SNR, both ends included; at least 2.
        solver: rk4 on these points, or dopri5 with step control.
        tolerance: of dopri5, relative and absolute; a batch shares its steps.
        dtype: of the denoiser's passes; the solution itself is float64.

    Raises:
        DivergedError: if the model gives numbers that are not finite.
    """
    slopes = _Slopes(denoise, schedule, std, trace, dtype, z[0].numel())
    # ln r = -lambda / 2 rises from data to noise.
    first, last = -span.high / 2, -span.low / 2
    start = z.double() / _deviation(first, std)
    begin = torch.zeros(len(z), dtype=torch.float64, device=z.device)
    with torch.autocast(z.device.type, enabled=False):
        if solver == "rk4":
            y, integral = _rk4(slopes, start, begin, first, last, points)
        else:
            y, integral = _dopri5(slopes, start, begin, first, last, tolerance)
    d = z[0].numel()
    prior = -(y.square().flatten(1).sum(1) + d * math.log(2 * math.pi)) / 2
    log_p = prior - d * math.log(_deviation(first, std)) + integral  # (3)
    if not bool(log_p.isfinite().all()):
        raise DivergedError(
            "the probability-flow ODE left the finite numbers; try more points, or other weights"
        )
    return FlowDensity(log_p, slopes.evaluations)


class _Slopes:
    """The right-hand side (2): of y, and of the integral of its divergence."""

    def __init__(
        self,
        denoise: BoundDenoise,
        schedule: NoiseSchedule,
        std: float,
        trace: Trace,
        dtype: torch.dtype,
        dimensions: int,
    ) -> None:
        self._denoise = denoise
        self._schedule = schedule
        self._std = std
        self._trace = trace
        self._dtype = dtype
        self._dimensions = dimensions
        self.evaluations = 0

    def __call__(self, log_r: float, y: Tensor) -> tuple[Tensor, Tensor]:
        self.evaluations += 1
        deviation = _deviation(log_r, self._std)
        t = self._schedule.time_at(torch.tensor(-2 * log_r, dtype=torch.float64, device="cpu"))
        alpha = float(self._schedule(t).alpha)
        u = deviation * y

        def denoised(point: Tensor) -> Tensor:
            return self._denoise(alpha * point, t.to(point.device)).x0

        x0, divergence = self._trace(denoised, u.to(self._dtype))
        kept = self._std**2 / deviation**2
        slope = (kept * u - x0.double()) / deviation  # (2)
        return slope, self._dimensions * kept - divergence  # (2)


def _deviation(log_r: float, std: float) -> float:
    return math.sqrt(std**2 + math.exp(2 * log_r))


def _rk4(
    slopes: _Slopes, y: Tensor, integral: Tensor, first: float, last: float, points: int
) -> tuple[Tensor, Tensor]:
    """Runge-Kutta of order 4; the integral is Simpson's rule on the same evaluations."""
    h = (last - first) / (points - 1)
    for step in range(points - 1):
        at = first + step * h
        k1, d1 = slopes(at, y)
        k2, d2 = slopes(at + h / 2, y + h / 2 * k1)
        k3, d3 = slopes(at + h / 2, y + h / 2 * k2)
        k4, d4 = slopes(at + h, y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        integral = integral + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
    return y, integral


def _dopri5(
    slopes: _Slopes, y: Tensor, integral: Tensor, first: float, last: float, tolerance: float
) -> tuple[Tensor, Tensor]:
    from torchdiffeq import odeint

    def right(at: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return slopes(float(at), state[0])

    def worst(error: tuple[Tensor, Tensor]) -> Tensor:
        # the largest over images of each image's own norm: none is helped by its batch-mates
        parts = [part.reshape(len(y), -1).square().mean(1).sqrt() for part in error]
        return torch.stack(parts).max()

    found = cast(
        Any,
        odeint(
            cast(Callable[..., Any], right),
            (y, integral),
            torch.tensor([first, last], dtype=torch.float64, device=y.device),
            rtol=tolerance,
            atol=tolerance,
            method="dopri5",
            options={"norm": worst},
        ),
    )
    return found[0][-1], found[1][-1]
