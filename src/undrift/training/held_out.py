"""Held-out images of a validation, and the part of their condition that a model takes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from undrift.conditioning import Condition, ConditionSpec
from undrift.randomness import Draws


def spread(images: int, count: int) -> np.ndarray:
    """``count`` rows of ``images``, evenly spaced: a folder's are in the order of its classes."""
    return np.linspace(0, images - 1, count).astype(np.int64)


def pixels_at(images: np.ndarray, rows: np.ndarray, device: torch.device) -> Tensor:
    """Images (N, H, W, C) at ``rows`` as (len(rows), C, H, W) on ``device``."""
    return torch.from_numpy(np.ascontiguousarray(images[rows].transpose(0, 3, 1, 2))).to(device)


def condition_at(
    spec: ConditionSpec, condition: Condition, rows: np.ndarray, pixels: Tensor, seed: int
) -> Condition:
    """What a model takes of the condition of some held-out images, the same every time.

    Args:
        spec: of the model.
        condition: of all held-out images.
        rows: which.
        pixels: uint8 (len(rows), C, H, W), which maps are derived from.
        seed: of what is random about these maps.
    """
    known = spec.select(condition)[torch.from_numpy(rows)].to(pixels.device)
    draws = Draws(seed, 0, len(rows), 0, len(rows))
    return spec.derived(known, pixels, draws, clean=True)
