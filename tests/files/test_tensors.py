"""safetensors files whose headers lie are refused by one error."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from undrift.errors import ModelFileError
from undrift.files.tensors import parse_tensors, read_tensors


def made(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(kind: str, shape: list[int], begin: int, end: int) -> dict[str, object]:
    return {"a": {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}}


def test_tensors_and_header_come_back(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(save({"a": torch.arange(3.0)}, {"key": "value"}))
    tensors, about = read_tensors(path, ModelFileError, "save it again")
    assert torch.equal(tensors["a"], torch.arange(3.0))
    assert about == {"key": "value"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        struct.pack("<Q", 2**62) + b"{}",
        made([]),
        made("[" * 1000),
        made(entry("F32", [10**9, 10**9], 0, 4), bytes(4)),
        made(entry("F32", [1], 0, 10**12), bytes(4)),
        made(entry("F32", [2**63, 2], 0, 4), bytes(4)),
        made(entry("F32", [-1], 0, 4), bytes(4)),
        made(entry("F99", [1], 0, 4), bytes(4)),
        made(entry("F32", [1], 4, 0), bytes(4)),
        save({"a": torch.zeros(4)})[:-1],
    ],
)
def test_headers_that_lie(data: bytes) -> None:
    with pytest.raises(ModelFileError, match="x is not a safetensors file .*; save it again"):
        parse_tensors(data, "x", ModelFileError, "save it again")
