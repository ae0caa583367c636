"""Words for people: counts with their nouns."""

from __future__ import annotations


def plural(count: int, noun: str, many: str | None = None) -> str:
    """``count`` and its noun, such as ``1 image``, ``0 images`` or ``1,024 images``.

    Args:
        count: how many, 0 or more; thousands are separated by commas.
        noun: one of them.
        many: several of them; by default ``noun`` and an s, or -ies, -es where English wants it.
    """
    return f"{count:,} {noun if count == 1 else many or _several(noun)}"


def images_of(split: str, count: int) -> str:
    """``count`` images of a split: ``5 test images``; of no split, which is called "all", none."""
    return plural(count, "image" if split == "all" else f"{split} image")


def _several(noun: str) -> str:
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in tuple("aeiou"):
        return noun[:-1] + "ies"
    return noun + "s"


def clock(seconds: float) -> str:
    """A length of time as ``m:ss`` or ``h:mm:ss``, rounded to the nearest second."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def dimensions(height: int, width: int) -> str:
    """The size of an image as people write it, width first: ``64x48``."""
    return f"{width}x{height}"


def duration(seconds: float) -> str:
    """A length of time in its largest whole unit, such as ``3 min``."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
