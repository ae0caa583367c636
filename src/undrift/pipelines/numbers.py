"""From the numbers that a request gives to one row of numbers per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from undrift.advice import named
from undrift.arguments import checked, shown
from undrift.errors import UsageError
from undrift.names import did_you_mean
from undrift.pipelines.spec import SampleSpec

GivenNumbers = Mapping[str, float | Sequence[float]] | None
"""Name -> a value for all images, or several that take turns; a name left out is not given."""


class OutOfRangeWarning(UserWarning):
    """A number lies outside of its range in the training data."""


@checked
def resolve_numbers(
    numbers: GivenNumbers, n: int, spec: SampleSpec, first: int = 0
) -> NDArray[np.float64] | None:
    """Return the numbers of each image, float64 (n, K), NaN where not given; None without any.

    Args:
        numbers: name -> a value, or several, of which image i gets value i modulo their count.
        n: number of images.
        spec: the K numbers that the model is conditioned on.
        first: number of the first image.

    Raises:
        UsageError: for an unknown name, no value, or any number on a model that takes none.
    """
    if not numbers:
        return None
    known = [number.name for number in spec.numbers]
    if not known:
        raise UsageError(
            f"numbers {shown(dict(numbers))}: this model takes none, as it was trained without; "
            "leave them out"
        )
    columns = np.full((n, len(known)), np.nan)
    rows = np.arange(first, first + n)
    for name, given in numbers.items():
        if name not in known:
            hint = did_you_mean(name, known, f"this model takes {', '.join(known)}")
            raise UsageError(f"unknown number {shown(name)}: {hint}")
        values = np.atleast_1d(np.asarray(given, np.float64))
        if not len(values):
            raise UsageError(f"numbers: no value of {name}; give at least one, or leave it out")
        columns[:, known.index(name)] = values[rows % len(values)]
    return columns


def out_of_range(numbers: GivenNumbers, spec: SampleSpec) -> list[str]:
    """A line for each number that has values outside of its range in the training data."""
    lines = []
    for number in spec.numbers:
        values = np.atleast_1d(np.asarray((numbers or {}).get(number.name, ()), np.float64))
        outside = values[(values < number.low) | (values > number.high)]
        if len(outside):
            lines.append(
                f"{number.name} {outside[0]:g} is outside of {number.low:g} to {number.high:g}, "
                "its range in the training data: expect images of the nearest values, or worse"
            )
    return lines


def parse_numbers(words: Sequence[str]) -> dict[str, list[float]]:
    """Return the numbers that words such as ``angle=0.3`` or ``angle=0,0.5,1`` give.

    Raises:
        UsageError: for another form, a value that is no number, or a name that comes twice.
    """
    found: dict[str, list[float]] = {}
    for word in words:
        name, equals, text = word.rpartition("=")
        try:
            values = [float(part) for part in text.split(",")]
        except ValueError:
            values = []
        if not (name and equals and values and np.isfinite(values).all()):
            raise UsageError(
                f"{named('numbers')} {shown(word)}: wanted NAME=NUMBER, as angle=0.3 or "
                "angle=0,0.5,1"
            )
        if name in found:
            raise UsageError(
                f"{named('numbers')}: {name} comes twice; give its values as {name}=0,0.5,1"
            )
        found[name] = values
    return found
