"""Small checkpoints with known content."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from undrift.training.checkpoint import CheckpointStore


def content(step: int) -> dict[str, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(step)
    return {
        group: {
            "block.weight": torch.randn(6, 4, generator=generator),
            "block.bias": torch.randn(6, generator=generator).to(torch.bfloat16),
            "step": torch.tensor(step),
        }
        for group in ("network", "ema", "optimizer")
    }


def state(step: int) -> dict[str, object]:
    return {"images": 64 * step, "guard": {"consecutive": 0}}


def filled(directory: Path, *steps: int) -> CheckpointStore:
    store = CheckpointStore(directory)
    for step in steps:
        store.save(step, content(step), state(step))
    return store


def equal(left: dict[str, dict[str, Tensor]], right: dict[str, dict[str, Tensor]]) -> bool:
    return left.keys() == right.keys() and all(
        left[group].keys() == right[group].keys()
        and all(
            left[group][name].dtype == tensor.dtype and torch.equal(left[group][name], tensor)
            for name, tensor in right[group].items()
        )
        for group in right
    )


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(data)
