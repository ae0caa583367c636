r"""Adversarial losses: what a discriminator and a generator minimise.

With f the discriminator's logit, x a real and g a generated image, s(u) = log(1 + e^u) (softplus):

============  ===========================================  ============================
loss          discriminator                                generator
============  ===========================================  ============================
non-sat.      s(f(g)) + s(-f(x))                      (1)  s(-f(g))                 (2)
hinge         max(0, 1 - f(x)) + max(0, 1 + f(g))     (3)  -f(g)                    (4)
Wasserstein   f(g) - f(x)                             (5)  -f(g)                    (6)
relativistic  s(-(f(x) - f(g)))                       (7)  s(-(f(g) - f(x)))        (8)
============  ===========================================  ============================

Every loss is per pair of rows: row i of the reals meets row i of the generated. Only (7) and (8)
couple the two (``pairs``): their generator sees real images too, and what counts is that an image
is rated above the real ones around it, which a generator that has dropped modes cannot have.

References: Goodfellow et al. 2014, "Generative Adversarial Nets" (1, 2); Miyato et al. 2018,
"Spectral Normalization for Generative Adversarial Networks", eqs. 17-18 (3, 4); Arjovsky et al.
2017, "Wasserstein GAN" (5, 6); Jolicoeur-Martineau 2019, "The Relativistic Discriminator", and
Huang et al. 2024, "The GAN is dead; long live the GAN!", eq. 2 (7, 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor
from torch.nn.functional import relu, softplus

from undrift.errors import UsageError


@dataclass(frozen=True)
class NonSaturating:
    """The classical loss, with a generator that does not saturate."""

    kind: Literal["non_saturating"] = "non_saturating"
    pairs: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Loss of each pair, (B,), from logits of reals and of generated images, each (B,)."""
        _check(real, fake)
        return softplus(fake) + softplus(-real)  # (1)

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Loss of each generated image, (B,); the reals' logits play no part."""
        _check(real, fake)
        return softplus(-fake)  # (2)


@dataclass(frozen=True)
class Hinge:
    """The hinge loss: logits beyond the margin of 1 teach the discriminator nothing."""

    kind: Literal["hinge"] = "hinge"
    pairs: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Loss of each pair, (B,), from logits of reals and of generated images, each (B,)."""
        _check(real, fake)
        return relu(1 - real) + relu(1 + fake)  # (3)

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Loss of each generated image, (B,); the reals' logits play no part."""
        _check(real, fake)
        return -fake  # (4)


@dataclass(frozen=True)
class Wasserstein:
    """The critic's difference; a distance only where the critic is 1-Lipschitz."""

    kind: Literal["wasserstein"] = "wasserstein"
    pairs: ClassVar[bool] = False

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Loss of each pair, (B,), from the critic's values, each (B,)."""
        _check(real, fake)
        return fake - real  # (5)

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Loss of each generated image, (B,); the reals' values play no part."""
        _check(real, fake)
        return -fake  # (6)


@dataclass(frozen=True)
class RelativisticPaired:
    """The relativistic paired loss: only the difference within a pair counts."""

    kind: Literal["relativistic"] = "relativistic"
    pairs: ClassVar[bool] = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Loss of each pair, (B,), from logits of reals and of generated images, each (B,)."""
        _check(real, fake)
        return softplus(fake - real)  # (7)

    def generator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Loss of each pair, (B,): the generator is to be rated above the real image."""
        _check(real, fake)
        return softplus(real - fake)  # (8)


AdversarialLoss = NonSaturating | Hinge | Wasserstein | RelativisticPaired
"""Any adversarial loss."""


def _check(real: Tensor, fake: Tensor) -> None:
    # Broadcasting (B,) with (B, 1) would silently pair every row with every other.
    if real.ndim != 1 or real.shape != fake.shape:
        raise UsageError(
            f"logits of shape {tuple(real.shape)} and {tuple(fake.shape)}: wanted (B,) for both"
        )
