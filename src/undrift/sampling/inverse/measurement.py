"""What is known of an image: some of its values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.errors import UsageError


@dataclass(frozen=True, eq=False)
class Measurement:
    """The known values of a batch, in the model's space.

    Attributes:
        values: (B, ...); what stands where nothing is known has no effect.
        known: bool, broadcastable to ``values``, on the same device; True where a value is known.
        noise: standard deviation of the error of the known values, at least 0.

    Raises:
        UsageError: for parts that do not fit together.
    """

    values: Tensor
    known: Tensor
    noise: float = 0.0

    def __post_init__(self) -> None:
        if self.known.dtype != torch.bool:
            raise UsageError(f"known values marked by {self.known.dtype}: give bool")
        try:
            fits = torch.broadcast_shapes(self.known.shape, self.values.shape) == self.values.shape
        except RuntimeError:
            fits = False
        if not fits:
            raise UsageError(
                f"known values marked in shape {tuple(self.known.shape)}, values of "
                f"{tuple(self.values.shape)}: give one mark for each, or shapes that broadcast"
            )
        if not 0 <= self.noise < float("inf"):
            raise UsageError(f"measurement noise {self.noise}: give a number of at least 0")

    def part(self, x: Tensor) -> Tensor:
        """Return x (B, ...) with 0 where nothing is known."""
        return torch.where(self.known, x, 0.0)

    def over(self, x: Tensor, values: Tensor | None = None) -> Tensor:
        """Return x (B, ...) with ``values``, by default the measured ones, put where known."""
        put = self.values.to(x.dtype) if values is None else values
        return torch.where(self.known, put, x)
