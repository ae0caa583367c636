r"""What every generator is given: a latent vector, and what is known of the image.

.. math:: [\,z,\ y / \mathrm{rms}(y)\,] \quad\text{or, without a context,}\quad z

with :math:`z \sim N(0, 1)` and :math:`y` the context's vector. (StyleGAN2 takes
:math:`z / \mathrm{rms}(z)` in place of z, with a context and without; SNGAN's generator is given z,
and y scales and shifts in its batch norms.)

Truncation by :math:`\psi < 1` draws latents towards their mean, which trades diversity for typical
images. In the space of styles that is :math:`\bar w + \psi (w - \bar w)`; where there is none, z is
scaled, :math:`\psi z` (its mean is 0), which is sampling at a lower temperature. Unlike latents
drawn again while they are large, both go continuously, image by image, from all of the diversity to
none.

Reference: Karras et al. 2019, "A Style-Based Generator Architecture", appendix B (in the space of
styles); Kingma & Dhariwal 2018, "Glow", section 6 (temperature); Brock et al. 2019, "Large Scale
GAN Training for High Fidelity Natural Image Synthesis", section 3.1 (latents drawn again).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from undrift.networks.context import Context, ContextSpec
from undrift.networks.embedding import required

TINIEST = 1e-8


class Generator(Protocol):
    """A network that turns latent vectors into images."""

    latent: int
    """Numbers in z."""

    def __call__(
        self, z: Tensor, context: Context | None = None, truncation: float = 1.0
    ) -> Tensor:
        """Return images.

        Args:
            z: (B, latent), standard normal.
            context: parts as in the ``ContextSpec`` that the network was built for.
            truncation: share of the distance from the mean latent that is kept; 1 is off.

        Returns:
            (B, C, H, W).
        """
        ...


def with_context(z: Tensor, context: Context | None, spec: ContextSpec) -> Tensor:
    """Put the context's vector, at unit mean square, behind z: (B, latent + spec.vector)."""
    if not spec.vector:
        return z
    return torch.cat([z, unit(required(context, "vector")).to(z.dtype)], dim=1)


def unit(vector: Tensor) -> Tensor:
    """Rows of ``vector`` (B, D) at unit mean square."""
    return vector * (vector.square().mean(1, keepdim=True) + TINIEST).rsqrt()
