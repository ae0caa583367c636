r"""The last step's weights, fitted so that the images are distributed as the data are.

A sampler ends on sigma = 0, where its image is a sum of what the network has said on the way,

    x_K = sum_j c_j D_j,                                                                     (1)

so that these weights can be fitted to anything without asking the network again. There is a reason
to: the sampler that is nearest to the fine solution is nearest on average, what it cannot know it
leaves in the middle, and its images are smoother than they should be; so are those of the fine
solution, as far as the network itself averages. Both are put right by

    min over c   d(x_K(c)),                                                                  (2)

with d the distance to the data (``tuning/likeness.py``), over images of seeds of their own. What
is found is taken as far as it leads the images of other seeds towards the data, and never so far
that they are further from the fine solution than wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from undrift.experiments.tuning.cases import Source
from undrift.experiments.tuning.likeness import Likeness
from undrift.pipelines.spec import SampleSpec
from undrift.sampling.learned import Cases, Table, errors, heard

IMAGES = 1000
"""Images to fit to."""

JUDGED = 500
"""Images of other seeds."""

_UPDATES = 12
_SHARES = (1.0, 0.75, 0.5, 0.25)
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
    first: int,
    furthest: float,
    on_part: Callable[[int], None],
) -> Calibrated:
    """Fit the last step of ``table`` by equation (2).

    Args:
        source: the model.
        table: a sampler.
        likeness: to the data.
        choose: images with fine solutions.
        first: number of the first image to fit to.
        furthest: mean error of ``choose`` that is not to be exceeded.
        on_part: told after each part of the images drawn; to cancel, raise.
    """
    said = _said(source, table, range(first, first + IMAGES), on_part)
    others = _said(source, table, range(first + IMAGES, first + IMAGES + JUDGED), on_part)

    def distance(denoised: Tensor, weights: Tensor) -> Tensor:
        x = torch.einsum("k,kbchw->bchw", weights.to(denoised), denoised)  # (1)
        return likeness.distance(likeness.features(source.pipeline.codec.levels(x)))

    start = table.coefficients[-1]
    found = _fitted(lambda weights: distance(said, weights), start)
    before = float(distance(others, start))
    for share in _SHARES:
        weights = start + share * (found - start)
        made = replace(table, coefficients=torch.cat([table.coefficients[:-1], weights[None]]))
        after = float(distance(others, weights))
        if after < before and float(errors(choose, made, source.schedule).mean()) <= furthest:
            return Calibrated(made, before, after)
    return Calibrated(table, before, before)


def _fitted(distance: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """The weights (K,) of least distance, by L-BFGS from ``start``."""
    weights = start.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS(
        [weights], max_iter=_UPDATES, line_search_fn="strong_wolfe", tolerance_grad=0.0
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = distance(weights)  # (2)
        value.backward()
        return value.detach()

    optimiser.step(loss)
    return weights.detach()


def _said(source: Source, table: Table, rows: range, on_part: Callable[[int], None]) -> Tensor:
    """D_j of some images, on the CPU, (K, B, C, H, W)."""
    labels = even_labels(source.pipeline.spec, len(rows))
    parts = []
    for start in range(rows.start, rows.stop, _PART):
        part = range(start, min(start + _PART, rows.stop))
        denoise, noise = source.bound(part, labels)
        x = noise * source.schedule(table.times[0]).sigma
        parts.append(heard(denoise, x, table, source.schedule))
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
