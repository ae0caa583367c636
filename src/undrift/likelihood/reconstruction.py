r"""What it costs to name the levels of an image from its cleanest noisy version.

Definition: with ``u = x_0 + r eps`` at the cleanest level of the chain, the decoder

    p(k | u) proportional to N(u; z_k, r^2),        normalised over the L values,                (1)

is a softmax over levels, independently for each dimension. Its expected cost

    c_k = E_eps [ - log p(k | z_k + r eps) ]                                                     (2)

depends on the level alone, so that it is integrated once for each level (Gauss-Hermite) and looked
up for every pixel: the term has no sampling noise. Bounds with (1) are bounds on the probability of
the discrete image; nothing is dequantised.

Symbols: ``z_k`` value k in the model's space, ``r = sigma / alpha``.

Reference: Kingma et al. 2021, "Variational Diffusion Models", section 3.3.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from undrift.codec import Codec
from undrift.likelihood.values import ValueGrid

_NODES = 128


def level_costs(values: Tensor, r: float) -> Tensor:
    """Return c_k (2) for values ``z_k`` (C, L): (C, L) float64, in nats."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    eps = torch.from_numpy(nodes).to(values)
    weight = torch.from_numpy(weights / math.sqrt(2 * math.pi)).to(values)
    costs = []
    for row in values.double():
        u = row[:, None] + r * eps  # (L, nodes)
        scores = -((u[..., None] - row) / r).square() / 2  # (1)
        own = -eps.square() / 2
        costs.append(((scores.logsumexp(2) - own) * weight).sum(1))  # (2)
    return torch.stack(costs)


class Reconstruction:
    """The reconstruction term of images.

    Args:
        grid: the values that pixels can take.
        codec: between them and the model's space.
        channels: of the images.
        r: noise of the cleanest level, in units of the data.
    """

    def __init__(self, grid: ValueGrid, codec: Codec, channels: int, r: float) -> None:
        self.costs = level_costs(grid.encoded(codec, channels), r)

    def __call__(self, index: Tensor) -> Tensor:
        """Levels (B, C, H, W) int64 -> cost (B,), float64, in nats."""
        channel = torch.arange(index.shape[1], device=index.device, dtype=torch.int64).reshape(
            1, -1, 1, 1
        )
        return self.costs.to(index.device)[channel, index].flatten(1).sum(1)
