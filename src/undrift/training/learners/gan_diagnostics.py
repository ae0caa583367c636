r"""GAN training diagnostics, on held-out images.

With f the discriminator's logit and x training, v held-out and g generated images, none augmented:

.. math::

    \text{accuracy}    &= \tfrac12 P(f(v) > 0) + \tfrac12 P(f(g) < 0)                    \quad (1)\\
    \text{ranking}     &= P(f(v) > f(g)) + \tfrac12 P(f(v) = f(g))                       \quad (2)\\
    \text{overfitting} &= \frac{E f(x) - E f(v)}{E f(x) - E f(g)}                        \quad (3)\\
    \text{diversity}   &= E\,\lVert g - g' \rVert / \sqrt D, \qquad g \ne g'             \quad (4)

Relativistic and Wasserstein losses leave a constant in f free, so for them (2) counts and (1) does
not. At equilibrium (2) is 1/2. (3) is 0 where held-out images have the logits of training images,
and 1 where they have those of generated ones. (4) has pixels on [0, 1], shrunk to 32 on a side,
beside the same of held-out images with the same labels; over all pairs, and over those of one
label, which shows a generator that makes one image of each class.

The discriminator is in training mode: batch norm has the statistics of a batch of one kind. A copy
of it is used, since batch norm and spectral norm change with every such pass.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", eq. 1
(3); Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve" (2).
"""

from __future__ import annotations

import copy
import math
from collections import deque

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from undrift.conditioning import Condition, ConditionEncoder
from undrift.data.loader import Batch

MOST = 256
"""Images of each kind, at most."""

MULTIPLES = (32, 8, 4, 2, 1)
"""They are a multiple of the first that is not more than all of them, so that minibatch deviation
finds its groups among them."""

SIDE = 32
"""Pixels on a side that images are compared at."""


class RecentBatches:
    """The newest training images, as they were before augmentation.

    They are not saved with a checkpoint: a run that has just been resumed knows few.
    """

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()

    def add(self, batch: Batch) -> None:
        """Keep ``batch``, and drop what is not needed any more."""
        self._batches.append(batch)
        while sum(len(one.images) for one in self._batches) - len(self._batches[0].images) > MOST:
            self._batches.popleft()

    def newest(self) -> Batch | None:
        """At most ``MOST`` images with their condition; None before the first batch."""
        if not self._batches:
            return None
        batches = list(self._batches)
        condition = Condition.concatenate([batch.condition for batch in batches])
        images = torch.cat([batch.images for batch in batches])
        rows = slice(len(images) - usable(len(images)), len(images))
        return Batch(images[rows], condition[rows])


def usable(available: int) -> int:
    """How many of ``available`` images are used."""
    most = min(available, MOST)
    multiple = next((m for m in MULTIPLES if m <= most), 1)
    return most - most % multiple


def diagnostics(
    discriminator: nn.Module,
    encoder: ConditionEncoder,
    *,
    held_out: Tensor,
    generated: Tensor,
    condition: Condition,
    seen: tuple[Tensor, Condition] | None,
) -> dict[str, float | None]:
    """Logits, signs, and eqs. (1) to (3); None for what is not finite or lacks its images.

    Args:
        discriminator: in whatever mode; it is left alone.
        encoder: of its conditions.
        held_out: (B, C, H, W) in the networks' space.
        generated: (B, C, H, W), under the same condition.
        condition: of both.
        seen: training images and their condition.
    """
    trained = copy.deepcopy(discriminator).train()

    def logits(images: Tensor, known: Condition) -> Tensor:
        return trained(images, encoder(known, len(images))).double()

    v, g = logits(held_out, condition), logits(generated, condition)
    found = {
        "accuracy": ((v > 0).double().mean() + (g < 0).double().mean()) / 2,  # (1)
        "ranking": _ranking(v, g),
        "real_logit": v.mean(),
        "fake_logit": g.mean(),
        "real_sign": v.sign().mean(),
        "fake_sign": g.sign().mean(),
    }
    if seen is not None:
        x = logits(*seen)
        found["seen_logit"], found["seen_sign"] = x.mean(), x.sign().mean()
        found["overfitting"] = (x.mean() - v.mean()) / (x.mean() - g.mean())  # (3)
    return {name: _number(value) for name, value in found.items()}


def diversity(images: Tensor, labels: Tensor | None) -> dict[str, float | None]:
    """Equation (4) as ``diversity``, and within labels as ``class_diversity`` where there are any.

    Args:
        images: uint8 (B, C, H, W), at least two.
        labels: (B,), or None.
    """
    pixels = images.double() / 255
    if max(pixels.shape[-2:]) > SIDE:
        height, width = (min(SIDE, side) for side in pixels.shape[-2:])
        pixels = F.adaptive_avg_pool2d(pixels, (height, width))
    flat = pixels.flatten(1)
    apart = torch.cdist(flat, flat) / math.sqrt(flat.shape[1])
    first, second = torch.triu_indices(len(flat), len(flat), 1, device=flat.device)
    found = {"diversity": _number(apart[first, second].mean())}
    if labels is not None:
        same = labels[first] == labels[second]
        found["class_diversity"] = _number(apart[first, second][same].mean())
    return found


def _ranking(v: Tensor, g: Tensor) -> Tensor:
    above = (v[:, None] > g).double() + (v[:, None] == g).double() / 2
    return above.mean() + 0 * (v.mean() + g.mean())  # (2); comparisons would hide a NaN


def _number(value: Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
