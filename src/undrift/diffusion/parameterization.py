"""What a network predicts, as a value: one affine row per noise level.

Definition: a network ``F`` becomes a denoiser ``D``, the estimate of ``E[x_0 | x_t]``, by

    D(x_t) = c_skip x_t + c_out F(c_in x_t, c_noise),                                            (1)

and the ``F`` that would make ``D`` equal to ``x_0`` is a fixed combination of data and noise,

    target = a x_0 + b eps,       c_out (a x_0 + b eps) = x_0 - c_skip x_t.                      (2)

Symbols: ``alpha, sigma`` of the path (schedule.py), ``s_d`` the standard deviation of the data per
element, ``S^2 = alpha^2 s_d^2 + sigma^2`` the variance of ``x_t``. The rows:

    kind      target (a x_0 + b eps)                     c_skip                     c_out
    epsilon   eps                                        1 / alpha                  -sigma / alpha
    x0        x_0                                        0                          1
    v         alpha eps - sigma x_0                      alpha / (alpha^2+sigma^2)  -sigma / (same)
    flow      eps - x_0                                  1 / (alpha + sigma)        -sigma / (same)
    edm       sigma x_0 / (s_d S) - alpha s_d eps / S    alpha s_d^2 / S^2          sigma s_d / S

and for all of them ``c_in = 1 / S`` (inputs of unit variance) and ``c_noise = -lambda / 8``, which
is EDM's ``ln(sigma) / 4`` on its own path. ``flow`` is the velocity of the rectified path on which
``x_t / (alpha + sigma)`` lies, so it is finite at both ends of every path; on ``Flow`` it is
the plain ``dx_t/dt``. All but ``epsilon`` stay finite at alpha = 0.

References: Ho et al. 2020 (epsilon), Salimans & Ho 2022 (v), Liu et al. 2022 (flow), Karras et al.
2022 equations 7-8 and table 1 (edm, here for any path by way of x / alpha and sigma / alpha).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from undrift.diffusion.schedule import Level
from undrift.errors import UsageError

LOG_SNR_LIMIT = 20.0
"""Nats of log-SNR beyond which networks are neither conditioned nor trained."""


@dataclass(frozen=True)
class Row:
    """The coefficients of (1) and (2) at given levels, each of the levels' shape."""

    c_skip: Tensor
    c_out: Tensor
    target_x0: Tensor
    target_eps: Tensor


@dataclass(frozen=True)
class Parameterization:
    """What a network predicts and how it is scaled.

    Two are equal when they have the same kind and ``sigma_data``.

    Attributes:
        kind: "epsilon", "x0", "v", "flow" or "edm".
        sigma_data: standard deviation of the data per element, positive.
        row: the kind's row of coefficients, as a function of (level, sigma_data).
    """

    kind: str
    sigma_data: float
    row: Callable[[Level, float], Row] = field(repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.sigma_data < math.inf:
            raise UsageError(f"got sigma_data={self.sigma_data}; give a positive number")

    def c_skip(self, level: Level) -> Tensor:
        """Factor of ``x_t`` in the denoiser (1); of the level's shape and dtype."""
        return self.row(level, self.sigma_data).c_skip

    def c_out(self, level: Level) -> Tensor:
        """Factor of the network's output in the denoiser (1)."""
        return self.row(level, self.sigma_data).c_out

    def c_in(self, level: Level) -> Tensor:
        """Factor of ``x_t`` at the network's input: ``1 / S``."""
        return 1 / _deviation(level, self.sigma_data)

    def c_noise(self, level: Level) -> Tensor:
        """The network's noise level input: ``-lambda / 8``, clamped to [-2.5, 2.5]."""
        return -level.log_snr.clamp(-LOG_SNR_LIMIT, LOG_SNR_LIMIT) / 8

    def to_x0(self, x_t: Tensor, output: Tensor, level: Level) -> Tensor:
        """Turn the network's output at ``x_t`` (B, ...) into its estimate of ``x_0``, by (1)."""
        row = self.row(level.like(x_t), self.sigma_data)
        return row.c_skip * x_t + row.c_out * output

    def target(self, x0: Tensor, eps: Tensor, level: Level) -> Tensor:
        """Return the output (B, ...) that a perfect network would give, by (2)."""
        row = self.row(level.like(x0), self.sigma_data)
        return row.target_x0 * x0 + row.target_eps * eps

    def well_posed_at(self, level: Level) -> bool:
        """Whether the network's output determines ``x_0`` at every one of ``level``'s levels.

        False only for ``epsilon`` where alpha is 0: pure noise predicts itself, whatever the data.
        Reads the tensors' values, so call it where a run is set up, not inside a compiled graph.
        """
        return bool(
            torch.isfinite(self.c_skip(level)).all() & torch.isfinite(self.c_out(level)).all()
        )


def _deviation(level: Level, sigma_data: float) -> Tensor:
    """Standard deviation of ``x_t``: S."""
    return torch.sqrt(level.alpha**2 * sigma_data**2 + level.sigma**2)


def _epsilon(level: Level, sigma_data: float) -> Row:
    zero = torch.zeros_like(level.alpha)
    return Row(1 / level.alpha, -level.sigma / level.alpha, zero, zero + 1)


def _x0(level: Level, sigma_data: float) -> Row:
    zero = torch.zeros_like(level.alpha)
    return Row(zero, zero + 1, zero + 1, zero)


def _v(level: Level, sigma_data: float) -> Row:
    norm = level.alpha**2 + level.sigma**2  # 1 on a variance-preserving path only
    return Row(level.alpha / norm, -level.sigma / norm, -level.sigma, level.alpha)


def _flow(level: Level, sigma_data: float) -> Row:
    one = torch.ones_like(level.alpha)
    total = level.alpha + level.sigma
    return Row(1 / total, -level.sigma / total, -one, one)


def _edm(level: Level, sigma_data: float) -> Row:
    deviation = _deviation(level, sigma_data)
    return Row(
        level.alpha * sigma_data**2 / deviation**2,
        level.sigma * sigma_data / deviation,
        level.sigma / (sigma_data * deviation),
        -level.alpha * sigma_data / deviation,
    )


_ROWS: dict[str, Callable[[Level, float], Row]] = {
    "epsilon": _epsilon,
    "x0": _x0,
    "v": _v,
    "flow": _flow,
    "edm": _edm,
}


def parameterization(kind: str, sigma_data: float = 1.0) -> Parameterization:
    """Return the parameterization of this kind.

    Args:
        kind: "epsilon", "x0", "v", "flow" or "edm".
        sigma_data: standard deviation of the data per element.

    Raises:
        UsageError: for an unknown kind or a ``sigma_data`` that is not positive.
    """
    if kind not in _ROWS:
        raise UsageError(f"unknown parameterization {kind!r}; give one of {', '.join(_ROWS)}")
    return Parameterization(kind, float(sigma_data), _ROWS[kind])


def edm(sigma_data: float) -> Parameterization:
    """Return EDM's parameterization for data of this standard deviation per element."""
    return parameterization("edm", sigma_data)


EPSILON = parameterization("epsilon")
"""The network predicts the noise."""
X0 = parameterization("x0")
"""The network predicts the clean image."""
V = parameterization("v")
"""The network predicts ``v = alpha eps - sigma x_0``."""
FLOW = parameterization("flow")
"""The network predicts the velocity of the flow path, ``eps - x_0``."""
