r"""Dequantisation: from a discrete image to numbers whose density bounds its probability.

Definition: a density ``p`` over pixel values gives an image of levels ``k`` the probability
``P(k) = int_bin(k) p(v) dv``. For every density ``q(v | k)`` on the bins, by Jensen's inequality,

    log P(k) >= E_q [ log p(v) - log q(v | k) ],                                                 (1)

with equality where q is p restricted to the bin. Two choices of q, independent for each dimension:

    uniform            q = 1 / |bin_k|                                                           (2)
    truncated normal   q = N(v; v_k, tau^2) / Z_k on the bin,
                       Z_k = Phi((b - v_k) / tau) - Phi((a - v_k) / tau)                         (3)

with ``a, b`` the ends of the bin and ``tau`` the noise at which the model's density is read. A
network that was trained on whole levels knows the density of ``x_0 + tau eps`` there, of which (3)
is the share of each level: the bound (1) is then nearly an equality.

Symbols: ``v`` a pixel value in levels, ``Phi`` the normal distribution function.

References: Theis et al. 2016 (uniform); Ho et al. 2019 (variational); Zheng et al. 2023, "Improved
Techniques for Maximum Likelihood Estimation for Diffusion ODEs", section 4.3 (truncated normal).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from undrift.likelihood.values import ValueGrid

Kind = Literal["uniform", "truncated_normal"]


class Dequantized(NamedTuple):
    """Numbers in the bins of an image.

    Attributes:
        pixels: v (B, C, H, W), float64, in levels.
        log_q: log q(v | k), (B,) float64, in nats.
    """

    pixels: Tensor
    log_q: Tensor


class Dequantization(Protocol):
    """A density q(v | k) on the bins."""

    kind: Kind

    def draw(self, grid: ValueGrid, index: Tensor, quantile: Tensor) -> Dequantized:
        """Draw v for levels ``index`` (B, C, H, W) by ``quantile`` in (0, 1), of that shape."""
        ...


class UniformDequantization:
    """Equation (2)."""

    kind: Kind = "uniform"

    def draw(self, grid: ValueGrid, index: Tensor, quantile: Tensor) -> Dequantized:
        """See `Dequantization.draw`."""
        lower, upper = (ends.to(index.device)[index] for ends in grid.edges)
        width = upper - lower
        log_q = -width.log().flatten(1).sum(1)  # (2)
        return Dequantized(lower + quantile.double() * width, log_q)


class TruncatedNormalDequantization:
    """Equation (3).

    Args:
        tau: standard deviation in levels, of each channel (C,) or one for all.
    """

    kind: Kind = "truncated_normal"

    def __init__(self, tau: Tensor | float) -> None:
        self.tau = torch.as_tensor(tau, dtype=torch.float64).reshape(1, -1, 1, 1)

    def draw(self, grid: ValueGrid, index: Tensor, quantile: Tensor) -> Dequantized:
        """See `Dequantization.draw`."""
        tau = self.tau.to(index.device)
        value = grid.values.to(index.device)[index]
        lower, upper = (ends.to(index.device)[index] for ends in grid.edges)
        below = torch.special.ndtr((lower - value) / tau)
        share = torch.special.ndtr((upper - value) / tau) - below  # Z of (3)
        z = torch.special.ndtri(below + quantile.double() * share)
        log_q = -(z.square() + math.log(2 * math.pi)) / 2 - tau.log() - share.log()  # (3)
        return Dequantized(value + tau * z, log_q.flatten(1).sum(1))
