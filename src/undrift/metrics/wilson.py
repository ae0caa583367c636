"""Wilson's interval of a share.

With ``p`` the observed share of ``n`` and ``z`` the normal quantile,

    (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)                                    (1)

which stays inside [0, 1] and is honest near 0 and 1, where ours usually are.

Reference: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
"""

from __future__ import annotations

from math import sqrt

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
