"""The pivot of the library: a network that estimates ``E[x_0 | x_t]``.

Everything else - objectives, samplers, guidance, likelihood - needs a `Prediction` at ``x_t``
and ``t``, and never needs to know what the network predicts or how it is scaled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from undrift.diffusion.parameterization import Parameterization
from undrift.diffusion.prediction import Prediction
from undrift.diffusion.schedule import Level, NoiseSchedule

if TYPE_CHECKING:
    from undrift.networks.context import Context


class Denoise(Protocol):
    """Anything that denoises: a `Denoiser`, a guided one, an exact one."""

    def __call__(self, x_t: Tensor, t: Tensor, context: Context | None = None) -> Prediction:
        """Estimate ``x_0`` from ``x_t`` (B, ...) at times ``t``, of shape () or (B,)."""
        ...


class Denoiser(nn.Module):
    """A network, the path it lives on, and what it predicts.

    Args:
        network: called as ``network(c_in x_t, c_noise, context)`` with ``x_t`` (B, ...),
            ``c_noise`` (B,) and the context handed in; returns x_t's shape. Any module will do.
        schedule: the Gaussian path.
        parameterization: what the network's output means.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: NoiseSchedule,
        parameterization: Parameterization,
    ) -> None:
        super().__init__()
        self.network = network
        self.schedule = schedule
        self.parameterization = parameterization

    def forward(self, x_t: Tensor, t: Tensor, context: Context | None = None) -> Prediction:
        """Estimate ``x_0``.

        Args:
            x_t: noisy batch (B, ...).
            t: times in [0, 1], of shape () or (B,), float64.
            context: what the network is to be conditioned on.

        Returns:
            The prediction, float32 or wider whatever x_t's dtype and autocast.
        """
        level = self.schedule(t.to(x_t.device))
        x_t_wide = x_t.to(working_dtype(x_t))
        output = self.output(x_t, level, context)
        return Prediction(x_t_wide, level, self.parameterization.to_x0(x_t_wide, output, level))

    def output(self, x_t: Tensor, level: Level, context: Context | None = None) -> Tensor:
        """Return what the network itself says of ``x_t`` (B, ...): same shape, float32 or wider."""
        wide = working_dtype(x_t)
        c_in = self.parameterization.c_in(level.like(x_t.to(wide)))
        c_noise = self.parameterization.c_noise(level).to(device=x_t.device, dtype=x_t.dtype)
        scaled = (c_in * x_t).to(x_t.dtype)  # the network gets the dtype that it was given
        return self.network(scaled, c_noise.expand(x_t.shape[0]), context).to(wide)


def working_dtype(x: Tensor) -> torch.dtype:
    """Dtype in which x is scaled and compared: float32, or float64 if x is float64."""
    return torch.promote_types(x.dtype, torch.float32)
