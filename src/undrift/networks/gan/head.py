r"""The last layer of a discriminator, which weighs what it sees against what is known.

.. math:: f(x, y) = w^\top \phi(x) + b + \frac{1}{\sqrt d}\, y^\top V \phi(x)

with :math:`\phi(x) \in R^d` the features of the image and :math:`y` the context's vector; without
a context the last term is absent.

Reference: Miyato & Koyama 2018, "cGANs with Projection Discriminator", eq. 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from undrift.networks.context import Context, ContextSpec
from undrift.networks.embedding import required

Wrap = Callable[[nn.Module], nn.Module]


def plain(layer: nn.Module) -> nn.Module:
    """The layer itself: no constraint on its weights."""
    return layer


class ProjectionHead(nn.Module):
    """Features and context to a logit.

    Args:
        features: d, numbers in phi(x).
        context: sizes of the context's parts; only ``vector`` matters here.
        wrap: what each linear layer goes through, such as spectral norm.
    """

    def __init__(self, features: int, context: ContextSpec, wrap: Wrap = plain) -> None:
        super().__init__()
        self.scale = 1 / math.sqrt(features)
        self.linear = wrap(nn.Linear(features, 1))
        self.projection = (
            wrap(nn.Linear(context.vector, features, bias=False)) if context.vector else None
        )

    def forward(self, features: Tensor, context: Context | None) -> Tensor:
        """(B, d) and a context -> (B,), in float32: small differences of logits decide the game."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            logit = self.linear(features).squeeze(1)
            if self.projection is None:
                return logit
            heard = self.projection(required(context, "vector").float())
            return logit + self.scale * (heard * features).sum(1)
