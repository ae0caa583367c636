"""The device to compute on."""

from __future__ import annotations

import torch

from undrift.advice import named
from undrift.errors import UsageError


def choose_device(device: str) -> str:
    """``cpu`` or ``cuda``.

    Raises:
        UsageError: if CUDA is wanted and absent.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            f"{named('device')} cuda: torch sees no CUDA device here; use {named('device')} cpu"
        )
    return device
