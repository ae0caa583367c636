"""What a user says about each sample: labels now, texts and maps later.

A ``Condition`` is a bag of named entries with one row per sample. It says nothing of how they are
encoded; that is the encoder's business, and the network hears only the ``Context`` it makes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import overload

import torch
from torch import Tensor

from undrift.errors import UsageError

NO_LABEL = -1


class Condition(Mapping[str, Tensor]):
    """An immutable mapping from names to tensors with one row per sample.

    Known entries:
        labels: (B,) int64, class indices; ``NO_LABEL`` (-1) where there is none.
        augment: (B, A) float, parameters of the augmentation; all zero: untouched.

    Args:
        entries: tensors of equal first size.

    Raises:
        UsageError: if the entries disagree about the number of samples.
    """

    def __init__(self, entries: Mapping[str, Tensor] | None = None) -> None:
        entries = dict(entries or {})
        rows = {name: entry.shape[0] if entry.ndim else None for name, entry in entries.items()}
        if None in rows.values() or len(set(rows.values())) > 1:
            raise UsageError(f"condition: entries of {rows} rows, wanted one row per sample in all")
        self._entries = MappingProxyType(entries)

    @overload
    def __getitem__(self, key: str) -> Tensor: ...

    @overload
    def __getitem__(self, key: slice | Tensor) -> Condition: ...

    def __getitem__(self, key: str | slice | Tensor) -> Tensor | Condition:
        """Return the entry of a name, or the condition of some rows.

        Args:
            key: a name; or a slice, an index tensor or a bool mask over the samples.
        """
        if isinstance(key, str):
            return self._entries[key]
        return Condition({name: entry[key] for name, entry in self.items()})

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Number of entries, as of any mapping; see ``rows`` for the number of samples."""
        return len(self._entries)

    def __repr__(self) -> str:
        """Names and shapes."""
        shapes = ", ".join(f"{name}={tuple(entry.shape)}" for name, entry in self.items())
        return f"Condition({shapes})"

    @property
    def rows(self) -> int | None:
        """Number of samples; None if there are no entries."""
        return next((entry.shape[0] for entry in self.values()), None)

    def to(self, device: torch.device | str) -> Condition:
        """Return the same condition on ``device``."""
        return Condition({name: entry.to(device) for name, entry in self.items()})

    def drop(self, masks: Mapping[str, Tensor]) -> Condition:
        """Silence entries of some samples, each sample on its own.

        A dropped label becomes ``NO_LABEL``, which the encoder answers with its null embedding;
        dropped numbers become zero.

        Args:
            masks: for each entry to change, (B,) bool, True where it is dropped.

        Raises:
            UsageError: for an unknown name or a mask that is not one bool per sample.
        """
        entries = dict(self._entries)
        for name, mask in masks.items():
            if name not in entries:
                known = ", ".join(entries) or "none"
                raise UsageError(f"condition: cannot drop {name!r}; its entries are: {known}")
            entry = entries[name]
            if mask.dtype != torch.bool or mask.shape != entry.shape[:1]:
                raise UsageError(
                    f"condition: mask for {name!r} is {mask.dtype} {tuple(mask.shape)}, wanted "
                    f"one bool for each of {entry.shape[0]} samples"
                )
            silent = 0 if entry.is_floating_point() else NO_LABEL
            shaped = mask.to(entry.device).view(-1, *[1] * (entry.ndim - 1))
            entries[name] = entry.masked_fill(shaped, silent)
        return Condition(entries)
