"""One kind of condition: what a model must know of it to encode it.

A kind is a frozen dataclass in a file of its own: `labels`, `numbers`, `maps`, ... It is a part
of the model's `ConditionSpec`, stored in its configuration, and says

- what "not given" is (``null``), which differs from every value that can be given;
- how entries are dropped in training, for classifier-free guidance (``dropout``, ``drop``);
- which part of the network's context it encodes to (``context``), and the module that does so
  (``embedding``).
"""

from __future__ import annotations

from typing import Protocol, Self, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from undrift.networks.context import ContextSpec


@runtime_checkable
class Entry(Protocol):
    """The conditions of a batch under one name, one row per sample. Tensors are entries."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, rows: slice | Tensor, /) -> Self:
        """The entry of some samples: a slice, an index tensor or a bool mask."""
        ...

    def to(self, device: torch.device | str, /) -> Self:
        """The same entry on ``device``."""
        ...


E = TypeVar("E", bound=Entry)


class Kind(Protocol[E]):
    """A kind of condition, with entries of type ``E``."""

    @property
    def name(self) -> str:
        """Of its entries in a `Condition`, and of its module in the encoder."""
        ...

    @property
    def dropout(self) -> tuple[str, ...]:
        """Names of the draws that decide what is dropped in training, each by itself."""
        ...

    def null(self, rows: int, device: torch.device) -> E:
        """The entry of ``rows`` samples of which nothing is given."""
        ...

    def check(self, entry: E, rows: int) -> None:
        """Refuse what is no entry of ``rows`` samples.

        Raises:
            UsageError: for another shape or type, or values out of range; values are not checked
                on an accelerator, where that would cost a synchronisation at every step.
        """
        ...

    def drop(self, entry: E, dropped: Tensor) -> E:
        """``entry`` with null where ``dropped`` is True.

        Args:
            entry: of B samples.
            dropped: bool of shape (B, len(dropout)).
        """
        ...

    def context(self, width: int) -> ContextSpec:
        """The parts of the context that the kind encodes to; ``width`` is that of the vector."""
        ...

    def embedding(self, width: int) -> nn.Module:
        """A new module that encodes an entry of B samples to a `Context` of B rows."""
        ...
