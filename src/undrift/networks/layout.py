"""The memory layout in which our networks are fast.

On CUDA, tensor cores want channels last. On a CPU it costs: the folded group norm of our blocks
works on contiguous channels, and with bfloat16 torch's channels-last group norm is several times
slower (``benchmarks/README.md``).
"""

from __future__ import annotations

import torch
from torch import nn


def memory_format(device: torch.device) -> torch.memory_format:
    """Layout of (B, C, H, W) tensors for our own networks on ``device``."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def lay_out(network: nn.Module, device: torch.device) -> None:
    """Move one of our own networks to ``device``, its convolutions in the layout to use there."""
    network.to(device)
    # torch's stubs lack this form of to(), which its documentation gives.
    network.to(memory_format=memory_format(device))  # pyright: ignore[reportCallIssue]
