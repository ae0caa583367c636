"""From what the user says of labels to one class per image."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch

from undrift.advice import named
from undrift.arguments import checked, shown
from undrift.conditioning import Condition
from undrift.errors import UsageError
from undrift.names import find, nearest
from undrift.pipelines.spec import SampleSpec
from undrift.randomness import generator

Labels = str | int | Sequence[str | int] | None
"""Class names as strings, indices as integers; ``"all"``; or None for the training frequencies."""

_LISTED = 12  # class names in an error message, which is one line
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")


@checked
def resolve_labels(
    labels: Labels, n: int, seed: int, spec: SampleSpec, first: int = 0
) -> np.ndarray | None:
    """Return the class of each image, int64 (n,), or None for a model without classes.

    Args:
        labels: one entry or several. A string is a class name (NFC and NFD are equal), an integer
            an index. Image i gets entry i mod K. ``"all"`` is every class in stored order. None
            draws from the training frequencies, by (seed, i) alone.
        n: number of images.
        seed: the request's seed.
        spec: the classes.
        first: number of the first image.

    Raises:
        UsageError: for an unknown label, no label at all, or any label on a model without classes.
    """
    if not spec.class_names:
        if labels is not None:
            raise UsageError(f"labels {shown(labels)}: this model has no classes; leave labels out")
        return None
    if labels is None:
        return _drawn(range(first, first + n), seed, spec)
    entries = _entries(labels, spec)
    return np.array([entries[i % len(entries)] for i in range(first, first + n)], dtype=np.int64)


def condition_of(classes: np.ndarray | None) -> Condition:
    """The condition of samples of these classes (n,); None: nothing is given."""
    return Condition({} if classes is None else {"labels": torch.from_numpy(classes)})


def parse_labels(words: Sequence[str], class_names: tuple[str, ...]) -> Labels:
    """Return the labels that ``words`` of a command line name.

    ``cat dog`` and ``cat,dog`` say the same, unless a name has a comma. A number is an index, as
    long as no class is called by a number; where one is, numbers are names.

    Args:
        words: as they were typed; none at all is None.
        class_names: the classes in stored order.

    Raises:
        UsageError: for a number that is no class name, where class names are numbers.
    """
    parts = [
        part.strip()
        for word in words
        for part in (word.split(",") if _place(word, class_names) is None else [word])
    ]
    if not parts:
        return None
    if parts == ["all"] and "all" not in class_names:
        return "all"
    return [_name_or_index(part, class_names) for part in parts]


def _name_or_index(word: str, names: tuple[str, ...]) -> str | int:
    number = word.isascii() and word.isdigit()
    if not number or not names or _place(word, names) is not None:
        return word
    numbers = [name for name in names if _WHOLE_NUMBER.fullmatch(name.strip())]
    if numbers:
        raise UsageError(
            f"{named('labels')} {shown(word)}: no class is called that, and it is not taken for "
            "an index, "
            f"since classes are called by numbers: the classes are {_listed(names)}"
        )
    if len(word) > len(str(len(names))):
        raise _unknown(word, names)
    return int(word)


def _entries(labels: str | int | Sequence[str | int], spec: SampleSpec) -> list[int]:
    names = spec.class_names
    if isinstance(labels, str) and labels == "all" and "all" not in names:
        return list(range(len(names)))
    several = [labels] if isinstance(labels, str | int) else labels
    if not several:
        raise UsageError("labels: an empty list; give at least one, or leave labels out")
    return [_index(label, names) for label in several]


def _index(label: str | int, names: tuple[str, ...]) -> int:
    found = _place(label, names) if isinstance(label, str) else label
    if found is None or not 0 <= found < len(names):
        raise _unknown(label, names)
    return found


def _place(name: str, names: tuple[str, ...]) -> int | None:
    return find(name, {name: i for i, name in enumerate(names)})


def _unknown(label: str | int, names: tuple[str, ...]) -> UsageError:
    near = nearest(str(label), names) if isinstance(label, str) else None
    hint = "" if near is None else f"did you mean {near!r}? "
    if near is None and isinstance(label, str) and label.isascii() and label.isdigit():
        hint = "a string is a class name; give an index as an integer. "
    return UsageError(
        f"unknown label {shown(label)}: {hint}the classes are {_listed(names)}, "
        f"or indices 0 to {len(names) - 1}"
    )


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")


def _drawn(rows: range, seed: int, spec: SampleSpec) -> np.ndarray:
    frequencies = spec.class_frequencies or (1.0,) * len(spec.class_names)
    edges = np.cumsum(frequencies) / sum(frequencies)
    edges[-1] = 1.0
    uniform = [
        torch.rand(
            (), generator=generator(seed, i, "label"), dtype=torch.float64, device="cpu"
        ).item()
        for i in rows
    ]
    return np.searchsorted(edges, np.array(uniform), side="right").astype(np.int64)
