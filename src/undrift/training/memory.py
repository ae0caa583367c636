"""How many images fit into one forward and backward pass."""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch

from undrift.advice import possible
from undrift.errors import UsageError


def find_micro_batch(try_step: Callable[[int], None], local_batch: int) -> int:
    """Largest of ``local_batch`` and its halves (rounded up) for which ``try_step`` has memory.

    Args:
        try_step: runs one forward and backward pass on that many images and keeps nothing.
        local_batch: images of the global batch that this process handles.

    Returns:
        The micro-batch size; on several ranks, all must take the smallest of theirs.

    Raises:
        UsageError: if not even one image fits.
    """
    size = local_batch
    while not _fits(try_step, size):
        if size == 1:
            hint = possible("choose a smaller {size} or network", "use a device with more")
            raise UsageError(f"not even one image per pass fits into memory; {hint}")
        size = (size + 1) // 2
    return size


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether ``error`` says that the device, or the host's allocator, ran out of memory."""
    # The CPU allocator raises a plain RuntimeError; only its text identifies it.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _fits(try_step: Callable[[int], None], size: int) -> bool:
    try:
        try_step(size)
        return True
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    # Only here, after the handler: the exception's traceback would keep the tensors alive.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return False
