"""What a GAN is made of, as plain data: networks, losses, penalties, augmentation, optimisers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from undrift.codec import CodecConfig, IdentityConfig
from undrift.conditioning import ConditionSpec
from undrift.errors import UsageError
from undrift.gan import AdversarialLoss, RelativisticPaired
from undrift.limits import WIDEST
from undrift.networks.gan import AdversaryConfig, R3GANConfig
from undrift.pipelines import SampleSpec
from undrift.schema import check_ranges
from undrift.training.optimizers import AdamWConfig, OptimizerConfig


@dataclass(frozen=True)
class PenaltyConfig:
    """Weights of the penalties on the discriminator's gradient.

    Attributes:
        r1: gamma of R1, at reals.
        r2: gamma of R2, at generated images.
        two_sided: lambda of WGAN-GP's penalty, between the two.
        end: share of the weights that is left at the end of the run; they fall as a half cosine.
        every: steps between two times that R1 is taken; above 1 it has an update of its own.
    """

    r1: float = 0.0
    r2: float = 0.0
    two_sided: float = 0.0
    end: float = 1.0
    every: int = 1

    def __post_init__(self) -> None:
        for name in ("r1", "r2", "two_sided", "end"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"penalty {name} {getattr(self, name)}: wanted a number from 0 up")
        check_ranges(self, "penalty", every=(1, 1_000_000))
        if self.every > 1 and (self.r2 or self.two_sided):
            raise UsageError("penalty every: only R1 alone can be taken lazily; give 1")


@dataclass(frozen=True)
class GANConfig:
    """A GAN, conditioned on classes, texts, numbers and maps or not, its losses and its optimisers.

    Attributes:
        kind: names this configuration in a file.
        spec: image shape and classes.
        method: what the method is called.
        codec: between images and the networks' space.
        network: shape of generator and discriminator.
        width: length of the encoded condition.
        loss: what the two minimise.
        penalty: on the discriminator's gradient.
        critic_steps: updates of the discriminator per update of the generator.
        label_dropout: share of labels, captions, each number and each map dropped from both
            networks' conditions, so that images can be drawn without.
        flip: mirror reals at random, so that mirrored images are generated too.
        augment: probability of each augmentation of what the discriminator sees, reached over the
            run's first fifth.
        adapt: reals that the probability takes from 0 to 1 when it adapts to overfitting instead;
            0: it does not.
        generator_optimizer: how the generator is updated.
        discriminator_optimizer: how the discriminator is updated.
    """

    spec: SampleSpec
    kind: Literal["gan"] = "gan"
    method: str = "r3gan"
    codec: CodecConfig = field(default_factory=IdentityConfig)
    network: AdversaryConfig = field(default_factory=R3GANConfig)
    width: int = 64
    loss: AdversarialLoss = field(default_factory=RelativisticPaired)
    penalty: PenaltyConfig = field(default_factory=PenaltyConfig)
    critic_steps: int = 1
    label_dropout: float = 0.0
    flip: bool = False
    augment: float = 0.0
    adapt: int = 0
    generator_optimizer: OptimizerConfig = field(default_factory=AdamWConfig)
    discriminator_optimizer: OptimizerConfig = field(default_factory=AdamWConfig)

    @property
    def condition(self) -> ConditionSpec:
        """The conditions that both networks take."""
        return self.spec.condition()

    def __post_init__(self) -> None:
        check_ranges(self, "model", width=(1, WIDEST), critic_steps=(1, 1000))
        if not 0 <= self.label_dropout <= 1:
            raise UsageError(f"label_dropout {self.label_dropout}: wanted a share from 0 to 1")
        if not 0 <= self.augment <= 1 or self.adapt < 0 or (self.augment and self.adapt):
            raise UsageError(
                f"augment {self.augment}, adapt {self.adapt}: wanted a share from 0 to 1, or a "
                "number of images, not both"
            )
