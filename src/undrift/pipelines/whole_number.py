"""Whole numbers that a caller gives, and how large they may be."""

from __future__ import annotations

from undrift.errors import UsageError
from undrift.limits import MOST_IMAGES

MOST_STEPS = 100_000

_MOST_FIRST = 1 << 32  # between the noise numbers of two results of one image, see masked.py


def within(name: str, value: int, least: int, most: int | None = None) -> int:
    """Return ``value``.

    Raises:
        UsageError: if it is below ``least`` or above ``most``.
    """
    if value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if value < least else f"from {least} to {most}"
        raise UsageError(f"{name} {value}: give a whole number {bounds}")
    return value


def check_images(n: int, first: int, seed: int) -> None:
    """Check the number of images, the first one's number and the seed of a request.

    Raises:
        UsageError: for none, too many, or numbers that are too large.
    """
    within("n", n, 1, MOST_IMAGES)
    within("first", first, 0, _MOST_FIRST - n)
    within("seed", seed, 0)
