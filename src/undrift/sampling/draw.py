"""The noise of one step, in the shape, dtype and place of the state it is added to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from undrift.diffusion import Level
from undrift.errors import UsageError


class StepNoise(Protocol):
    """A source of standard normal noise that is a function of what it is for."""

    def step(self, k: int, latent_shape: tuple[int, ...], purpose: str) -> Tensor:
        """Return noise for step ``k`` and ``purpose``: (B, *latent_shape), float32."""
        ...

    def brownian(
        self, level_t: Level, level_s: Level, latent_shape: tuple[int, ...], device: torch.device
    ) -> Tensor:
        """Return a path's standardised increment of two levels: (B, *latent_shape), float32."""
        ...


@dataclass(frozen=True)
class StepDraw:
    """What `Draw` promises, for step ``k`` of `integrate` and the state ``x``.

    Attributes:
        noise: where it comes from; None refuses every draw.
        k: the step, counted from 0.
        x: the state (B, ...), whose shape, dtype and device the noise takes.
    """

    noise: StepNoise | None
    k: int
    x: Tensor

    def __call__(self, purpose: str) -> Tensor:
        """See `Draw`."""
        return self._fitted(self._source().step(self.k, tuple(self.x.shape[1:]), purpose))

    def brownian(self, level_t: Level, level_s: Level) -> Tensor:
        """See `Draw`."""
        shape, device = tuple(self.x.shape[1:]), self.x.device
        return self._fitted(self._source().brownian(level_t, level_s, shape, device))

    def _source(self) -> StepNoise:
        if self.noise is None:
            raise UsageError(
                f"step {self.k} draws noise and integrate() has none: "
                "give noise=ImageNoise(seed, ...)"
            )
        return self.noise

    def _fitted(self, drawn: Tensor) -> Tensor:
        if drawn.shape != self.x.shape:
            raise UsageError(
                f"noise of shape {tuple(drawn.shape)}, state of {tuple(self.x.shape)}: "
                "give one index per image"
            )
        return drawn.to(device=self.x.device, dtype=self.x.dtype)
