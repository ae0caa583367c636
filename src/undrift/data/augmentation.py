"""Augmentation that does not leak into what is generated (Karras et al. 2022, appendix F.2).

Each transformation is applied to an image with a small probability, and its parameters are given to
the network as a condition. The network learns what each transformation does; samples request all
parameters zero, which means untouched images. All-zero parameters leave every value as it was.

Transformations, in this order (a parameter's columns in brackets):

- flip left-right [0], flip top-bottom [1]: 0 or 1;
- shift by whole pixels, filled by reflection [2, 3]: share of the width, of the height;
- scale by ``2^k`` [4]: k, normal;
- rotate by an angle a [5, 6]: cos a - 1, sin a; a uniform;
- stretch the width by ``2^(r/2)``, the height by ``2^(-r/2)`` [7]: r, normal.

The last three are one bicubic resampling about the centre, reflecting at the edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from undrift.randomness import Draws

PARAMETERS = 8
"""Columns of the parameters, whichever transformations are in use."""


@dataclass(frozen=True)
class Augmentation:
    """Which transformations are used, and how far they go.

    Attributes:
        probability: chance of each transformation for each image, in [0, 1].
        flip_x: flip left-right.
        flip_y: flip top-bottom.
        shift: largest shift, as a share of the side.
        scale: standard deviation of k, in octaves.
        rotate: largest angle, as a share of half a turn.
        stretch: standard deviation of r, in octaves.
    """

    probability: float = 0.12
    flip_x: bool = True
    flip_y: bool = False
    shift: float = 0.125
    scale: float = 0.2
    rotate: float = 1.0
    stretch: float = 0.2

    def of_maps(self, maps: Tensor, draws: Draws) -> Tensor:
        """Transform whole numbers (B, C, H, W) as `__call__` transforms their images.

        Values are those of the nearest pixels: classes stay classes.
        """
        return self(maps.float(), draws, mode="nearest")[0].round().to(maps.dtype)

    def __call__(
        self, images: Tensor, draws: Draws, mode: Literal["bicubic", "nearest"] = "bicubic"
    ) -> tuple[Tensor, Tensor]:
        """Transform a batch.

        Args:
            images: float (B, C, H, W), in the model's space.
            draws: what names the random numbers; its rows are the batch's.
            mode: of resampling.

        Returns:
            The images, and float32 (B, 8) parameters; a row of zeros is an untouched image.
        """
        height, width = images.shape[-2:]
        flip_x = self._gate("flip_x", draws) * self.flip_x
        flip_y = self._gate("flip_y", draws) * self.flip_y
        shift = self._gate("shift", draws)
        shift_x = (shift * self._between("shift_x", draws) * self.shift * width).round()
        shift_y = (shift * self._between("shift_y", draws) * self.shift * height).round()
        octaves = self._gate("scale", draws) * draws.normal("augment.scale", ()) * self.scale
        angle = self._gate("rotate", draws) * self._between("rotate", draws)
        angle = angle * self.rotate * math.pi
        ratio = self._gate("stretch", draws) * draws.normal("augment.stretch", ()) * self.stretch
        columns = [flip_x, flip_y, shift_x / width, shift_y / height]
        columns += [octaves, angle.cos() - 1, angle.sin(), ratio]
        parameters = torch.stack([column.double() for column in columns], dim=1)
        parameters = parameters.to(images.device, torch.float32)

        images = torch.where(selected(flip_x, images), images.flip(-1), images)
        images = torch.where(selected(flip_y, images), images.flip(-2), images)
        images = shifted(images, shift_x.to(images.device).long(), dim=-1)
        images = shifted(images, shift_y.to(images.device).long(), dim=-2)
        moved = (octaves != 0) | (angle != 0) | (ratio != 0)
        images = torch.where(
            selected(moved, images), resampled(images, octaves, angle, ratio, mode), images
        )
        return images, parameters

    def _gate(self, purpose: str, draws: Draws) -> Tensor:
        """1 where the transformation is applied, else 0; float64 (B,)."""
        return (draws.uniform(f"augment.{purpose}.gate") < self.probability).double()

    def _between(self, purpose: str, draws: Draws) -> Tensor:
        """Uniform in [-1, 1), float64 (B,)."""
        return 2 * draws.uniform(f"augment.{purpose}") - 1


def flip_half(images: Tensor, draws: Draws) -> Tensor:
    """Flip each image left-right with probability 1/2, for data whose mirror images are data too.

    Unlike :class:`Augmentation` this is no condition: flipped images will be generated.

    Args:
        images: (B, C, H, W), of any type: flipping pixels and their encoding is the same.
        draws: what names the coin tosses.
    """
    return torch.where(selected(draws.uniform("flip") < 0.5, images), images.flip(-1), images)


def selected(mask: Tensor, images: Tensor) -> Tensor:
    """Bring a mask (B,) to the images' device and number of dimensions, as bool."""
    return mask.to(images.device).bool().view(-1, 1, 1, 1)


def shifted(images: Tensor, pixels: Tensor, dim: int) -> Tensor:
    """Shift each image by its own whole number of pixels along ``dim``, reflecting at the edges."""
    size = images.shape[dim]
    place = torch.arange(size, device=images.device) - pixels[:, None]
    # Reflection with period 2 size: ... 1 0 | 0 1 2 ... size-1 | size-1 ...
    place = place.remainder(2 * size)
    place = torch.minimum(place, 2 * size - 1 - place)
    view = place[:, None, None, :] if dim == -1 else place[:, None, :, None]
    return images.gather(dim, view.expand_as(images))


def resampled(
    images: Tensor,
    octaves: Tensor,
    angle: Tensor,
    ratio: Tensor,
    mode: Literal["bicubic", "nearest"] = "bicubic",
) -> Tensor:
    """Scale, rotate and stretch about the centre; all of shape (B,).

    Returns:
        As ``images``, float32 or wider whatever their type and autocast.
    """
    height, width = images.shape[-2:]
    images = images.to(torch.promote_types(images.dtype, torch.float32))
    # Output pixel p shows the input at M^-1 p, M = R(angle) diag(wide, high), in pixels from the
    # centre; affine_grid wants it in units of half a side.
    wide, high = 2 ** (octaves + ratio / 2), 2 ** (octaves - ratio / 2)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [
        torch.stack([cos / wide, sin / wide * (height / width), zero], dim=1),
        torch.stack([-sin / high * (width / height), cos / high, zero], dim=1),
    ]
    inverse = torch.stack(rows, dim=1).to(images.device, images.dtype)
    # Not under autocast: in bfloat16 places are off by up to 0.14 pixels at 32 on a side.
    with torch.autocast(images.device.type, enabled=False):
        grid = functional.affine_grid(inverse, list(images.shape), align_corners=False)
        return functional.grid_sample(
            images, grid, mode=mode, padding_mode="reflection", align_corners=False
        )
