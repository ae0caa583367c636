"""What is drawn for an image: named by the seed, its number and the purpose, and by nothing else.

Everything is drawn on the CPU, so that a score does not depend on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from undrift.randomness import generator

_BLOCK = 16  # evaluations whose noise is drawn at once


class BoundNoise:
    """Standard normal noise of evaluation j of each image, drawn a few evaluations at a time.

    Args:
        seed: names it, with each image's number.
        names: numbers of the images.
        latent_shape: of one image in the model's space.
        like: device and dtype.
    """

    def __init__(
        self, seed: int, names: Sequence[int], latent_shape: tuple[int, ...], like: Tensor
    ) -> None:
        self._seed, self._names, self._latent_shape, self._like = seed, names, latent_shape, like
        self._block = -1
        self._drawn = torch.empty(0, dtype=torch.float32, device="cpu")

    def __call__(self, j: int) -> Tensor:
        """Return the noise of evaluation ``j``, (B, *shape)."""
        if j // _BLOCK != self._block:
            self._block = j // _BLOCK
            rows = [
                torch.randn(
                    (_BLOCK, *self._latent_shape),
                    generator=generator(self._seed, i, "bound", self._block),
                    dtype=torch.float32,
                    device="cpu",
                )
                for i in self._names
            ]
            self._drawn = torch.stack(rows, dim=1)
        return self._drawn[j % _BLOCK].to(self._like)


Drawing = Callable[[tuple[int, ...], torch.Generator], Tensor]


def per_image(
    draw: Drawing, shape: tuple[int, ...], seed: int, names: Sequence[int], purpose: str, k: int
) -> Tensor:
    """Return what ``draw`` gives each image for ``purpose`` and sample ``k``: (B, *shape)."""
    return torch.stack([draw(shape, generator(seed, i, purpose, k)) for i in names])


def uniform(shape: tuple[int, ...], source: torch.Generator) -> Tensor:
    """Uniform numbers in [0, 1), float64."""
    return torch.rand(shape, generator=source, dtype=torch.float64, device="cpu")


def signs(shape: tuple[int, ...], source: torch.Generator) -> Tensor:
    """Independent signs, -1 or 1, float64."""
    bits = torch.randint(0, 2, shape, generator=source, dtype=torch.int64, device="cpu")
    return bits.double() * 2 - 1
