"""The caller's torch settings, put aside while the library computes.

A default dtype or device, autocast, inference mode and switched-off gradients belong to the code
around a call. They must neither change the images of a seed nor make a call fail, so every public
function that computes runs inside ``own_settings``. What the caller wants of the machine (threads,
deterministic algorithms, the precision of matrix products) is left as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """Compute with torch's own defaults: float32, on the CPU, with gradients, without autocast.

    A context manager and a decorator. Whatever differs is switched at the beginning and back at the
    end. The default dtype is one of the whole process, the others are of the calling thread.
    """
    with contextlib.ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(mode=False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        dtype = torch.get_default_dtype()
        if dtype != torch.float32:
            stack.callback(torch.set_default_dtype, dtype)
            torch.set_default_dtype(torch.float32)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                # Without a cache: torch empties it only at the end of the caller's autocast, and a
                # network that learns would go on with the weights of its first step.
                off = torch.autocast(kind, enabled=False, cache_enabled=False)
                stack.enter_context(off)
        yield
