r"""Augmentation of the colours of what a discriminator sees, as strong as that of its geometry.

With v the unit vector along the greys, :math:`P = v v^T` and :math:`Q = I - P`, every pixel x of an
image becomes

.. math::

    x \leftarrow c \,\bigl(l\,P + s\,R_\theta\,Q\bigr)\,(x + b),                        \quad (1)

each number drawn with probability p and otherwise such that it changes nothing:

- brightness b: normal, of deviation 0.2, the same in all channels;
- contrast c: log-normal, of deviation half an octave;
- luma flip l: -1 every other time, which turns light into dark and keeps hue and saturation;
- hue: :math:`R_\theta`, a rotation about v by a uniform angle;
- saturation s: log-normal, of deviation one octave.

Luma flips and hues are uniform on groups, as mirror images and rotations are
(`undrift.gan.transformation`); sums and products with (log-)normal numbers have a mean operator
whose eigenvalues are values of the normal's characteristic function, all above 0. So none of them
leaks.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data",
appendix B, "Color transformations".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from undrift.randomness import Draws

BRIGHTNESS = 0.2
"""Deviation of b; images span [-1, 1]."""

CONTRAST, SATURATION = 0.5, 1.0
"""Deviations of c and s, in octaves."""

_GREYS = torch.full((3, 3), 1 / 3)
"""P."""

_TURN = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3)
"""The cross product with v: what turns the plane of the hues by a right angle."""


def coloured(images: Tensor, probability: float, draws: Draws) -> Tensor:
    """RGB images with other colours, eq. (1); gradients pass through.

    Args:
        images: float (B, 3, H, W), in [-1, 1].
        probability: p, chance of each transformation of each image.
        draws: what names the random numbers; its rows are the batch's.
    """
    device = images.device

    def uniform(name: str) -> Tensor:
        return draws.uniform(f"colour.{name}").to(device)

    def gated(name: str, number: Tensor) -> Tensor:
        return torch.where(uniform(f"{name}.gate") < probability, number, 0)

    def normal(name: str) -> Tensor:
        return gated(name, draws.normal(f"colour.{name}", ()).to(device))

    luma = torch.where(uniform("luma") < probability / 2, -1.0, 1.0)
    angle = gated("hue", math.pi * (2 * uniform("hue") - 1)).float()
    brightness = BRIGHTNESS * normal("brightness")
    contrast = torch.exp2(CONTRAST * normal("contrast"))
    saturation = torch.exp2(SATURATION * normal("saturation"))

    greys, turn = _GREYS.to(device), _TURN.to(device)
    across = torch.eye(3, device=device) - greys
    turned = _each(angle.cos()) * across + _each(angle.sin()) * turn  # R Q
    matrix = _each(contrast) * (_each(luma) * greys + _each(saturation) * turned)  # (1)
    added = contrast * luma * brightness  # b is grey, so that P keeps it and Q has none of it
    # products by place: a matrix product would be computed in half precision under autocast
    mixed = (matrix[..., None, None] * images[:, None]).sum(2)
    return mixed + added[:, None, None, None]


def _each(numbers: Tensor) -> Tensor:
    """One number per image (B,) as what multiplies a matrix per image."""
    return numbers[:, None, None]
