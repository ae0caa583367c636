"""Grids by name.

A name may carry the grid's own numbers: ``shifted:5``, ``beta:0.5,0.7``, ``karras:3``,
``leading:1``.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from undrift import synonyms
from undrift.diffusion import NoiseSchedule
from undrift.errors import UsageError
from undrift.names import did_you_mean
from undrift.sampling.grids.chain import leading, trailing
from undrift.sampling.grids.ratio import karras, log_snr
from undrift.sampling.grids.time import beta, quadratic, shifted, uniform

GRIDS = (
    "karras",
    "log_snr",
    "uniform",
    "quadratic",
    "beta",
    "shifted",
    "trailing",
    "leading",
)
"""The names of the grids, the default first."""

_NUMBERS = {"karras": 1, "beta": 2, "shifted": 1, "leading": 1}
"""How many numbers may follow a name; other grids have none."""


def grid(
    name: str,
    schedule: NoiseSchedule,
    steps: int,
    *,
    rho: float = 7.0,
    sigma_min: float = 0.002,
) -> Tensor:
    """Return the grid called ``name``.

    Args:
        name: one of ``GRIDS``, or one with its own numbers behind a colon.
        schedule: the path.
        steps: number of steps, at least 1.
        rho: for karras alone, where the name says none.
        sigma_min: for karras and log_snr.

    Raises:
        UsageError: for an unknown name, steps < 1 or numbers that the grid refuses.
    """
    plain, numbers = parse_grid(name)
    makers: dict[str, Callable[[], Tensor]] = {
        "karras": lambda: karras(schedule, steps, rho=(*numbers, rho)[0], sigma_min=sigma_min),
        "log_snr": lambda: log_snr(schedule, steps, sigma_min=sigma_min),
        "uniform": lambda: uniform(schedule, steps),
        "quadratic": lambda: quadratic(schedule, steps),
        "beta": lambda: beta(schedule, steps, **dict(zip("ab", numbers, strict=False))),
        "shifted": lambda: shifted(schedule, steps, shift=(*numbers, 3.0)[0]),
        "trailing": lambda: trailing(schedule, steps),
        "leading": lambda: leading(schedule, steps, offset=int((*numbers, 0)[0])),
    }
    return makers[plain]()


def parse_grid(name: str) -> tuple[str, tuple[float, ...]]:
    """Split ``name`` into one of ``GRIDS`` and its numbers, () where it gives none.

    Raises:
        UsageError: for an unknown name, or numbers that this grid does not take.
    """
    plain, colon, rest = name.partition(":")
    if plain not in GRIDS:
        hint = did_you_mean(plain, GRIDS, "", synonyms.GRIDS)
        choices = f"choose from {', '.join(GRIDS)}"
        raise UsageError(f"unknown grid {name!r}: {f'{hint} {choices}'.strip()}")
    if not colon:
        return plain, ()
    try:
        numbers = tuple(float(part) for part in rest.split(","))
    except ValueError:
        numbers = ()
    wanted = _NUMBERS.get(plain, 0)
    whole = plain != "leading" or all(number.is_integer() for number in numbers)
    if not wanted or len(numbers) != wanted or not whole:
        takes = {0: "takes no numbers", 1: "takes one number", 2: "takes two numbers"}[wanted]
        example = {"beta": "beta:0.6,0.6", "leading": "leading:1"}.get(plain, f"{plain}:3")
        hint = f"like {example}" if wanted else f"write {plain}"
        raise UsageError(f"grid {name!r}: {plain} {takes}; {hint}")
    return plain, numbers
