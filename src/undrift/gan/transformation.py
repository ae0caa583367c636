r"""The augmentations of what a discriminator sees, strong but found out where they are imitated.

A random transformation T of the images can be undone in distribution, so that matching
transformed reals means matching reals, if its mean operator has no eigenvalue 0. Applied with
probability p, and left out otherwise, it is

.. math:: (1 - p)\,I + p\, E[T],                                                        \quad (1)

whose eigenvalues for a T drawn uniformly from a group (rotations) are 1 and :math:`1 - p`. A mirror
image is a group of two: uniform on it means to mirror every other time, so

.. math:: P(\text{mirrored}) = p / 2, \qquad
          \text{eigenvalues } 1 \text{ and } 1 - 2 \cdot \tfrac p2 = 1 - p.             \quad (2)

Mirroring with probability p itself would be :math:`1 - 2p` on what is odd about the middle: at
p = 1/2 an image and its mirror image could not be distinguished. A shift by up to a share s of the
side has a sinc for E[T], not below -0.22, so that (1) stays positive up to p of 0.8.

Maps that are shown with an image are moved with it by the same transformation, so that they lie
over it as before: T then acts on pairs of image and map, with the same eigenvalues. Colours are
changed of the image alone, which is a T on such pairs, too.

Reference: Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data",
section 2.2 and appendix C. Filtering, noise and cutout are left out, as the paper does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from undrift.data.augmentation import Augmentation, selected
from undrift.gan.colour import coloured
from undrift.randomness import Draws

RGB = 3
"""Channels of images that have colours. Greys keep theirs: recipes were tuned on those without."""


def transformed(images: Tensor, probability: float, draws: Draws) -> Tensor:
    """Images as a discriminator is to see them; gradients pass through.

    Args:
        images: float (B, C, H, W), in [-1, 1].
        probability: p, chance of each transformation of each image; 0 leaves them as they are.
        draws: what names the random numbers; its rows are the batch's.
    """
    if not probability:
        return images
    images = _moved(images, probability, draws)
    return coloured(images, probability, draws) if images.shape[1] == RGB else images


def transformed_with_maps(
    images: Tensor, maps: Tensor, probability: float, draws: Draws
) -> tuple[Tensor, Tensor]:
    """`transformed` images, and the maps over them moved in the same way.

    Args:
        images: float (B, C, H, W), in [-1, 1].
        maps: encoded, (B, M, H, W).
        probability: as there.
        draws: as there.
    """
    if not probability:
        return images, maps
    channels = images.shape[1]
    both = _moved(torch.cat([images, maps], dim=1), probability, draws)
    images, maps = both[:, :channels], both[:, channels:]
    return (coloured(images, probability, draws) if channels == RGB else images), maps


def _moved(images: Tensor, probability: float, draws: Draws) -> Tensor:
    images = mirrored(images, probability, draws)
    return Augmentation(probability, flip_x=False)(images, draws)[0]


def mirrored(images: Tensor, probability: float, draws: Draws) -> Tensor:
    """Mirror each image with probability p / 2, eq. (2); arguments as above."""
    chosen = draws.uniform("mirror") < probability / 2  # (2)
    return torch.where(selected(chosen, images), images.flip(-1), images)
