"""Texts as conditions: a vocabulary, and the shape of the network that encodes them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from undrift.conditioning.text.kind import LONGEST, TextKind, words_of
from undrift.conditioning.text.vocabulary import LARGEST, Vocabulary, learn_vocabulary
from undrift.errors import UsageError
from undrift.limits import WIDEST
from undrift.schema import check_ranges

if TYPE_CHECKING:
    from undrift.conditioning.text.encoder import TextEncoder

PADDING = -1
"""Stands where a text has ended."""


@dataclass(frozen=True)
class TextSpec(TextKind):
    """Texts in a vocabulary of their own; see `TextKind`.

    Attributes:
        vocabulary: merged tokens, as `Vocabulary` writes them.
        length: tokens of a text that are read; the rest is cut off.
        width: channels of an encoded token; a multiple of ``heads``.
        layers: of the text encoder.
        heads: of its attention.
    """

    vocabulary: str
    length: int = LONGEST
    width: int = 128
    layers: int = 2
    heads: int = 4

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "text",
            length=(1, 4096),
            width=(1, WIDEST),
            layers=(0, 64),
            heads=(1, 1024),
        )
        if self.width % self.heads:
            raise UsageError(f"text: {self.heads} heads do not divide width {self.width}")
        _vocabulary(self.vocabulary)

    @classmethod
    def fit(cls, texts: Sequence[str], most: int = 2048) -> TextSpec:
        """Learn the vocabulary of ``texts``, and read as many tokens as the longest has, up to 64.

        Raises:
            UsageError: if no text has a letter.
        """
        prepared = [prepare(text) for text in texts]
        if not any(prepared):
            raise UsageError("text: all texts are empty; there is nothing to learn")
        vocabulary = learn_vocabulary(prepared, min(most, LARGEST)).written
        spec = cls(vocabulary)
        longest = max(len(tokens) for tokens in spec.encode(texts))
        return replace(spec, length=min(LONGEST, longest))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each text, all of them; of an empty text none."""
        vocabulary = _vocabulary(self.vocabulary)
        return [vocabulary.encode(prepare(text)) for text in texts]

    def rows(self, texts: Sequence[str]) -> Tensor:
        """Return the tokens of N texts, int64 (N, length): cut there, padded with -1."""
        rows = np.full((len(texts), self.length), PADDING, np.int64)
        for row, tokens in zip(rows, self.encode(texts), strict=True):
            kept = tokens[: self.length]
            row[: len(kept)] = kept
        return torch.from_numpy(rows)

    def embedding(self, width: int) -> TextEncoder:
        """See `TextEncoder`."""
        from undrift.conditioning.text.encoder import TextEncoder

        return TextEncoder(self, width)

    def places_in(self, other: TextSpec) -> dict[int, int]:
        """Number of each token that ``other`` has too -> its number there."""
        return _vocabulary(self.vocabulary).places_in(_vocabulary(other.vocabulary))

    @property
    def tokens(self) -> int:
        """Number of tokens in the vocabulary."""
        return len(_vocabulary(self.vocabulary))


def prepare(text: str) -> str:
    """Return the text as models read it: NFC, in lower case, a space before every word.

    Words are separated by any white space; an empty text stays empty.
    """
    return "".join(f" {word.lower()}" for word in words_of(text))


@functools.lru_cache(maxsize=16)
def _vocabulary(written: str) -> Vocabulary:
    return Vocabulary(written)
