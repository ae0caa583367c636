"""A noise level as plain numbers, which is what a multistep rule's coefficients are made of.

Coefficients are a few dozen operations on single numbers: in tensors they would cost more than the
step itself on a small model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from undrift.diffusion import Level


@dataclass(frozen=True)
class Point:
    """One level of a path.

    Attributes:
        t: time in [0, 1].
        alpha: factor of the data.
        sigma: factor of the noise.
    """

    t: float
    alpha: float
    sigma: float

    @classmethod
    def of(cls, level: Level) -> Point:
        """Read a scalar level; free where it lies on the CPU, as those of a grid do."""
        return cls(float(level.t), float(level.alpha), float(level.sigma))

    @property
    def ratio(self) -> float:
        """``r = sigma / alpha``; inf where alpha is 0."""
        return self.sigma / self.alpha if self.alpha > 0 else math.inf

    @property
    def half_log_snr(self) -> float:
        """``lambda = log(alpha / sigma)``; -inf where alpha is 0, inf where sigma is."""
        if self.alpha <= 0:
            return -math.inf
        return math.log(self.alpha) - math.log(self.sigma) if self.sigma > 0 else math.inf
