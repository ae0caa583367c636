"""A number with its 95 % interval, and how the interval came about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import inf, isfinite, isnan, sqrt

from undrift.errors import UsageError
from undrift.metrics.wilson import wilson_interval

Z95 = 1.959963984540054
"""Half the width of a 95 % interval in standard errors."""


@cache
def student_quantile(count: int) -> float:
    """97.5 % quantile of Student's t, for a mean of ``count`` values, at least 2.

    12.7 for two of them: their deviation says little of that of all.
    """
    from scipy.special import stdtrit  # a moment, spared where no mean is taken

    return float(stdtrit(count - 1, 0.975))


@dataclass(frozen=True)
class Estimate:
    """What a metric returns.

    Attributes:
        value: the estimate.
        low: lower end of its 95 % interval.
        high: upper end.
        method: the interval's estimator and what it holds fixed. Where the estimate is biased at
            finite n, the interval is about its expectation at that n, not about the limit.
    """

    value: float
    low: float
    high: float
    method: str

    def __post_init__(self) -> None:
        """Refuse NaN: a metric that cannot be had is left out with its reason."""
        if not isfinite(self.value) or isnan(self.low) or isnan(self.high) or self.low > self.high:
            raise UsageError(
                f"estimate {self.value} in [{self.low}, {self.high}]: wanted finite numbers in "
                "order; check the features for constant or non-finite columns"
            )

    @classmethod
    def normal(
        cls,
        value: float,
        standard_error: float,
        method: str,
        *,
        lowest: float = -inf,
        highest: float = inf,
        quantile: float = Z95,
    ) -> Estimate:
        """``value +- quantile standard_error``, cut to what the metric can be."""
        half = quantile * standard_error
        return cls(value, max(lowest, value - half), min(highest, value + half), method)

    @classmethod
    def score(
        cls,
        value: float,
        variance: float,
        slope: float,
        least: float,
        method: str,
        *,
        lowest: float = -inf,
    ) -> Estimate:
        """All t from which ``value`` is less than 1.96 of *t's* standard errors away.

        Squared distances vary more the larger they are. Were ``variance``, which goes with the
        value that came out, taken for every t, then intervals would be too narrow after a small
        value and too wide after a large one. Here the variance at t is
        ``max(least, variance + slope (t - value))``, as in Wilson's interval of a share.

        Args:
            value: the estimate.
            variance: its variance, if the target is the value itself.
            slope: how much the variance grows with the target, not negative.
            least: variance for targets near zero.
            method: how these were estimated, and what was held fixed.
            lowest: what the target can't be below.
        """
        below = above = Z95 * sqrt(least)
        # (t - value)^2 = 1.96^2 (variance + slope (t - value)) where that exceeds ``least``
        tilt = Z95**2 * slope / 2
        root = sqrt(max(0.0, Z95**2 * variance + tilt**2))
        if variance - slope * below > least:
            below = root - tilt
        if variance + slope * above > least:
            above = root + tilt
        return cls(value, max(lowest, value - below), value + above, method)

    @classmethod
    def wilson(cls, hits: int, count: int, of: str = "samples") -> Estimate:
        """The share ``hits / count`` with Wilson's interval, ``of`` what it is a share."""
        low, high = wilson_interval(hits, count)
        return cls(hits / count, low, high, f"Wilson, {count} {of}")
