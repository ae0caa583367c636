r"""Score intervals of a mean whose range is known: their ends are values that it can have.

With m an estimate in [a, b] and h = z e half of its usual interval (z a quantile, e its standard
error), m +- h leaves the range where few values vary much. But what is bounded varies less the
nearer its mean is to an end: values in [a, b] of mean t have at most the variance (t - a)(b - t),
and sizes that begin at a vary more the larger they are. So the variance at a target t is taken in
proportion to

    v(t) = (t - a)(b - t),    t - a where b is infinite,    1 where a is infinite too            (1)

and the interval is all t that lie within half an interval of their own,

    (m - t)^2 <= h^2 v(t) / v(m).                                                                (2)

In units in which a is 0, and b is 1 or infinite, with x = m and r = h^2 / v(x), its ends are

    t = (x + r/2 +- sqrt(h^2 + r^2 / 4)) / s,    s = 1 + r, or 1 where b is infinite;            (3)

in [0, 1] that is Wilson's interval for v(m) / e^2 trials.
It lies in the range and holds m for every h, and is the usual one where the ends are far away. An m
at an end has v(m) = 0; so has e, if it is of values in the range. Where e was estimated in another
way, the usual interval is cut there.

Reference: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
"""

from __future__ import annotations

from math import hypot, inf, isfinite

from undrift.errors import UsageError

Range = tuple[float, float]
"""The lowest and the highest value that a number can have; infinite where there is none."""

ANY: Range = (-inf, inf)
SHARE: Range = (0.0, 1.0)
POSITIVE: Range = (0.0, inf)


def difference_of(within: Range) -> Range:
    """The range of a difference of two numbers in the range ``within``."""
    width = within[1] - within[0]
    return (-width, width)


def bounded_interval(value: float, half: float, within: Range) -> tuple[float, float]:
    """Equation (2), as (low, high).

    Args:
        value: m.
        half: h, half of the usual interval.
        within: a and b of (1).

    Raises:
        UsageError: a value outside its range, or a width that is none.
    """
    lowest, highest = within
    if not lowest <= value <= highest or not half >= 0 or not isfinite(half):
        raise UsageError(
            f"interval of {value} +- {half} in [{lowest}, {highest}]: wanted a value in the range "
            "and a finite width"
        )
    if lowest == -inf or half == 0 or value in within:
        return max(lowest, value - half), min(highest, value + half)
    bounded = highest < inf
    width = highest - lowest if bounded else 1.0
    x, h = (value - lowest) / width, half / width
    r = h / x * h / (1 - x if bounded else 1.0)
    if r == inf:
        return lowest, highest
    top = x + r / 2 + hypot(h, r / 2)  # (3): a root; their product is x^2 / s
    low, high = x / top * x, min(1.0, top / (1 + r)) if bounded else top
    return min(value, lowest + width * low), max(value, lowest + width * high)
