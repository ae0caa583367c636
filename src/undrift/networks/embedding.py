r"""From a noise level and a context vector to the embedding that modulates a network.

.. math::

    e = \mathrm{silu}\bigl(W_2\,\mathrm{silu}(W_1 \gamma(c)) + W_3 y\bigr), \qquad
    \gamma(c) = \sqrt2\,[\cos(\omega_k c),\ \sin(\omega_k c)]_k

with :math:`c` the noise level as the preconditioning words it (``c_noise``, about [-2.5, 2.5]),
:math:`\omega_k` spread evenly in the logarithm and :math:`y` the context vector.

Reference: Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based Generative Models",
appendix F; Vaswani et al. 2017 for the features.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.networks.context import Context, ContextSpec

# c_noise moves by about 5 from pure noise to clean data: the slowest wave turns by 0.4 over
# that range and the fastest 25 times, which resolves differences of 0.02 in log(sigma).
SLOWEST, FASTEST = 0.5, 32.0


class FourierFeatures(nn.Module):
    """Cosines and sines of a number at fixed frequencies, of unit variance.

    Args:
        features: how many, an even number.
        slowest: smallest frequency, in radians per unit.
        fastest: largest frequency; the others are spread evenly in the logarithm.
    """

    frequencies: Tensor

    def __init__(self, features: int, slowest: float = SLOWEST, fastest: float = FASTEST) -> None:
        super().__init__()
        if features < 2 or features % 2:
            raise UsageError(f"Fourier features: got {features}, wanted an even number from 2 up")
        frequencies = torch.logspace(math.log10(slowest), math.log10(fastest), features // 2)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B,) -> (B, features)."""
        # Not under autocast: 8 bits of mantissa would blur angles of up to 80 radians.
        with torch.autocast(x.device.type, enabled=False):
            angles = x[:, None] * self.frequencies
            return math.sqrt(2) * torch.cat([angles.cos(), angles.sin()], dim=1)


class Embedding(nn.Module):
    """Noise level and context vector -> one embedding per sample.

    Args:
        width: size of the embedding.
        context: what the context holds; only ``vector`` matters here.
        features: number of Fourier features of the noise level.
    """

    def __init__(self, width: int, context: ContextSpec, features: int = 64) -> None:
        super().__init__()
        self.features = FourierFeatures(features)
        self.noise_in = nn.Linear(features, width)
        self.noise_out = nn.Linear(width, width)
        self.vector = nn.Linear(context.vector, width, bias=False) if context.vector else None

    def forward(self, c_noise: Tensor, context: Context | None) -> Tensor:
        """(B,) and a context -> (B, width)."""
        features = self.features(c_noise).to(self.noise_in.weight.dtype)
        embedding = self.noise_out(F.silu(self.noise_in(features)))
        if self.vector is not None:
            embedding = embedding + self.vector(required(context, "vector"))
        return F.silu(embedding)


def required(context: Context | None, part: str) -> Tensor:
    """Return a part of the context that the network was built for.

    Raises:
        UsageError: if the context or the part is missing.
    """
    tensor = None if context is None else getattr(context, part)
    if tensor is None:
        raise UsageError(f"network: built for context.{part} but got none; pass a Context with it")
    return tensor


def with_waves(x: Tensor, frequencies: tuple[float, ...]) -> Tensor:
    """Put sines and cosines of ``x`` (B, C, H, W) at angular ``frequencies`` behind its channels.

    Returns:
        (B, C (1 + 2F), H, W), of x's dtype; the angles are float32 or wider.
    """
    if not frequencies:
        return x
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    waves = [wave(frequency * wide) for frequency in frequencies for wave in (torch.sin, torch.cos)]
    return torch.cat([x, *(wave.to(x.dtype) for wave in waves)], dim=1)
