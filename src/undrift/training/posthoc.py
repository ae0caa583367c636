r"""Averages of any length after training, from snapshots of the tracked ones.

A snapshot at T_i images of the track of exponent gamma_i is theta_i = int p_i(tau) theta(tau) dtau
with p_i the power-function profile of ``ema``, eq. (1). The wanted average has the profile p. Any

    theta_hat = sum_i x_i theta_i      has the profile      p_hat = sum_i x_i p_i,           (1)

so the best coefficients need no weights, only profiles: they minimise int (p_hat - p)^2 dtau under
sum_i x_i = 1, without which a weight that never moved would be changed. With A_ij = <p_i, p_j> and
b_i = <p_i, p> that is one linear system. For T_i <= T_j, exactly,

    <p_i, p_j> = (gamma_i + 1) (gamma_j + 1) / ((gamma_i + gamma_j + 1) T_j)
                 (T_i / T_j)^gamma_j.                                                        (2)

Reference: Karras et al. 2024 (arXiv:2312.02696), section 3.2, appendix C.2; the constraint is ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.errors import UsageError
from undrift.training.ema import gamma_of

WORST = 0.1
"""Relative error of a profile above which it is refused, not returned as the requested one."""


@dataclass(frozen=True)
class Profile:
    """The profile of one average.

    Attributes:
        images: images seen when it was taken (T).
        sigma_rel: its relative length.
    """

    images: int
    sigma_rel: float


@dataclass(frozen=True)
class Reconstruction:
    """How to mix snapshots into another average.

    Attributes:
        coefficients: float64 of shape (N,), one per snapshot, with sum 1.
        error: ||p_hat - p|| / ||p||, from 0 (exact) to about 1 (hopeless).
    """

    coefficients: Tensor
    error: float


def reconstruct(
    snapshots: Sequence[Profile], sigma_rel: float, at: int | None = None
) -> Reconstruction:
    """Find the mix of snapshots that comes nearest to an average of another length.

    Args:
        snapshots: profiles of what was stored, each at most once.
        sigma_rel: relative length wanted.
        at: images seen at the end of the wanted average; the newest snapshot's by default.

    Raises:
        UsageError: if there is no snapshot at or after ``at``, or their best mix is too far off.
    """
    newest = max((snapshot.images for snapshot in snapshots), default=0)
    target = Profile(newest if at is None else at, sigma_rel)
    if not snapshots or not 0 < target.images <= newest:
        raise UsageError(
            f"EMA at {target.images} images: the snapshots reach up to {newest}; wanted a number "
            "from 1 to that"
        )
    if target in snapshots:
        exact = torch.zeros(len(snapshots), dtype=torch.float64)
        exact[list(snapshots).index(target)] = 1
        return Reconstruction(exact, 0.0)
    # Profiles scaled to unit norm: they differ by orders of magnitude between early and late ones.
    norms = torch.tensor([_inner(p, p) for p in snapshots], dtype=torch.float64).sqrt()
    size = math.sqrt(_inner(target, target))
    gram = _table(snapshots, snapshots) / (norms[:, None] * norms)
    overlap = _table(snapshots, [target])[:, 0] / (norms * size)
    mass = size / norms  # of a unit-norm profile, in units of the target's
    n = len(snapshots)
    system = torch.zeros(n + 1, n + 1, dtype=torch.float64)
    system[:n, :n], system[:n, n], system[n, :n] = gram, mass, mass
    wanted = torch.cat([overlap, torch.ones(1, dtype=torch.float64)])
    solution = torch.linalg.lstsq(system, wanted[:, None], driver="gelsd").solution[:n, 0]
    squared = 1 - 2 * solution @ overlap + solution @ gram @ solution
    error = math.sqrt(max(0.0, float(squared)))
    if error > WORST:
        raise UsageError(
            f"EMA length {sigma_rel} cannot be made from these snapshots (the nearest is "
            f"{error:.0%} off); take a length between the tracked ones"
        )
    coefficients = solution * mass
    return Reconstruction(coefficients / coefficients.sum(), error)


def _table(rows: Sequence[Profile], columns: Sequence[Profile]) -> Tensor:
    return torch.tensor([[_inner(a, b) for b in columns] for a in rows], dtype=torch.float64)


def _inner(a: Profile, b: Profile) -> float:
    """<p_a, p_b>, eq. (2)."""
    first, last = sorted((a, b), key=lambda profile: profile.images)
    i, j = gamma_of(first.sigma_rel), gamma_of(last.sigma_rel)
    ratio = first.images / last.images
    return (i + 1) * (j + 1) / ((i + j + 1) * last.images) * ratio**j
