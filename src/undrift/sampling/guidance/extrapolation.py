"""What all guidance by two predictions computes, and its rescaling.

    D_w = D_0 + w (D - D_0)                                                               (1)

Symbols: ``D`` the prediction to follow, ``D_0`` the one to move away from, ``w`` the scale, one for
a batch or one for each of its rows. Rescaling by a share phi pulls the standard deviation of each
guided image, std(D_w), back to that of the prediction without guidance:

    D' = (1 - phi) D_w + phi D_w std(D) / std(D_w)                                        (2)

Reference: Lin, Liu, Li and Yang 2024, "Common Diffusion Noise Schedules and Sample Steps are
Flawed", equations 14-16, for (2).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from undrift.diffusion.schedule import per_sample
from undrift.errors import UsageError

Scale = float | Tensor
"""w: a number, or a tensor (B,) with one for each row."""


def check_scale(scale: Scale) -> None:
    """Refuse a scale that is not finite.

    Raises:
        UsageError: for such a scale.
    """
    if not (math.isfinite(scale) if isinstance(scale, float | int) else scale.isfinite().all()):
        raise UsageError(f"guidance {scale}: give a finite number (1 is off)")


def extrapolated(x0: Tensor, away: Tensor, scale: Scale) -> Tensor:
    """D_w of (1) from D and D_0, each (B, ...); where w is 1 it is D bit by bit."""
    if not isinstance(scale, Tensor):
        return away + scale * (x0 - away)  # (1)
    w = per_sample(scale, x0)
    return torch.where(w == 1, x0, away + w * (x0 - away))  # (1)


def rescaled(guided: Tensor, x0: Tensor, share: float) -> Tensor:
    """D' of (2) from D_w and D, each (B, ...); ``share`` is phi, and 0 is D_w itself."""
    if share == 0:
        return guided
    wanted, found = (_std(x) for x in (x0, guided))
    ratio = torch.where(found > 0, wanted / found, 1.0)
    return guided * (1 - share + share * ratio)  # (2)


def check_share(share: float) -> None:
    """Refuse a phi that is no share.

    Raises:
        UsageError: unless it is from 0 to 1.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"guidance_rescale {share}: give a share from 0 (off) to 1")


def _std(x: Tensor) -> Tensor:
    return per_sample(x.flatten(1).std(1), x)
