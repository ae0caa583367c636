"""What is given with each sample: labels, numbers, augmentation parameters; texts and maps later.

A ``Condition`` holds named entries with one row per sample. It travels whole from the data to the
encoder, which alone knows how each kind of entry is encoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import overload

import torch
from torch import Tensor

from undrift.conditioning.kind import Entry
from undrift.conditioning.text.texts import Texts
from undrift.errors import UsageError


class Condition(Mapping[str, Entry]):
    """An immutable mapping from names of kinds to entries with one row per sample.

    The entries are described by the kinds: `Labels`, `Numbers`, `AugmentParameters`.

    Args:
        entries: of equal numbers of rows.

    Raises:
        UsageError: if the entries disagree about the number of samples.
    """

    def __init__(self, entries: Mapping[str, Entry] | None = None) -> None:
        entries = dict(entries or {})
        rows = {name: _rows(entry) for name, entry in entries.items()}
        if None in rows.values() or len(set(rows.values())) > 1:
            raise UsageError(f"condition: entries of {rows} rows, wanted one row per sample in all")
        self._entries = MappingProxyType(entries)

    @overload
    def __getitem__(self, key: str) -> Entry: ...

    @overload
    def __getitem__(self, key: slice | Tensor) -> Condition: ...

    def __getitem__(self, key: str | slice | Tensor) -> Entry | Condition:
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
        """Names and rows."""
        names = "".join(f"{name}, " for name in self)
        return f"Condition({names}rows={self.rows})"

    @property
    def rows(self) -> int | None:
        """Number of samples; None if there are no entries."""
        return next((len(entry) for entry in self.values()), None)

    @property
    def labels(self) -> Tensor | None:
        """The class of each sample, int64 (B,); None without labels."""
        labels = self._entries.get("labels")
        return labels if isinstance(labels, Tensor) else None

    @property
    def texts(self) -> Texts | None:
        """The texts of the samples; None without texts."""
        texts = self._entries.get("text")
        return texts if isinstance(texts, Texts) else None

    def to(self, device: torch.device | str) -> Condition:
        """Return the same condition on ``device``."""
        return Condition({name: entry.to(device) for name, entry in self.items()})

    @staticmethod
    def concatenate(parts: Sequence[Condition]) -> Condition:
        """The conditions of several batches behind each other, of the names that all have."""
        found: dict[str, Entry] = {}
        for name in parts[0] if parts else ():
            entries = [part[name] for part in parts if name in part]
            if len(entries) < len(parts):
                continue
            texts = [
                several for one in entries if isinstance(one, Texts) for several in one.of_each
            ]
            tensors = [one for one in entries if isinstance(one, Tensor)]
            found[name] = torch.cat(tensors) if tensors else Texts(texts)
        return Condition(found)

    def with_entry(self, name: str, entry: Entry) -> Condition:
        """Return the condition with one entry more, or another one of this name."""
        return Condition({**self._entries, name: entry})


def _rows(entry: Entry) -> int | None:
    return None if isinstance(entry, Tensor) and entry.ndim == 0 else len(entry)
