r"""The last layer of a discriminator, which weighs what it sees against what is known.

.. math:: f(x, y) = w^\top \phi(x) + b + \frac{1}{\sqrt d}\, y^\top V \phi(x)              \quad (1)

with :math:`\phi(x) \in R^d` the features of the image and :math:`y` the context's vector; without
a context the last term is absent. Where layers are spectrally normalised, w and V stretch nothing,
but y is free to grow, so there it only has a direction:

.. math:: f(x, y) = w^\top \phi(x) + b + \frac{y^\top}{\lVert y \rVert}\, V \phi(x), \qquad
          \lVert \nabla_\phi f \rVert \le \lVert w \rVert + \lVert V \rVert = 2.           \quad (2)

The paper has the same bound, by a matrix of class embeddings that is spectrally normalised.

Reference: Miyato & Koyama 2018, "cGANs with Projection Discriminator", eq. 4.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from undrift.networks.context import Context, ContextSpec
from undrift.networks.embedding import required


class ProjectionHead(nn.Module):
    """Features and context to a logit.

    Args:
        features: d, numbers in phi(x).
        context: sizes of the context's parts; only ``vector`` matters here.
        bounded: whether its slope is to have a bound, eq. (2), once its layers have one.
    """

    def __init__(self, features: int, context: ContextSpec, *, bounded: bool = False) -> None:
        super().__init__()
        self.bounded, self.scale = bounded, 1 / math.sqrt(features)
        self.linear = nn.Linear(features, 1)
        self.projection = (
            nn.Linear(context.vector, features, bias=False) if context.vector else None
        )

    def forward(self, features: Tensor, context: Context | None) -> Tensor:
        """(B, d) and a context -> (B,), in float32: small differences of logits matter."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            logit = self.linear(features).squeeze(1)
            if self.projection is None:
                return logit
            y = required(context, "vector").float()
            if self.bounded:
                return logit + (self.projection(F.normalize(y, dim=1)) * features).sum(1)  # (2)
            return logit + self.scale * (self.projection(y) * features).sum(1)  # (1)
