"""Augmentation parameters as conditions, so that augmented images don't leak into samples.

See `undrift.data.augmentation`, which makes them; Karras et al. 2022, appendix F.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.networks.context import Context, ContextSpec


@dataclass(frozen=True)
class AugmentParameters:
    """Augmentation parameters: entries are float (B, A); zeros are an image without augmentation.

    Attributes:
        count: A, parameters per image.
    """

    count: int

    @property
    def name(self) -> str:
        """See `Kind.name`."""
        return "augment"

    @property
    def dropout(self) -> tuple[str, ...]:
        """None: these parameters are never dropped."""
        return ()

    def null(self, rows: int, device: torch.device) -> Tensor:
        """See `Kind.null`; not given means not augmented."""
        return torch.zeros(rows, self.count, device=device, dtype=torch.float32)

    def check(self, entry: Tensor, rows: int) -> None:
        """See `Kind.check`."""
        if entry.shape != (rows, self.count):
            raise UsageError(
                f"condition: augment has shape {tuple(entry.shape)}, wanted {(rows, self.count)}"
            )

    def drop(self, entry: Tensor, dropped: Tensor) -> Tensor:
        """``entry`` itself: these parameters are never dropped."""
        return entry

    def context(self, width: int) -> ContextSpec:
        """A vector."""
        return ContextSpec(vector=width)

    def embedding(self, width: int) -> AugmentEmbedding:
        """See `AugmentEmbedding`."""
        return AugmentEmbedding(self.count, width, bias=False)


class AugmentEmbedding(nn.Linear):
    """A linear map without bias: no augmentation adds nothing."""

    def forward(self, parameters: Tensor) -> Context:  # type: ignore[override]
        """(B, A) -> a vector per sample."""
        return Context(vector=super().forward(parameters.to(self.weight.dtype)))
