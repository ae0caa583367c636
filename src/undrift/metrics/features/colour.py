"""Grey or colour images to the three channels that public networks were trained on."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.advice import possible
from undrift.errors import UsageError


def premultiplied(planes: Tensor) -> tuple[Tensor, Tensor | None]:
    """Colours times alpha (n, C, H, W), and alpha (n, 1, H, W) or None, of ``planes`` on [0, 1].

    Args:
        planes: (n, C, H, W); of 2 or 4 channels the last is alpha.
    """
    if planes.shape[1] not in (2, 4):
        return planes, None
    alpha = planes[:, -1:]
    return planes[:, :-1] * alpha, alpha


def three_channels(images: NDArray[np.uint8], what: str) -> Tensor:
    """Levels (n, 3, H, W) uint8 of ``images`` (n, H, W, C) uint8; grey is repeated.

    Args:
        images: grey (C = 1) or colour (C = 3).
        what: the requested features, for the message.

    Raises:
        UsageError: other shapes, types or channel counts. Transparency has no meaning that all
            would agree on, so it is not guessed.
    """
    if images.ndim != 4 or images.dtype != np.uint8:
        raise UsageError(f"images {images.dtype} {images.shape}: {what} takes uint8 (n, H, W, C)")
    if images.shape[3] not in (1, 3):
        blend = "blend transparency with a background first"
        raise UsageError(
            f"images of {images.shape[3]} channels: {what} takes 1 or 3; "
            + possible(f"{blend}, or use {{features}} domain", blend)
        )
    # a copy, because memory-mapped images are read-only and torch tensors are not
    levels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
    return levels.expand(-1, 3, -1, -1)
