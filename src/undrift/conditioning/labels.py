"""Class labels as conditions: int64 indices, each with a learned embedding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.networks.context import Context, ContextSpec

NO_LABEL = -1
"""The label of a sample whose class is not given."""


@dataclass(frozen=True)
class Labels:
    """Class labels: entries are int64 (B,), from 0 to ``classes - 1``, or `NO_LABEL`.

    Attributes:
        classes: number of classes.
    """

    classes: int

    @property
    def name(self) -> str:
        """See `Kind.name`."""
        return "labels"

    @property
    def dropout(self) -> tuple[str, ...]:
        """See `Kind.dropout`."""
        return ("label dropout",)

    def null(self, rows: int, device: torch.device) -> Tensor:
        """See `Kind.null`."""
        return torch.full((rows,), NO_LABEL, device=device, dtype=torch.int64)

    def check(self, entry: Tensor, rows: int) -> None:
        """See `Kind.check`."""
        if entry.shape != (rows,):
            raise UsageError(f"condition: labels has shape {tuple(entry.shape)}, wanted {(rows,)}")
        if entry.dtype != torch.int64:
            raise UsageError(f"condition: labels are {entry.dtype}, wanted torch.int64")
        if entry.device.type != "cpu" or not entry.numel():
            return
        lowest, highest = int(entry.min()), int(entry.max())
        if lowest < NO_LABEL or highest >= self.classes:
            raise UsageError(
                f"condition: labels from {lowest} to {highest}, wanted 0 to "
                f"{self.classes - 1}, or {NO_LABEL} for none"
            )

    def drop(self, entry: Tensor, dropped: Tensor) -> Tensor:
        """See `Kind.drop`; a dropped label is `NO_LABEL`."""
        return entry.masked_fill(dropped[:, 0].to(entry.device), NO_LABEL)

    def context(self, width: int) -> ContextSpec:
        """A vector."""
        return ContextSpec(vector=width)

    def embedding(self, width: int) -> LabelEmbedding:
        """See `LabelEmbedding`."""
        return LabelEmbedding(self.classes, width)


class LabelEmbedding(nn.Embedding):
    """One vector per class, and one for no label.

    Args:
        classes: number of classes.
        width: size of the vector.
    """

    def __init__(self, classes: int, width: int) -> None:
        # Row 0 is the null label, so that classes can be added behind without moving it.
        super().__init__(classes + 1, width)

    def forward(self, labels: Tensor) -> Context:  # type: ignore[override]
        """(B,) -> a vector per sample."""
        return Context(vector=super().forward(labels + 1))
