r"""The delete-a-group jackknife: a variance of all that can be measured with a part left out.

With the rows dealt at random into G groups of equal size and theta_(g) measured without group g,

.. math:: \widehat{\mathrm{Var}} = \frac{G - 1}{G} \sum_g (\theta_{(g)} - \bar\theta)^2         (1)

which an interval takes with Student's t of G - 1 degrees of freedom.

Reference: Kott, "The delete-a-group jackknife" (2001).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.randomness import generator

GROUPS = 20
_T19 = 2.093024054408263  # 97.5 % quantile of Student's t with GROUPS - 1 degrees of freedom


def groups(count: int, seed: int, purpose: str) -> list[NDArray[np.int64]]:
    """Rows 0 to ``count - 1``, dealt into G groups."""
    order = torch.randperm(count, generator=generator(seed, purpose))
    return [part.numpy() for part in order.tensor_split(GROUPS)]


def half_width(left_out: Sequence[float]) -> float:
    """Half of the 95 % interval of equation (1), from theta_(g) for each of the G groups."""
    values = np.asarray(left_out, dtype=np.float64)
    variance = (GROUPS - 1) / GROUPS * float(((values - values.mean()) ** 2).sum())  # (1)
    return _T19 * math.sqrt(variance)
