r"""How like the data images are, in a form that a sampler can be fitted by.

It is the Frechet distance to the data (``metrics/frechet.py``), of which here only the images' side
moves, in the features of a network that is never trained (``metrics/features/untrained.py``). They
need no labels and no time, and are another space than the one of `undrift evaluate`.

    d(X) = |m - m_*|^2 + tr S + tr S_* - 2 sum_a mu_a^{1/2}                                  (1)

Symbols: ``m, S`` mean and covariance of the features of the images X, ``m_*, S_*`` those of the
data, ``F_* F_*^T = S_*``, and ``mu`` the eigenvalues of ``F_*^T S F_*``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.advice import named
from undrift.metrics.features import RandomFeatures, require_different
from undrift.metrics.frechet import factor
from undrift.metrics.images import rows_of
from undrift.metrics.moments import Moments

MOST = 10_000
"""Images of the data that are used."""

_BLOCK = 256
_SMALLEST = 1e-14  # of the largest mu: below it, a root has no slope worth following


@dataclass(frozen=True, eq=False)
class Likeness:
    """What the features of the data are like.

    Attributes:
        space: the features.
        moments: of the data in it.
    """

    space: RandomFeatures
    moments: Moments

    @classmethod
    def to(cls, images: NDArray[np.uint8], seed: int) -> Likeness:
        """The likeness to ``images`` (N, H, W, C) uint8, to at most `MOST` of them.

        Raises:
            UsageError: fewer than two images, or images without a difference.
        """
        chosen = np.asarray(images[rows_of(len(images), MOST, seed, "likeness")])
        advice = f"name others by {named('reference')}, or {named('aim')} solution"
        require_different(chosen, "features to fit the last step by", advice)
        space = RandomFeatures.fit(chosen)
        return cls(space, Moments.of(space.features(chosen)))

    def features(self, levels: Tensor) -> Tensor:
        """(n, 64) float64 of ``levels`` (n, C, H, W) on [0, 255]; differentiable in them."""
        blocks = levels.clamp(0, 255).split(_BLOCK)
        return torch.cat([self.space.of_levels(block) for block in blocks]).double()

    def distance(self, features: Tensor) -> Tensor:
        """Equation (1) of ``features`` (n, 64) float64, (); differentiable in them."""
        mean, half = (torch.from_numpy(np.asarray(a)) for a in (self.moments.mean, self._factor))
        shift = features.mean(0) - mean
        centred = features - features.mean(0)
        covariance = centred.T @ centred / (len(features) - 1)
        squares = torch.linalg.eigvalsh(half.T @ covariance @ half)
        floor = _SMALLEST * float(squares.detach().max())
        overlap = squares.clamp_min(floor).sqrt().sum()
        return (
            shift @ shift
            + covariance.trace()
            + float(self.moments.covariance.trace())
            - 2 * overlap
        )  # (1)

    @property
    def _factor(self) -> NDArray[np.float64]:
        return factor(self.moments.covariance)
