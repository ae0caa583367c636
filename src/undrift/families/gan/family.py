"""What is particular to GANs."""

from __future__ import annotations

from math import inf
from typing import ClassVar

import torch
from torch import Tensor, nn

from undrift.families.family import Family, Recipe, RecipeRequest
from undrift.families.gan.recipe import gan_recipe
from undrift.networks import ContextSpec
from undrift.networks.gan import AdversaryConfig, build_generator
from undrift.training.learner import Learner
from undrift.training.learners.gan import GANLearner
from undrift.training.learners.gan_config import GANConfig
from undrift.training.learners.gan_diagnostics import MOST

_PASSES = 4
"""Through generator and discriminator, of each image of a validation."""


_TITLES = {
    "dcgan": "DCGAN",
    "sngan": "SNGAN",
    "wgan_gp": "WGAN-GP",
    "stylegan2": "StyleGAN2",
    "r3gan": "R3GAN",
}


class GANFamily(Family[GANConfig]):
    """A generator and a discriminator, trained against each other."""

    name: ClassVar[str] = "gan"
    methods: ClassVar[tuple[str, ...]] = ("r3gan", "stylegan2", "wgan_gp", "sngan", "dcgan")
    config: ClassVar[type] = GANConfig
    kind: ClassVar[str | None] = "gan"
    noun: ClassVar[str] = "GAN"
    augmented: ClassVar[str] = "of what the discriminator sees"

    def recipe(self, request: RecipeRequest) -> Recipe:
        """See `Family.recipe`."""
        return gan_recipe(request)

    def learner(
        self,
        config: GANConfig,
        seed: int,
        device: torch.device | str,
        *,
        network: nn.Module | None,
        eigenvalues: Tensor | None,
    ) -> Learner:
        """See `Family.learner`."""
        return GANLearner(config, seed, device)

    def network(
        self, config: AdversaryConfig, latent_shape: tuple[int, int, int], context: ContextSpec
    ) -> nn.Module:
        """The generator."""
        return build_generator(
            config, channels=latent_shape[0], size=latent_shape[1:], context=context
        )

    def title(self, method: str) -> str:
        """See `Family.title`."""
        return _TITLES.get(method, method)

    def fewest_steps(self, config: GANConfig) -> int:
        """The generator is updated once in ``critic_steps`` updates."""
        return config.critic_steps

    def validation_passes(self, config: GANConfig) -> int:
        """See `Family.validation_passes`."""
        return _PASSES * MOST

    def peak_rate(self, config: GANConfig) -> float:
        """The generator's."""
        return config.generator_optimizer.learning_rate

    def regularisation(self, config: GANConfig) -> tuple[str, float, float] | None:
        """Weight of the gradient penalty, in units of the recipe's, of a method that has one."""
        penalty = config.penalty
        return ("penalty", 1.0, inf) if penalty.r1 or penalty.r2 or penalty.two_sided else None
