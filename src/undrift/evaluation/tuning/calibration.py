r"""The last step's weights, fitted so that the images are distributed as the data are.

A sampler ends on sigma = 0, where its image is a sum of the network's outputs at all steps,

    x_K = sum_j c_j D_j,                                                                     (1)

so that these weights can be fitted without further network evaluations. The sampler that is nearest
to the fine solution is nearest on average: its images are smoother than they should be, and so are
those of the fine solution, as far as the network itself averages. Both are corrected by

    min over c   d(x_K(c)) / d(x_K(c^0))                                                     (2)
                 + stiffness max(0, e(c) / e_max - allowed)^2,                               (3)

over images of seeds of their own. Symbols: ``d`` the distance to the data
(``tuning/likeness.py``), ``e`` the error against the fine solution and ``e_max`` the most that it
may be. What is found is taken as far as it brings the images of other seeds nearer to the data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from undrift.diffusion import NoiseSchedule
from undrift.evaluation.tuning.cases import Source
from undrift.evaluation.tuning.likeness import Likeness
from undrift.pipelines.spec import SampleSpec
from undrift.sampling.learned import Cases, Table, denoised_along

FITTED, TESTED = 8, 4
"""Images to fit to, and of other seeds to test on, for each that the sampler was tuned on."""

_UPDATES = 12
_SHARES = (1.0, 0.75, 0.5, 0.25)
_ALLOWED, _STIFFNESS = 0.97, 300.0
_PART = 125
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A table and what its last step was worth.

    Attributes:
        table: with other weights in its last step, or as it was.
        before: distance to the data of images that were not fitted to, with the table as it was.
        after: the same with the new one.
    """

    table: Table
    before: float
    after: float


def calibrate(
    source: Source,
    table: Table,
    likeness: Likeness,
    choose: Sequence[Cases],
    *,
    count: int,
    furthest: float,
    on_part: Callable[[int], None],
) -> Calibrated:
    """Fit the last step of ``table`` by equation (2).

    Args:
        source: the model.
        table: a sampler.
        likeness: to the data.
        choose: images with fine solutions.
        count: images that the sampler was tuned on; those here come after them.
        furthest: mean error of ``choose`` that is not to be exceeded.
        on_part: called after each part of the images drawn; to cancel, raise.
    """
    ends = [count, (1 + FITTED) * count, (1 + FITTED + TESTED) * count]
    said, others = (
        _said(source, table, range(first, last), on_part) for first, last in pairwise(ends)
    )
    known = torch.cat([_heard(one, table, source.schedule) for one in choose], 1)
    targets = torch.cat([one.target.cpu() for one in choose])

    def distance(denoised: Tensor, weights: Tensor) -> Tensor:
        return likeness.distance(
            likeness.features(source.pipeline.codec.levels(_sum(denoised, weights)))
        )

    def error(weights: Tensor) -> Tensor:
        missed = (_sum(known, weights) - targets).double()
        return missed.flatten(1).square().mean(1).sqrt().mean()

    start = table.coefficients[-1]
    before = float(distance(others, start))

    def loss(weights: Tensor) -> Tensor:
        beyond = torch.relu(error(weights) / furthest - _ALLOWED)
        return distance(said, weights) / before + _STIFFNESS * beyond**2  # (2), (3)

    found = _fitted(loss, start)
    for share in _SHARES:
        weights = start + share * (found - start)
        after = float(distance(others, weights))
        if after < before and float(error(weights)) <= furthest:
            last = torch.cat([table.coefficients[:-1], weights[None]])
            return Calibrated(replace(table, coefficients=last), before, after)
    return Calibrated(table, before, before)


def _sum(denoised: Tensor, weights: Tensor) -> Tensor:
    return torch.einsum("k,kbchw->bchw", weights.to(denoised), denoised)  # (1)


def _heard(one: Cases, table: Table, schedule: NoiseSchedule) -> Tensor:
    """D_j of images with fine solutions, from the same noise wherever the table begins."""
    rescaled = schedule(table.times[0]).sigma / schedule(one.path.times[0]).sigma
    return denoised_along(one.denoise, one.start * rescaled, table, schedule)


def _fitted(loss: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """The weights (K,) of least loss, by L-BFGS from ``start``."""
    weights = start.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [weights], max_iter=_UPDATES, line_search_fn="strong_wolfe", tolerance_grad=0.0
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss(weights)
        value.backward()
        return value.detach()

    optimiser.step(closure)
    return weights.detach()


def _said(source: Source, table: Table, rows: range, on_part: Callable[[int], None]) -> Tensor:
    """D_j of some images, on the CPU, (K, B, C, H, W)."""
    labels = even_labels(source.pipeline.spec, len(rows))
    parts = []
    for start in range(rows.start, rows.stop, _PART):
        part = range(start, min(start + _PART, rows.stop))
        denoise, noise = source.bound(part, labels)
        x = noise * source.schedule(table.times[0]).sigma
        parts.append(denoised_along(denoise, x, table, source.schedule))
        on_part(len(part))
    return torch.cat(parts, 1)


def even_labels(spec: SampleSpec, count: int) -> list[int] | None:
    """Classes of ``count`` images, each as often as in the data; None without classes.

    Drawn at random their shares would differ from the data's, and so would the images.
    """
    if not spec.class_names:
        return None
    shares = np.array(spec.class_frequencies or (1.0,) * len(spec.class_names))
    edges = np.cumsum(shares / shares.sum())
    places = np.arange(count) * _GOLDEN % 1  # evenly in [0, 1), in any stretch
    return np.searchsorted(edges[:-1], places, side="right").tolist()
