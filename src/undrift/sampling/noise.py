"""Sampling noise that belongs to the image, not to the batch it happens to be drawn in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from undrift.diffusion import Level
from undrift.randomness import generator, key
from undrift.sampling.brownian import BrownianPaths
from undrift.sampling.counter import keys_of, normals


@dataclass(frozen=True)
class ImageNoise:
    """Standard normal noise of image i, named by (seed, i, purpose, step) and nothing else.

    Neither the batch size, the position in the batch nor the device changes it: it is drawn in
    float32, bit by bit the same. Brownian increments are named by (seed, i) and their two levels:
    they do not depend on the grid either.

    Attributes:
        seed: the request's seed.
        indices: which images of the request these are, one per row.
    """

    seed: int
    indices: Sequence[int]

    def initial(self, latent_shape: tuple[int, ...]) -> Tensor:
        """Return the noise that sampling begins with: (len(indices), *latent_shape), float32, CPU.

        Args:
            latent_shape: of one image in the model's space, e.g. (C, H, W).
        """
        return torch.stack(
            [
                torch.randn(
                    latent_shape,
                    generator=generator(self.seed, int(i), "initial", 0),
                    dtype=torch.float32,
                    device="cpu",
                )
                for i in self.indices
            ]
        )

    def step(self, k: int, latent_shape: tuple[int, ...], purpose: str = "step") -> Tensor:
        """Return the noise of step ``k``: (len(indices), *latent_shape), float32, CPU.

        Args:
            k: the step, counted from 0.
            latent_shape: of one image in the model's space.
            purpose: what it is for; two purposes in one step get different noise.
        """
        if purpose not in self._streams:
            names = [key(self.seed, int(i), purpose) for i in self.indices]
            self._streams[purpose] = torch.tensor(names, dtype=torch.int64, device="cpu")
        number = torch.tensor([k], dtype=torch.int64, device="cpu")
        (keys,) = keys_of(self._streams[purpose], number)
        return normals(keys, math.prod(latent_shape)).reshape(len(keys), *latent_shape)

    def brownian(
        self,
        level_t: Level,
        level_s: Level,
        latent_shape: tuple[int, ...],
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Return each image's standardised Brownian increment from ``level_t`` to ``level_s``.

        Args:
            level_t: where it begins, the noisier end; scalar.
            level_s: where it ends; scalar.
            latent_shape: of one image in the model's space.
            device: where to draw; the bits are the same everywhere.

        Returns:
            (len(indices), *latent_shape), float32.

        Raises:
            UsageError: if the levels are closer than the path is resolved, or out of order.
        """
        ends = float(level_t.log_snr), float(level_s.log_snr)
        return self._paths.increment(*ends, latent_shape, device)

    @cached_property
    def _streams(self) -> dict[str, Tensor]:
        """Keys of the images by purpose, (B,) int64; a step is a counter in each."""
        return {}

    @cached_property
    def _paths(self) -> BrownianPaths:
        """One for all steps, since it keeps what neighbouring steps share."""
        return BrownianPaths(self.seed, self.indices)
