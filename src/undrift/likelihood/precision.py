"""Likelihoods are counted in float32 or wider, whatever runs around them.

At the cleanest level the signal is some hundred times the noise, and the result depends on the
noise: the 8 bits of bfloat16, or the 11 of a convolution in TF32, round a part of it away.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from undrift.errors import UsageError

WIDE = (torch.float32, torch.float64)


def refuse_narrow(what: str, dtype: torch.dtype) -> None:
    """Refuse a floating-point type with fewer bits than float32.

    Raises:
        UsageError: naming ``what`` is in it.
    """
    if dtype.is_floating_point and dtype not in WIDE:
        name = str(dtype).removeprefix("torch.")
        raise UsageError(
            f"likelihood: {what} in {name}, whose rounding is larger than a level of grey at the "
            "clean end; wanted float32 or float64"
        )


@contextlib.contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Without the caller's autocast, and without TF32 convolutions, the default on recent GPUs."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.autocast(device.type, enabled=False))
        if device.type == "cuda":
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
        yield
