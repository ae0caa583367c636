"""Numbers that were measured once per training seed: their mean and its interval.

With ``x_1 ... x_n`` of n seeds, ``m`` their mean and ``s`` their standard deviation,

    m +- t_(0.975, n-1) s / sqrt(n)                                                              (1)

holds the mean over all seeds that one might have taken in 95 % of cases, for values that are about
normal. Numbers with a range, such as shares and distances, have the score interval that (1) makes
by `undrift.metrics.bounded`, and stay within it: two seeds would else give a coverage of -0.4 to
1.5. Two methods that ran with the same seeds are compared by the differences within each seed. What
does not change from seed to seed, such as the reference images, is outside the interval.

Reference: Student, "The probable error of a mean" (1908); why seeds, and not images of one model,
are the unit: Bouthillier et al., "Accounting for variance in machine learning benchmarks" (2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, sqrt

from undrift.errors import UsageError
from undrift.metrics.bounded import ANY, Range, bounded_interval, difference_of
from undrift.metrics.estimate import student_quantile


@dataclass(frozen=True)
class OverSeeds:
    """A mean over seeds.

    Attributes:
        n: seeds.
        value: mean.
        low: lower end of its 95 % interval; None for one seed, which has no spread.
        high: upper end.
        deviation: standard deviation between seeds; None for one seed.
    """

    n: int
    value: float
    low: float | None
    high: float | None
    deviation: float | None


def over_seeds(values: Mapping[int, float], within: Range = ANY) -> OverSeeds | None:
    """Equation (1) of ``values``, seed -> number in ``within``; None where there are none.

    Raises:
        UsageError: a number that is not finite: a failed run has none, and is left out.
    """
    if not values:
        return None
    numbers = [values[seed] for seed in sorted(values)]
    if not all(isfinite(number) for number in numbers):
        raise UsageError(f"values over seeds {dict(values)}: wanted finite numbers")
    n = len(numbers)
    # rounding of the sum must not lift it out of what it is the mean of
    mean = min(max(sum(numbers) / n, min(numbers)), max(numbers))
    if n == 1:
        return OverSeeds(1, mean, None, None, None)
    deviation = sqrt(sum((number - mean) ** 2 for number in numbers) / (n - 1))
    half = student_quantile(n) * deviation / sqrt(n)  # (1)
    return OverSeeds(n, mean, *bounded_interval(mean, half, within), deviation)


def paired_over_seeds(
    first: Mapping[int, float], second: Mapping[int, float], within: Range = ANY
) -> OverSeeds | None:
    """Equation (1) of first less second, over the seeds that both have; None if there are none.

    Both are numbers in ``within``.
    """
    differences = {seed: first[seed] - second[seed] for seed in first if seed in second}
    return over_seeds(differences, difference_of(within))
