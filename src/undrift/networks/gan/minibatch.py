r"""Minibatch standard deviation: a channel by which a discriminator sees how alike the images are.

The batch is split into groups; the standard deviation over each group, averaged over channels and
places, becomes one more channel of its images. A generator of few modes is then recognised.

Reference: Karras et al. 2018, "Progressive Growing of GANs for Improved Quality, Stability, and
Variation", section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-8


def with_spread(x: Tensor, group: int) -> Tensor:
    """Put one channel of spread behind those of ``x``.

    Args:
        x: (B, C, H, W).
        group: images in a group, at most; the largest number up to it that divides B.

    Returns:
        (B, C + 1, H, W).
    """
    batch, _, height, width = x.shape
    members = next(size for size in range(min(group, batch), 0, -1) if batch % size == 0)
    # Images that are `batch / members` rows apart form a group.
    grouped = x.reshape(members, batch // members, *x.shape[1:])
    variance = (grouped - grouped.mean(0)).square().mean(0)
    spread = (variance + EPSILON).sqrt().mean((1, 2, 3))
    channel = spread.repeat(members).view(batch, 1, 1, 1).expand(batch, 1, height, width)
    return torch.cat([x, channel], dim=1)
