r"""How strongly a discriminator's images are augmented, adapted to how far it overfits.

An overfitting discriminator calls nearly every training image real. Every few updates the
probability p of the augmentations moves a little towards that sign's target:

.. math::

    r_t = E[\operatorname{sign} f(x)], \qquad
    p \leftarrow \min\bigl(p_{\max}, \max\bigl(0,\
        p + \operatorname{sign}(r_t - r^*)\,\tfrac{n}{N}\bigr)\bigr)               \quad (1)

with n the reals seen since the last adjustment and N those that p takes from 0 to 1. Up to about
0.8 the augmentations do not leak into what is generated: most images are still untouched, so a
generator that mimicked the augmented ones would be found out.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data",
sections 2 and 3 (:math:`r^* = 0.6`, N of 500,000, an adjustment every 4 minibatches).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from undrift.errors import UsageError

LARGEST = 0.8
"""Probability above which augmentations begin to leak."""

INTERVAL = 4
"""Minibatches between two adjustments."""


class AdaptiveProbability(nn.Module):
    """The probability p, and what it is adapted from; all of it is saved with a checkpoint.

    Args:
        images: N, the reals that p takes from 0 to 1 at most.
        target: the wanted mean sign of the logits of reals.
    """

    probability: Tensor
    signs: Tensor
    seen: Tensor
    batches: Tensor

    def __init__(self, images: int, target: float = 0.6) -> None:
        super().__init__()
        if images < 1 or not -1 < target < 1:
            raise UsageError(
                f"adaptive augmentation: {images} images, target {target}: wanted at least 1 image "
                "and a mean sign between -1 and 1"
            )
        self.images, self.target = images, target
        for name in ("probability", "signs", "seen", "batches"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, logits: Tensor) -> None:
        """Take in the logits (B,) of the reals of one global batch, and adjust p when it is due."""
        self.signs += logits.double().sign().sum().to(self.signs.device)
        self.seen += len(logits)
        self.batches += 1
        if self.batches < INTERVAL:
            return
        excess = self.signs / self.seen - self.target
        moved = self.probability + excess.sign() * self.seen / self.images  # (1)
        self.probability.copy_(moved.clamp(0, LARGEST))
        for count in (self.signs, self.seen, self.batches):
            count.zero_()
