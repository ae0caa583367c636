r"""Fidelity and diversity from nearest neighbours: precision, recall, density, coverage.

Around every real feature ``x_i`` lies a ball ``B(x_i, r_i)`` whose radius is the distance to its
k-th nearest other real feature (itself left out), and likewise around every generated ``y_j``. With
N real and M generated features:

    precision = 1/M  #{j : y_j in some B(x_i)}          recall   = 1/N #{i : x_i in some B(y_j)} (1)
    density   = 1/kM #{(i, j) : y_j in B(x_i)}          coverage = 1/N #{i : some y_j in B(x_i)} (2)

Membership is strict, ``|x - y| < r``: with ``<=``, sets that hold duplicates count themselves as
covered. For equal distributions E[density] = 1 and

    E[coverage] = 1 - prod_{i=0}^{k-1} (N - 1 - i) / (N + M - 1 - i)                             (3)

so coverage depends on N and M: compare it at equal sizes only.

References: Kynkaanniemi et al., "Improved precision and recall metric for assessing generative
models" (2019), for (1); Naeem et al., "Reliable fidelity and diversity metrics for generative
models" (2020), for (2) and (3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.errors import UsageError


@dataclass(frozen=True)
class Neighbourhoods:
    """The four numbers, and what they were computed from.

    Attributes:
        precision: share of generated features inside some real ball, in [0, 1].
        recall: share of real features inside some generated ball, in [0, 1].
        density: mean number of real balls a generated feature lies in, over k; 1 is right.
        coverage: share of real balls that hold a generated feature, in [0, 1].
        real: N.
        generated: M.
        k: neighbour that sets the radius.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    real: int
    generated: int
    k: int


def neighbourhoods(
    real: NDArray[np.floating], generated: NDArray[np.floating], k: int = 5, chunk: int = 1024
) -> Neighbourhoods:
    """Equations (1) and (2) for ``real`` (N, D) and ``generated`` (M, D), in float64.

    Args:
        real: features of real images.
        generated: features of generated images, from the same extractor.
        k: neighbour that sets the radius of a ball.
        chunk: rows of the distance matrix held at once; memory is chunk x max(N, M).

    Raises:
        UsageError: shapes that do not fit, or a set with no k-th neighbour.
    """
    x, y = _rows(real, "real"), _rows(generated, "generated")
    if x.shape[1] != y.shape[1]:
        raise UsageError(
            f"features of {x.shape[1]} and {y.shape[1]} dimensions cannot be compared: "
            "use one extractor"
        )
    real_radii, generated_radii = radii(x, k, chunk), radii(y, k, chunk)
    covered = torch.zeros(len(x), dtype=torch.bool)
    recalled = torch.zeros(len(x), dtype=torch.bool)
    precise, memberships = 0, 0
    for start in range(0, len(y), chunk):
        distance = _distances(x, y[start : start + chunk])
        inside = distance < real_radii[:, None]  # (N, rows): y_j in B(x_i)
        covered |= inside.any(dim=1)
        precise += int(inside.any(dim=0).sum())
        memberships += int(inside.sum())
        recalled |= (distance < generated_radii[None, start : start + chunk]).any(dim=1)
    return Neighbourhoods(
        precision=precise / len(y),
        recall=float(recalled.double().mean()),
        density=memberships / (k * len(y)),
        coverage=float(covered.double().mean()),
        real=len(x),
        generated=len(y),
        k=k,
    )


def radii(features: Tensor, k: int, chunk: int = 1024) -> Tensor:
    """Distance (N,) of each row of ``features`` (N, D) to its k-th nearest other row.

    Raises:
        UsageError: fewer than k + 1 rows, or k < 1.
    """
    count = len(features)
    if not 1 <= k < count:
        raise UsageError(f"k = {k} neighbours among {count} images: needs 1 <= k < {count}")
    parts = []
    for start in range(0, count, chunk):
        distance = _distances(features[start : start + chunk], features)
        rows = torch.arange(len(distance))
        distance[rows, start + rows] = torch.inf  # the row itself is no neighbour
        parts.append(distance.kthvalue(k, dim=1).values)
    return torch.cat(parts)


def expected_coverage(real: int, generated: int, k: int = 5) -> float:
    """Equation (3): the coverage of a perfect model at these sizes."""
    missed = 1.0
    for i in range(k):
        missed *= (real - 1 - i) / (real + generated - 1 - i)
    return 1.0 - missed


def _rows(features: NDArray[np.floating], what: str) -> Tensor:
    rows = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float64))
    if rows.ndim != 2:
        raise UsageError(f"{what} features have shape {tuple(rows.shape)}: give an array (n, D)")
    if not bool(torch.isfinite(rows).all()):
        raise UsageError(f"{what} features hold NaN or infinity: check the images they came from")
    return rows


def _distances(x: Tensor, y: Tensor) -> Tensor:
    # not through |x|^2 + |y|^2 - 2xy: cancellation would give copies a distance above zero, and the
    # strict comparison above would no longer see ties as ties
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
