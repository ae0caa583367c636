"""From a configuration to a generator and a discriminator."""

from __future__ import annotations

from torch import nn

from undrift.errors import UsageError
from undrift.networks.context import ContextSpec
from undrift.networks.gan.dcgan import DCGANConfig, DCGANDiscriminator, DCGANGenerator
from undrift.networks.gan.mlp import MLPDiscriminator, MLPGANConfig, MLPGenerator
from undrift.networks.gan.r3gan import R3GANConfig, R3GANDiscriminator, R3GANGenerator
from undrift.networks.gan.sngan import SNGANConfig, SNGANDiscriminator, SNGANGenerator
from undrift.networks.gan.stylegan2 import (
    StyleGAN2Config,
    StyleGAN2Discriminator,
    StyleGAN2Generator,
)

AdversaryConfig = DCGANConfig | SNGANConfig | StyleGAN2Config | R3GANConfig | MLPGANConfig
"""Configuration of any pair of generator and discriminator."""


def build_generator(
    config: AdversaryConfig, *, channels: int, size: tuple[int, int], context: ContextSpec
) -> DCGANGenerator | SNGANGenerator | StyleGAN2Generator | R3GANGenerator | MLPGenerator:
    """Build a network that maps (z, context, truncation) to images.

    Args:
        config: the family and its shape.
        channels: of the images.
        size: (H, W) of the images, multiples of 4 for all but MLPs.
        context: sizes of the context's parts; a GAN takes the vector, which of a text is its
            pooled encoding, and the maps, of the images' size.

    Raises:
        UsageError: if the sizes make no sense.
    """
    _check(channels)
    match config:
        case DCGANConfig():
            return DCGANGenerator(config, channels=channels, size=size, context=context)
        case SNGANConfig():
            return SNGANGenerator(config, channels=channels, size=size, context=context)
        case StyleGAN2Config():
            return StyleGAN2Generator(config, channels=channels, size=size, context=context)
        case R3GANConfig():
            return R3GANGenerator(config, channels=channels, size=size, context=context)
        case MLPGANConfig():
            return MLPGenerator(config, channels=channels, size=size, context=context)


def build_discriminator(
    config: AdversaryConfig, *, channels: int, size: tuple[int, int], context: ContextSpec
) -> nn.Module:
    """Build a network that maps (images, context) to logits (B,); arguments as above.

    Raises:
        UsageError: if the sizes make no sense.
    """
    _check(channels)
    match config:
        case DCGANConfig():
            return DCGANDiscriminator(config, channels=channels, size=size, context=context)
        case SNGANConfig():
            return SNGANDiscriminator(config, channels=channels, size=size, context=context)
        case StyleGAN2Config():
            return StyleGAN2Discriminator(config, channels=channels, size=size, context=context)
        case R3GANConfig():
            return R3GANDiscriminator(config, channels=channels, size=size, context=context)
        case MLPGANConfig():
            return MLPDiscriminator(config, channels=channels, size=size, context=context)


def _check(channels: int) -> None:
    if channels < 1:
        raise UsageError(f"GAN: {channels} channels, wanted 1 or more")
