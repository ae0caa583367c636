r"""Spaces that a generator's latents can be searched in, in coordinates of unit spread.

A generator is a map from u, about N(0, I) under the model, to images, in one of

.. math:: z = u \qquad \text{or} \qquad w = \bar w + s\,u,                               \quad (1)

the second for generators that map z to styles w: :math:`\bar w` is the mean style of the condition
and s the root mean square of what styles stray from it, per coordinate. Styles that no z has can
be reached there too, so that real images are found more closely.

Reference: Abdal et al. 2019, "Image2StyleGAN: How to Embed Images Into the StyleGAN Latent Space?",
section 3; Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", section 5.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from undrift.networks import Context
from undrift.networks.gan import Generator
from undrift.networks.gan.stylegan2 import StyleGAN2Generator


class LatentSpace(Protocol):
    """Coordinates u (B, D) of some images, whose conditions are bound.

    Attributes:
        name: ``"z"`` or ``"w"``.
    """

    name: str

    def of(self, z: Tensor) -> Tensor:
        """The coordinates of latents z (B, D)."""
        ...

    def images(self, u: Tensor) -> Tensor:
        """Images (B, C, H, W) of coordinates u (B, D); differentiable."""
        ...


class NormalSpace:
    """Latents as they are drawn.

    Args:
        generator: makes images.
        context: condition of each of B images, or None.
    """

    name = "z"

    def __init__(self, generator: Generator, context: Context | None) -> None:
        self._generator = generator
        self._context = context

    def of(self, z: Tensor) -> Tensor:
        """See `LatentSpace.of`."""
        return z

    def images(self, u: Tensor) -> Tensor:
        """See `LatentSpace.images`."""
        return self._generator(u, self._context)


class StyleSpace:
    """Styles about the mean of their condition, by (1).

    Args:
        generator: makes images.
        context: condition of each of B images, or None.
        count: B.
    """

    name = "w"

    def __init__(self, generator: StyleGAN2Generator, context: Context | None, count: int) -> None:
        self._generator = generator
        self._context = context
        self._mean, self._spread = generator.spread(context, count)

    def of(self, z: Tensor) -> Tensor:
        """See `LatentSpace.of`."""
        return (self._generator.style(z, self._context) - self._mean) / self._spread

    def images(self, u: Tensor) -> Tensor:
        """See `LatentSpace.images`."""
        return self._generator.synthesis(self._mean + self._spread * u, self._context)  # (1)


def latent_space(generator: Generator, context: Context | None, count: int) -> LatentSpace:
    """The space in which a generator's latents are best searched, for ``count`` images."""
    if isinstance(generator, StyleGAN2Generator):
        return StyleSpace(generator, context, count)
    return NormalSpace(generator, context)
