"""Images ready to be trained on, with their labels, captions and splits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from undrift.arguments import checked
from undrift.data.maps import PairedMap
from undrift.data.report import DataReport
from undrift.data.splits import Splits
from undrift.errors import UsageError

if TYPE_CHECKING:
    import torch

    from undrift.conditioning import Condition
    from undrift.data.loader import Loader
    from undrift.data.order import Order


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A data set, or one split of it. Nothing in it changes.

    Attributes:
        name: short name, fit for a folder.
        store: uint8 (M, H, W, C), read-only and memory-mapped; a split shares it.
        rows: int64 (N,), the rows of ``store`` that belong to this set.
        labels: int64 (N,), indices into ``class_names``; None without classes.
        class_names: names in stored order.
        captions: of each of the N images its captions, perhaps none; None without any.
        names: N printable names, such as the file each image came from.
        splits: "train", "validation" and "test" -> int64 indices into this set; together N.
        report: what was found in the whole data set.
        fingerprint: hexadecimal; names the pixels, labels, captions, numbers and splits of the
            whole set.
        numbers: float64 (N, K), a column for each of the requested numbers; None without.
        number_names: names of these K.
        maps: maps that come with each image; their rows are those of ``store``.
    """

    name: str
    store: NDArray[np.uint8]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    captions: tuple[tuple[str, ...], ...] | None
    names: tuple[str, ...]
    splits: Splits
    report: DataReport
    fingerprint: str
    numbers: NDArray[np.float64] | None = None
    number_names: tuple[str, ...] = ()
    maps: tuple[PairedMap, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        height, width, channels = self.store.shape[1:]
        return height, width, channels

    @property
    def images(self) -> NDArray[np.uint8]:
        """All images, uint8 (N, H, W, C).

        Of the whole set this is the memory map itself; of a split it is a copy, made at first use.
        """
        return self._images

    @cached_property
    def _images(self) -> NDArray[np.uint8]:
        if len(self.rows) == len(self.store):
            return self.store
        return self.take(np.arange(len(self)))

    def take(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Copy the images at ``indices``: uint8 (len(indices), H, W, C)."""
        return np.take(self.store, self.rows[indices], axis=0)

    def condition(self) -> Condition:
        """What is given with each image, on the CPU: labels, numbers, captions, paired maps."""
        import torch

        from undrift.conditioning import Condition
        from undrift.conditioning.kind import Entry
        from undrift.conditioning.text import Texts

        arrays = {"labels": self.labels, "numbers": self.numbers}
        entries: dict[str, Entry] = {
            name: torch.from_numpy(array.copy())
            for name, array in arrays.items()
            if array is not None
        }
        if self.captions is not None:
            entries["text"] = Texts(self.captions)
        for paired in self.maps:
            maps = torch.from_numpy(paired.take(self.rows))
            entries[f"map_{paired.name}"] = maps.permute(0, 3, 1, 2).contiguous()
        return Condition(entries)

    def batches(
        self, order: Order, *, rows: slice, device: torch.device, start_step: int
    ) -> Loader:
        """Batches to train on; see `undrift.data.loader.BatchSource.batches`."""
        from undrift.data.loader import Loader
        from undrift.data.order import stream

        wanted = stream(order, len(self), self.labels)
        return Loader(self, wanted, rows=rows, device=device, start_step=start_step)

    @checked
    def split(self, name: str) -> ImageSet:
        """Return the images of one split; it may be empty.

        Raises:
            UsageError: ``name`` is not "train", "validation" or "test".
        """
        if name not in self.splits:
            raise UsageError(f"no split {name!r}: there are {', '.join(self.splits)}")
        indices = self.splits[name]
        whole = np.arange(len(indices))
        return replace(
            self,
            rows=self.rows[indices],
            labels=None if self.labels is None else self.labels[indices],
            numbers=None if self.numbers is None else self.numbers[indices],
            captions=None if self.captions is None else tuple(self.captions[i] for i in indices),
            names=tuple(self.names[i] for i in indices),
            splits={part: whole if part == name else whole[:0] for part in self.splits},
        )

    def class_counts(self) -> dict[str, int]:
        """Return class name -> images in this set, in stored order; empty without labels."""
        if self.labels is None:
            return {}
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return dict(zip(self.class_names, counts.tolist(), strict=True))
