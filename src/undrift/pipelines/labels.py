"""From what the user says of labels to one class per image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from undrift.errors import UsageError
from undrift.names import find, nearest
from undrift.pipelines.spec import SampleSpec
from undrift.randomness import generator

Labels = str | int | Sequence[str | int] | None
"""Class names, else indices; ``"all"``; or None for the training frequencies."""

_LISTED = 12  # class names in an error message, which is one line


def resolve_labels(
    labels: Labels, n: int, seed: int, spec: SampleSpec, first: int = 0
) -> np.ndarray | None:
    """Return the class of each image, int64 (n,), or None for a model without classes.

    Args:
        labels: one entry or several. A string is a class name (NFC and NFD are equal) or, if no
            class is called that, an index; an integer is an index. Image i gets entry i mod K.
            ``"all"`` is every class in stored order. None draws from the training frequencies, by
            (seed, i) alone.
        n: number of images.
        seed: the request's seed.
        spec: the classes.
        first: number of the first image.

    Raises:
        UsageError: for an unknown label, no label at all, or any label on a model without classes.
    """
    if not spec.class_names:
        if labels is not None:
            raise UsageError(f"labels {labels!r}: this model has no classes; leave labels out")
        return None
    if labels is None:
        return _drawn(range(first, first + n), seed, spec)
    entries = _entries(labels, spec)
    return np.array([entries[i % len(entries)] for i in range(first, first + n)], dtype=np.int64)


def _entries(labels: str | int | Sequence[str | int], spec: SampleSpec) -> list[int]:
    names = spec.class_names
    if isinstance(labels, str) and labels == "all" and "all" not in names:
        return list(range(len(names)))
    several = [labels] if isinstance(labels, str) or not isinstance(labels, Sequence) else labels
    if isinstance(labels, np.ndarray):
        several = labels.ravel().tolist()
    if len(several) == 0:
        raise UsageError("labels: an empty list; give at least one, or leave labels out")
    return [_index(label, names) for label in several]


def _index(label: str | int, names: tuple[str, ...]) -> int:
    if isinstance(label, str):
        found = find(label, {name: i for i, name in enumerate(names)})
        if found is not None:
            return found
        if label.isascii() and label.isdigit() and int(label) < len(names):
            return int(label)
    elif isinstance(label, int | np.integer) and not isinstance(label, bool):
        if 0 <= label < len(names):
            return int(label)
    near = nearest(str(label), names)
    hint = "" if near is None else f"did you mean {near!r}? "
    listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    raise UsageError(
        f"unknown label {label!r}: {hint}the classes are {listed}, or indices 0 to {len(names) - 1}"
    )


def _drawn(rows: range, seed: int, spec: SampleSpec) -> np.ndarray:
    frequencies = spec.class_frequencies or (1.0,) * len(spec.class_names)
    edges = np.cumsum(frequencies) / sum(frequencies)
    edges[-1] = 1.0
    uniform = [
        torch.rand((), generator=generator(seed, i, "label"), dtype=torch.float64).item()
        for i in rows
    ]
    return np.searchsorted(edges, np.array(uniform), side="right").astype(np.int64)
