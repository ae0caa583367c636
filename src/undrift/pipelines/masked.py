"""Images that are edited or have masked parts, and the numbers of their results.

N images with V variants each make N V results in order, those of one image side by side: result i
is variant ``i mod V`` of image ``i div V``. A mask is True, or white, where to inpaint, as for
inpainting models of the field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.conditioning import Condition
from undrift.errors import UsageError
from undrift.pipelines.spec import SampleSpec
from undrift.pipelines.whole_number import MOST_IMAGES, check_images, within

Rows = range | NDArray[np.int64]
"""Numbers of some results."""

_VARIANT = 1 << 32
"""Between the noise numbers of two results of one image: beyond any number of images."""


@dataclass(frozen=True, eq=False)
class Variants:
    """Images, and how many are made of each.

    Attributes:
        images: uint8 (N, H, W, C); measurements may be floating, in pixel values of any range.
        variants: results of each image.
        first: number of the first image, a key of its noise.
    """

    images: NDArray[np.uint8] | NDArray[np.floating]
    variants: int
    first: int

    @classmethod
    def of(
        cls,
        images: NDArray[np.uint8] | NDArray[np.floating],
        variants: int,
        first: int,
        seed: int,
    ) -> Variants:
        """Check what was given.

        Raises:
            UsageError: for no images, another type, values that are not finite, or numbers that are
                too small or too large.
        """
        exact = np.issubdtype(images.dtype, np.floating)
        if not (exact or images.dtype == np.uint8) or images.ndim != 4 or not len(images):
            raise UsageError(
                f"edit: images {images.dtype} {images.shape}, wanted uint8 or, of an operator, "
                "floating (n, H, W, C), at least one"
            )
        if exact and not np.isfinite(images).all():
            raise UsageError("edit: images have values that are not finite; wanted pixel values")
        check_images(len(images), first, seed)
        within("variants", variants, 1, MOST_IMAGES // len(images))
        return Variants(images, variants, first)

    def __len__(self) -> int:
        """Number of results."""
        return len(self.images) * self.variants

    def numbers(self, rows: Rows) -> list[int]:
        """Keys of the noise of some results, however many images and variants there are."""
        return [
            self.first + i // self.variants + i % self.variants * _VARIANT for i in map(int, rows)
        ]

    def pixels(self, rows: Rows) -> Tensor:
        """The images of some results, (len(rows), C, H, W), of their own type."""
        return torch.from_numpy(self.images[self._places(rows)]).permute(0, 3, 1, 2)

    def by_result(self, condition: Condition) -> Condition:
        """The condition of N images as that of their N V results."""
        return condition[torch.from_numpy(self._places(range(len(self))))]

    def _places(self, rows: Rows) -> NDArray[np.int64]:
        return np.asarray(rows) // self.variants


@dataclass(frozen=True, eq=False)
class MaskedImages(Variants):
    """Images with a masked region each.

    Attributes:
        mask: bool (N, H, W), True where to inpaint.
    """

    mask: NDArray[np.bool_]

    @classmethod
    def checked(
        cls,
        images: NDArray[np.uint8],
        mask: NDArray[np.bool_],
        variants: int,
        first: int,
        seed: int,
        spec: SampleSpec,
    ) -> MaskedImages:
        """Check what was given.

        Raises:
            UsageError: for images that are not the model's, a mask that is not theirs, or numbers
                that are too small or too large.
        """
        channels, height, width = spec.image_shape
        wanted = (height, width, channels)
        if images.dtype != np.uint8 or images.shape[1:] != wanted or not len(images):
            raise UsageError(
                f"inpaint: images {images.dtype} {images.shape}, wanted uint8 "
                f"(n, {height}, {width}, {channels}), at least one"
            )
        if mask.dtype != np.bool_:
            raise UsageError(
                f"inpaint: mask of {mask.dtype}, wanted bool, True where to inpaint; of a "
                "picture, mask > 127"
            )
        if mask.shape not in ((height, width), images.shape[:3]):
            raise UsageError(
                f"inpaint: mask of shape {mask.shape}, wanted ({height}, {width}) for all images "
                f"or {images.shape[:3]} for each"
            )
        if not mask.any():
            raise UsageError("inpaint: the mask is empty; make it True, or white, where to inpaint")
        check_images(len(images), first, seed)
        within("variants", variants, 1, MOST_IMAGES // len(images))
        return cls(images, variants, first, np.broadcast_to(mask, images.shape[:3]))

    def known(self, rows: Rows) -> Tensor:
        """Where their pixels are known, bool (len(rows), 1, H, W)."""
        return torch.from_numpy(~self.mask[self._places(rows)])[:, None]

    def inpainted(self, rows: Rows, completions: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The images of some results, with ``completions`` (len(rows), H, W, C) where masked."""
        places = self._places(rows)
        return np.where(self.mask[places][..., None], completions, self.images[places])
