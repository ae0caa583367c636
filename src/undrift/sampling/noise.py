"""Sampling noise that belongs to the image, not to the batch it happens to be drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.randomness import generator


@dataclass(frozen=True)
class ImageNoise:
    """Standard normal noise of image i, named by (seed, i, purpose, step) and nothing else.

    Neither the batch size, the position in the batch nor the device changes it: it is always drawn
    on the CPU, in float32, bit by bit the same.

    Attributes:
        seed: the request's seed.
        indices: which images of the request these are, one per row.
    """

    seed: int
    indices: Sequence[int]

    def initial(self, shape: tuple[int, ...]) -> Tensor:
        """Return the noise that sampling begins with: (len(indices), *shape), float32, CPU.

        Args:
            shape: of one image, e.g. (C, H, W).
        """
        return self._drawn(shape, "initial", 0)

    def step(self, k: int, shape: tuple[int, ...], purpose: str = "step") -> Tensor:
        """Return the noise of step ``k`` for ``purpose``: (len(indices), *shape), float32, CPU.

        Args:
            k: the step, counted from 0.
            shape: of one image.
            purpose: what it is for; two purposes in one step get different noise.
        """
        return self._drawn(shape, purpose, k)

    def _drawn(self, shape: tuple[int, ...], purpose: str, step: int) -> Tensor:
        return torch.stack(
            [
                torch.randn(shape, generator=generator(self.seed, int(i), purpose, step))
                for i in self.indices
            ]
        )
