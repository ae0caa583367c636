"""The memory layout in which our networks are fast.

On CUDA, tensor cores want channels last. On a CPU it costs: the folded group norm of our blocks
works on contiguous channels, and with bfloat16 torch's channels-last group norm is several times
slower (``docs/log.md``). A GAN's networks have no group norm, and gain by channels last on a CPU
too.
"""

from __future__ import annotations

import torch
from torch import nn


def memory_format(device: torch.device) -> torch.memory_format:
    """Layout of (B, C, H, W) tensors for our own networks on ``device``."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def lay_out(
    network: nn.Module, device: torch.device, layout: torch.memory_format | None = None
) -> None:
    """Move one of our own networks to ``device``, its convolutions in ``memory_format`` there.

    Args:
        network: moved in place.
        device: where to.
        layout: another memory format to take instead.
    """
    network.to(device)
    # torch's stubs lack this form of to(), which its documentation gives.
    network.to(memory_format=layout or memory_format(device))  # pyright: ignore[reportCallIssue]
