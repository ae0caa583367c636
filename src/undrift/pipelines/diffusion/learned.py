"""Samplers that were learned for one pipeline, and the two files that keep them.

``samplers.json`` says what each was learned for and what it reached, ``samplers.safetensors`` holds
its numbers, ``<steps>.times``, ``<steps>.asked`` and ``<steps>.coefficients``, float64
(``sampling/learned/table.py``). A pipeline without them has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import safetensors.torch
from torch import Tensor

from undrift.errors import ModelFileError, UsageError
from undrift.files.reading import parse_json
from undrift.files.tensors import parse_tensors
from undrift.sampling.learned import Table
from undrift.schema import from_plain, to_plain

FACTS = "samplers.json"
TABLES = "samplers.safetensors"
FORMAT = 1
_PARTS = {"times": "times", "asked": "model_times", "coefficients": "coefficients"}
"""Names in the file, and fields of a `Table`."""
_ADVICE = "save the pipeline again or use another"


@dataclass(frozen=True)
class LearnedFacts:
    """What a learned sampler is for.

    Attributes:
        steps: its number of steps, which is its number of evaluations.
        guidance: the guidance scale that it was learned at.
        method: how it was found: ``"refined"``, ``"regressed"``, or the name of the classical rule
            that nothing beat.
        error: root mean square difference from the fine solution, in the model's space, on images
            that had no part in the learning.
        fixed: the best classical sampler, as ``SAMPLER on GRID``.
        fixed_error: the same of that one.
        seed: of the images that it was learned from.
        images: how many they were.
    """

    steps: int
    guidance: float
    method: str
    error: float
    fixed: str
    fixed_error: float
    seed: int
    images: int


@dataclass(frozen=True, eq=False)
class LearnedSampler:
    """A table and what it is for.

    Attributes:
        table: the numbers.
        facts: where they come from.
    """

    table: Table
    facts: LearnedFacts


Learned = Mapping[int, LearnedSampler]
"""Learned samplers by their number of steps."""


@dataclass(frozen=True)
class _File:
    format: int
    samplers: tuple[LearnedFacts, ...]


def encode(learned: Learned) -> dict[str, bytes]:
    """The files by name; none of no samplers."""
    if not learned:
        return {}
    facts = _File(FORMAT, tuple(learned[steps].facts for steps in sorted(learned)))
    tensors = {
        f"{steps}.{part}": getattr(learned[steps].table, field).clone()
        for steps in sorted(learned)
        for part, field in _PARTS.items()
    }
    return {
        FACTS: json.dumps(to_plain(facts), indent=1).encode() + b"\n",
        TABLES: safetensors.torch.save(tensors),
    }


def decode(facts: bytes, tables: bytes, where: str) -> dict[int, LearnedSampler]:
    """Samplers out of the contents of the files.

    Args:
        facts: of samplers.json.
        tables: of samplers.safetensors.
        where: their directory; errors start with it.

    Raises:
        ModelFileError: if they are not what `encode` wrote.
    """
    plain = parse_json(facts, f"{where}: {FACTS}", ModelFileError, _ADVICE)
    tensors = parse_tensors(tables, f"{where}: {TABLES}", ModelFileError, _ADVICE)
    try:
        if not isinstance(plain, dict) or plain.get("format") != FORMAT:
            raise UsageError(f"not of format {FORMAT}, which this version of undrift reads")
        known = from_plain(_File, plain, FACTS).samplers
        found = {one.steps: LearnedSampler(_table(tensors, one.steps), one) for one in known}
    except (ValueError, UsageError) as error:
        raise ModelFileError(f"{where}: {FACTS} or {TABLES}: {error}; {_ADVICE}") from error
    if len(tensors) != len(_PARTS) * len(found):
        raise ModelFileError(f"{where}: {FACTS} and {TABLES} list different samplers; {_ADVICE}")
    return found


def _table(tensors: Mapping[str, Tensor], steps: int) -> Table:
    names = [f"{steps}.{part}" for part in _PARTS]
    for name in names:
        if name not in tensors:
            raise UsageError(f"{name} is missing")
    table = Table(*(tensors[name] for name in names))
    if table.steps != steps:
        raise UsageError(f"the table of {steps} steps has {table.steps}")
    return table
