"""Wilson's interval of a share, and an interval of the difference of two shares of pairs.

With ``p`` the observed share of ``n`` and ``z`` the normal quantile,

    (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)                                    (1)

which stays inside [0, 1] and is honest near 0 and 1, where ours usually are.

For shares p and q of the same n cases, with these intervals (l, u) and (m, v) and the correlation
phi of the two outcomes, corrected for continuity, the difference p - q has the interval

    p - q - sqrt((p-l)^2 - 2 phi (p-l)(v-q) + (v-q)^2)  to                                       (2)
    p - q + sqrt((u-p)^2 - 2 phi (u-p)(q-m) + (q-m)^2).

Outcomes h of cases that come in groups g, as several samples of one caption do, are not
independent. As many independent ones would say as much:

    n_eff = n^2 p(1-p) / sum_g (sum_{i in g} h_i - p)^2,    at most n,                          (3)

the number of groups where all of a group agree. It takes the place of n in (1); where all n
outcomes are the same, the number of groups does.

References: Wilson, "Probable inference, the law of succession, and statistical inference" (1927);
Newcombe, "Improved confidence intervals for the difference between binomial proportions based on
paired data" (1998), method 10; Korn and Graubard, "Confidence intervals for proportions with small
expected number of positive counts estimated from survey data" (1998), for (3).
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError

_Z95 = 1.959963984540054


def wilson_interval(hits: float, count: float, z: float = _Z95) -> tuple[float, float]:
    """Equation (1), as (low, high); an effective ``count`` need not be whole.

    Raises:
        UsageError: a share of nothing, or more hits than there were chances.
    """
    if not count > 0 or not 0 <= hits <= count:
        raise UsageError(f"a share of {hits} in {count}: needs 0 <= hits <= count and count > 0")
    p = hits / count
    centre = p + z * z / (2 * count)
    spread = z * sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    # at 0 and 1 rounding would leave the value itself just outside
    return max(0.0, min(p, (centre - spread) / scale)), min(1.0, max(p, (centre + spread) / scale))


def grouped_interval(hits: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[float, float]:
    """Equation (1) with the effective count of (3), as (low, high).

    Args:
        hits: (n,) outcomes.
        groups: (n,) number of the group of each, from 0.

    Raises:
        UsageError: no case.
    """
    if not len(hits):
        raise UsageError("a share of no cases; give one or more")
    p = float(hits.mean())
    if p in (0.0, 1.0):
        count: float = len(np.unique(groups))
    else:
        alone = len(hits) * p * (1 - p)  # the sum in (3), were each case a group of its own
        count = len(hits) * alone / max(alone, float((np.bincount(groups, hits - p) ** 2).sum()))
    return wilson_interval(p * count, count)


def difference_of_shares(
    first: NDArray[np.bool_], second: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """The share of ``first`` less that of ``second``, with equation (2), as (value, low, high).

    Args:
        first: (n,) outcomes.
        second: (n,) outcomes of the same cases.

    Raises:
        UsageError: no case.
    """
    n = len(first)
    (p, low, up), (q, least, most) = (
        (float(one.mean()), *wilson_interval(int(one.sum()), n)) for one in (first, second)
    )
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    one, other = int((first & ~second).sum()), int((~first & second).sum())
    apart = both * neither - one * other
    apart = min(apart, max(0.0, apart - n / 2))
    size = sqrt(n**4 * p * (1 - p) * q * (1 - q))
    phi = apart / size if size else 0.0
    below = (p - low) ** 2 - 2 * phi * (p - low) * (most - q) + (most - q) ** 2
    above = (up - p) ** 2 - 2 * phi * (up - p) * (q - least) + (q - least) ** 2
    return p - q, max(-1.0, p - q - sqrt(below)), min(1.0, p - q + sqrt(above))
