"""Generators and discriminators of adversarial models.

A generator is called as ``generator(z, context, truncation)`` and gives images, a discriminator as
``discriminator(images, context)`` and gives one logit per image. ``build_generator`` and
``build_discriminator`` make both from one configuration.
"""

from undrift.networks.gan.build import AdversaryConfig, build_discriminator, build_generator
from undrift.networks.gan.dcgan import DCGANConfig
from undrift.networks.gan.latent import Generator
from undrift.networks.gan.mlp import MLPGANConfig
from undrift.networks.gan.r3gan import R3GANConfig
from undrift.networks.gan.sngan import SNGANConfig
from undrift.networks.gan.stylegan2 import StyleGAN2Config

__all__ = [
    "AdversaryConfig",
    "DCGANConfig",
    "Generator",
    "MLPGANConfig",
    "R3GANConfig",
    "SNGANConfig",
    "StyleGAN2Config",
    "build_discriminator",
    "build_generator",
]
