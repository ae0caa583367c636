"""safetensors files: named tensors, and a header of text."""

from __future__ import annotations

import os

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from undrift.errors import one_line
from undrift.files.reading import Failure, mapping, parse_json, read_bytes

_LENGTH = 8
"""Bytes in front of the header that say how long it is, little-endian."""


def parse_tensors(data: bytes, where: str, error: Failure, advice: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU; they need no more memory than ``data``.

    Args:
        data: the whole file.
        where: where it came from; the message starts with it.
        error: the class of error to raise.
        advice: what to do; the message ends with it.

    Raises:
        UndriftError: an ``error``: not safetensors, damaged, or of a type that torch lacks.
    """
    try:
        return load(data)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as fault:
        raise error(f"{where} is not a safetensors file ({one_line(fault)}); {advice}") from fault


def read_tensors(
    path: str | os.PathLike[str], error: Failure, advice: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file, and the entries of its header.

    Raises:
        UndriftError: an ``error``: it cannot be read, or is not a safetensors file.
    """
    data = read_bytes(path, error, advice)
    tensors = parse_tensors(data, str(path), error, advice)
    length = int.from_bytes(data[:_LENGTH], "little")
    text = data[_LENGTH : _LENGTH + length]
    header = mapping(parse_json(text, str(path), error, advice), str(path), error, advice)
    entries = mapping(header.get("__metadata__") or {}, str(path), error, advice)
    return tensors, {name: str(value) for name, value in entries.items()}
