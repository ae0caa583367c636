r"""Which modes of a known mixture of the plane are reached by points that a model has drawn.

The truth is K Gaussians N(m_k, s^2 I), all alike frequent. Of n points x with nearest mode k(x),

    x is of high quality   if |x - m_k(x)| <= 3 s                                                (1)
    mode k is touched      if at least one point of high quality is nearest to it                (2)
    mode k is found        if at least n / 4K points of high quality are, a quarter of its share (3)
    KL = sum_k p_k log(K p_k),   p_k the share of all points that are nearest to mode k          (4)
    spread = sqrt(mean |x - m_k(x)|^2 / 2 s^2 c)   over points of high quality                   (5)

A perfect sampler has 1 - exp(-9/2) = 98.9 % of high quality, finds every mode, and scores (K - 1)
/ 2n in (4). c = 1 - (9/2) / (exp(9/2) - 1) is what cutting off at 3 s leaves of the variance, so
that its spread is 1; a model that has shrunk every mode to a point has spread 0, all modes and all
points of high quality. (1), (2) and (4) are as published; (2) takes a single stray point in 2,500
for a mode, which is why (3) is the count to go by. At n of 100 K a perfect sampler misses one of
its modes by (3) less than once in a million runs.

References: Srivastava et al., "VEEGAN: reducing mode collapse in GANs using implicit variational
learning" (2017), section 4, for (1) and (2) at n of 2,500; Lin et al., "PacGAN: the power of two
samples in generative adversarial networks" (2018), section 4.1, for (4).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray

from undrift.errors import UsageError
from undrift.metrics.estimate import Estimate
from undrift.metrics.modes import mode_coverage

REACH = 3.0
"""Standard deviations within which a point is of high quality."""

SHARE = 0.25
"""Of its fair share of the points that a mode must hold to count as found."""

PERFECT = 1 - exp(-(REACH**2) / 2)
"""Share of high quality of a perfect sampler."""

_CUT = 1 - (REACH**2 / 2) / (exp(REACH**2 / 2) - 1)


@dataclass(frozen=True)
class PointCoverage:
    """Modes and quality of n points.

    Attributes:
        modes: K.
        found: modes found, equation (3).
        touched: modes with a single good point or more, equation (2).
        high_quality: share of the points, equation (1); a perfect sampler's is ``PERFECT``.
        kl: equation (4) in nats, with its interval at this n.
        floor_kl: what a perfect sampler scores on average at this n.
        spread: equation (5), 1 for a perfect sampler; None without two points of high quality.
        hits: (K,) points of high quality of each mode.
    """

    modes: int
    found: int
    touched: int
    high_quality: Estimate
    kl: Estimate
    floor_kl: float
    spread: Estimate | None
    hits: tuple[int, ...]


def point_coverage(
    points: NDArray[np.floating], modes: NDArray[np.floating], std: float
) -> PointCoverage:
    """Equations (1) to (5).

    Args:
        points: (n, 2), in the units of ``modes``.
        modes: (K, 2), m_k, K at least 2.
        std: s.

    Raises:
        UsageError: shapes that do not fit, points that are not finite, or no deviation.
    """
    x, m = np.asarray(points, dtype=np.float64), np.asarray(modes, dtype=np.float64)
    if x.ndim != 2 or m.ndim != 2 or x.shape[1:] != (2,) or m.shape[1:] != (2,):
        raise UsageError(f"points {x.shape} and modes {m.shape}: wanted (n, 2) and (K, 2)")
    if len(x) < 1 or len(m) < 2 or not np.isfinite(x).all() or not std > 0:
        raise UsageError(
            f"{len(x)} points, {len(m)} modes, deviation {std}: wanted finite points, two modes "
            "and a deviation above 0"
        )
    squares = ((x[:, None] - m) ** 2).sum(axis=2)
    nearest = squares.argmin(axis=1)
    square = squares.min(axis=1)
    good = square <= (REACH * std) ** 2  # (1)
    hits = np.bincount(nearest[good], minlength=len(m))
    even = mode_coverage(nearest, len(m))  # (4)
    return PointCoverage(
        modes=len(m),
        found=int((hits >= SHARE * len(x) / len(m)).sum()),  # (3)
        touched=int((hits > 0).sum()),  # (2)
        high_quality=Estimate.wilson(int(good.sum()), len(x), "points"),
        kl=even.kl,
        floor_kl=even.floor_kl,
        spread=_spread(square[good] / (2 * std**2 * _CUT)),
        hits=tuple(hits.tolist()),
    )


def _spread(ratios: NDArray[np.float64]) -> Estimate | None:
    """Equation (5) from squared distances in units of their expectation."""
    if len(ratios) < 2:
        return None
    value = sqrt(ratios.mean())
    error = float(ratios.std(ddof=1)) / sqrt(len(ratios)) / (2 * value) if value > 0 else 0.0
    return Estimate.normal(value, error, f"delta method, {len(ratios)} points", lowest=0.0)
