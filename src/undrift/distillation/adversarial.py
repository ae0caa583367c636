r"""Adversarial flow: one pass from noise to image, held near the shortest transport.

With discriminator logits :math:`f` of a real image :math:`x` and of :math:`g = G(z)`,

.. math::

    L_D &= s\bigl(f(g) - f(x)\bigr) + \tfrac{\gamma}{2}\,(\Delta(x) + \Delta(g))
           + c\,(f(x) + f(g))^2,                                                         \quad (1)\\
    L_G &= s\bigl(f(x) - f(g)\bigr) + w(p)\,\lVert G(z) - z \rVert^2,                    \quad (2)\\
    \Delta(x) &= \bigl(f(x + h\,n) - f(x)\bigr)^2 / h^2, \qquad n \sim N(0, I),          \quad (3)

:math:`s` softplus. The mean of (3) over :math:`n` is the squared gradient norm of the penalties R1
and R2, to first order in :math:`h`, without a second derivative. Any map that sends noise to data
minimises the first term of (2); the transport term, whose weight falls by half a cosine over the
run, picks out the one that moves it least, and keeps the generator from wandering. The
discriminator's gradient reaches the generator with a root mean square of 1 per element, so that
its weight against the transport does not depend on the discriminator's scale. The mean is over the
images of one backward pass: ranks and micro-batches are normalised each on its own.

Reference: Lin et al. 2025, "Adversarial Flow Models", sections 3 and 4; losses and penalties are
those of R3GAN (`undrift.gan`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from undrift.gan import RelativisticPaired
from undrift.networks.gan import AdversaryConfig, R3GANConfig
from undrift.schema import check_ranges


@dataclass(frozen=True)
class AdversarialFlowConfig:
    """Weights of adversarial flow.

    Attributes:
        discriminator: shape of the discriminator.
        discriminator_rate: its peak learning rate.
        gamma: of the penalties.
        shift: h of equation (3).
        penalised: share of each batch that the penalties are taken on.
        centring: c of equation (1).
        transport: w at the start and at the end of the run.
    """

    kind: Literal["adversarial_flow"] = "adversarial_flow"
    steps: ClassVar[tuple[int, ...]] = (1,)
    chosen_level: ClassVar[bool] = False
    end: ClassVar[bool] = False
    guided: ClassVar[bool] = False
    direction: ClassVar[str] = "data"
    discriminator: AdversaryConfig = field(default_factory=R3GANConfig)
    discriminator_rate: float = 1e-3
    gamma: float = 2.0
    shift: float = 0.01
    penalised: float = 1.0
    centring: float = 0.01
    transport: tuple[float, float] = (0.2, 0.005)

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "adversarial flow",
            discriminator_rate=(1e-12, 1e3),
            gamma=(0, 1e6),
            shift=(1e-6, 1),
            penalised=(0, 1),
            centring=(0, 1e6),
            transport=(0, 1e6),
        )

    def transport_weight(self, fraction: float) -> float:
        """W of equation (2) after the share ``fraction`` of the run."""
        start, end = self.transport
        return end + (start - end) * (1 + math.cos(math.pi * fraction)) / 2


def difference_penalty(logits: Tensor, shifted: Tensor, shift: float) -> Tensor:
    """Half of (3): R1 at reals and R2 at generated images on average, (B,).

    Args:
        logits: of the images, (B,).
        shifted: of the images with ``shift`` times standard normal noise added, (B,).
        shift: h.
    """
    return ((shifted - logits) / shift).square() / 2  # (3)


def discriminator_losses(real: Tensor, fake: Tensor, centring: float) -> Tensor:
    """Equation (1) without penalties, (B,), from logits (B,) each."""
    paired = RelativisticPaired().discriminator(real, fake)
    return paired + centring * (real + fake).square()  # (1)


def generator_losses(real: Tensor, fake: Tensor, moved: Tensor, weight: float) -> Tensor:
    """Equation (2), (B,).

    Args:
        real: logits (B,).
        fake: logits (B,).
        moved: G(z) - z, (B, ...).
        weight: w.
    """
    return RelativisticPaired().generator(real, fake) + weight * moved.square().flatten(1).mean(1)


def with_gradient_size(x: Tensor, size: float) -> Tensor:
    """``x`` (B, ...), with a gradient of root mean square ``size`` per element; 0 stays 0.

    The mean is over all of ``x``, so that a batch divided in parts has another gradient.
    """

    def normalised(gradient: Tensor) -> Tensor:
        root = gradient.float().square().mean().sqrt().clamp_min(torch.finfo(torch.float32).tiny)
        return gradient * (size / root).to(gradient.dtype)

    passed = x.view_as(x)
    passed.register_hook(normalised)
    return passed
