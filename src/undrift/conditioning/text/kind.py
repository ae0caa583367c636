"""What texts are as a kind of condition, whichever model encodes them."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from undrift.conditioning.text.texts import Texts
from undrift.errors import UsageError, shown
from undrift.networks.context import ContextSpec

LONGEST = 64
"""Tokens of a caption that a fitted spec keeps, at most."""


class TextKind(ABC):
    """The texts that a model takes: entries are `Texts`; an empty text is none.

    Attributes:
        length: tokens of a text that are read; the rest is cut off.
        width: channels of an encoded token.
        layers: trained, of the text encoder.
        heads: of its attention.
    """

    length: int
    width: int
    layers: int
    heads: int

    @property
    @abstractmethod
    def tokens(self) -> int:
        """Number of tokens that have a trained embedding."""

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text, all of them; of an empty text none."""

    def cut(self, texts: Sequence[str]) -> int:
        """Return how many of the texts have more tokens than are read."""
        return sum(len(tokens) > self.length for tokens in self.encode(texts))

    @abstractmethod
    def embedding(self, width: int) -> nn.Module:
        """A new encoder, a `SequenceEncoder`; ``width`` is the length of the pooled vector."""

    @property
    def name(self) -> str:
        """See `Kind.name`."""
        return "text"

    @property
    def dropout(self) -> tuple[str, ...]:
        """See `Kind.dropout`."""
        return ("text dropout",)

    def null(self, rows: int, device: torch.device) -> Texts:
        """See `Kind.null`."""
        return Texts([()] * rows)

    def check(self, entry: Texts, rows: int) -> None:
        """See `Kind.check`."""
        if not isinstance(entry, Texts) or len(entry) != rows:
            raise UsageError(f"condition: text is {shown(entry)}, wanted Texts of {rows} samples")

    def drop(self, entry: Texts, dropped: Tensor) -> Texts:
        """See `Kind.drop`; a dropped text is empty."""
        return entry.without(dropped[:, 0])

    def context(self, width: int) -> ContextSpec:
        """A vector and tokens."""
        return ContextSpec(vector=width, tokens=self.width)


def words_of(text: str) -> list[str]:
    """Return the words of a text, in NFC; white space of any kind separates them."""
    return unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode()).split()
