"""Texts of a batch, as an entry of a `Condition`: strings, which the encoder turns into tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from undrift.randomness import Draws


class Texts:
    """One text per sample; or several that describe it, of which training takes one at random.

    Args:
        texts: of each sample; none is an empty text.
    """

    def __init__(self, texts: Iterable[Sequence[str]]) -> None:
        self.of_each = tuple(tuple(several) for several in texts)

    @staticmethod
    def single(texts: Iterable[str]) -> Texts:
        """One text of each sample."""
        return Texts((text,) for text in texts)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.of_each)

    def __getitem__(self, rows: slice | Tensor) -> Texts:
        """The texts of some samples: a slice, an index tensor or a bool mask."""
        if isinstance(rows, slice):
            return Texts(self.of_each[rows])
        chosen = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
        return Texts(self.of_each[i] for i in chosen.tolist())

    def __eq__(self, other: object) -> bool:
        """Whether all texts are equal."""
        return isinstance(other, Texts) and self.of_each == other.of_each

    def __hash__(self) -> int:
        """Equal for equal texts."""
        return hash(self.of_each)

    def __repr__(self) -> str:
        """The first texts."""
        return f"Texts({list(self.of_each[:3])}, rows={len(self)})"

    def to(self, device: torch.device | str) -> Texts:
        """The same texts: strings are on no device."""
        return self

    @property
    def first(self) -> list[str]:
        """The first text of each sample, "" without any."""
        return [several[0] if several else "" for several in self.of_each]

    def drawn(self, draws: Draws) -> Texts:
        """One text of each sample, all of a sample's alike likely."""
        if all(len(several) <= 1 for several in self.of_each):
            return self
        shares = draws.uniform("caption").tolist()
        return Texts(
            several[int(share * len(several)) :][:1]
            for several, share in zip(self.of_each, shares, strict=True)
        )

    def without(self, dropped: Tensor) -> Texts:
        """The texts with an empty one where ``dropped``, bool of shape (B,), is True."""
        marks = dropped.tolist()
        return Texts(
            () if mark else several for several, mark in zip(self.of_each, marks, strict=True)
        )
