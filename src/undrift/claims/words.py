"""Effects of claims in words: each unit has its way to be written."""

from __future__ import annotations

TITLES = {
    "stability": "Stability",
    "coverage": "Coverage",
    "scaling": "Scaling",
    "control": "Control",
    "likelihood": "Likelihood",
    "inference": "Inference cost",
}


def title_of(name: str) -> str:
    """A claim's name as a heading."""
    return TITLES[name]


def effect(unit: str, value: float | None) -> str:
    """``+12.3 points``, ``3.1 times``, ``+0.42``; a dash where there is none."""
    if value is None:
        return "-"
    if unit.startswith("times"):
        return f"{value:.3g} times"
    if unit.startswith(("share", "label accuracy")):
        return f"{100 * value:+.3g} points"
    if unit.startswith("dB"):
        return f"{value:+.3g} dB"
    return f"{value:+.3g}"


def interval(unit: str, low: float | None, high: float | None) -> str:
    """``+1 to +3 points``; nothing where there is none."""
    if low is None or high is None:
        return "no interval"
    first, last = effect(unit, low), effect(unit, high)
    return f"{first.split(' ')[0]} to {last}"
