"""Byte-level byte-pair encoding (BPE), learned from the captions of a data set.

A text is UTF-8 bytes, cut before every space, so that a token never spans two words. Inside a
word, adjacent tokens whose bytes together are in the vocabulary are merged, those of the lowest
rank first, until none is left. The 256 single bytes are tokens too, so every text has an encoding
and decodes to itself.

A vocabulary is stored as one string: its merged tokens in the order in which they were learned,
separated by spaces. Bytes that do not print are written as GPT-2 writes them: ``Ġ`` is a space.

References: Gage 1994; Sennrich, Haddow and Birch 2016; Radford et al. 2019 (bytes as base tokens).
"""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from undrift.errors import UsageError, shown

BYTES = 256
LARGEST = 8192
"""Merged tokens of a vocabulary, at most."""

LONGEST_TOKEN = 64
"""Bytes of a token, at most."""

_WORD = re.compile(rb" ?[^ ]+| ")


def _letters() -> dict[int, str]:
    """Return how each byte is written: as itself in Latin-1 if it prints, else from U+0100 on."""
    prints = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(BYTES) if byte not in prints)
    return {byte: chr(byte) for byte in prints} | {b: chr(BYTES + i) for i, b in enumerate(others)}


_LETTER = _letters()
_BYTE = {letter: byte for byte, letter in _LETTER.items()}


class Vocabulary:
    """Tokens with their numbers: byte b is token b, the merged token of rank r is 256 + r.

    Args:
        text: the merged tokens, as `written` by another vocabulary.

    Raises:
        UsageError: for a token of one byte, of more than 64, that comes twice, or is not written as
            tokens are; or for more than 8,192 of them.
    """

    def __init__(self, text: str) -> None:
        self.written = text
        merged = [_read(token) for token in text.split()]
        self._tokens = [bytes([byte]) for byte in range(BYTES)] + merged
        self._number = {token: number for number, token in enumerate(self._tokens)}
        if len(self._number) < len(self._tokens) or len(merged) > LARGEST:
            raise UsageError(
                f"vocabulary: {len(merged):,} tokens, {len(self._number) - BYTES:,} of them "
                f"distinct; wanted distinct ones, at most {LARGEST:,}"
            )
        self._words: dict[bytes, list[int]] = {}

    def __len__(self) -> int:
        """Number of tokens, single bytes included."""
        return len(self._tokens)

    def places_in(self, other: Vocabulary) -> dict[int, int]:
        """Number of each token that ``other`` has too -> its number there."""
        return {
            number: other._number[token]
            for token, number in self._number.items()
            if token in other._number
        }

    def encode(self, text: str) -> list[int]:
        """Return the numbers of the tokens of ``text``."""
        numbers: list[int] = []
        for word in _WORD.findall(text.encode()):
            if word not in self._words:
                self._words[word] = self._merged(word)
            numbers += self._words[word]
        return numbers

    def decode(self, numbers: Sequence[int]) -> str:
        """Return the text of some tokens; bytes that are not UTF-8 become U+FFFD."""
        return b"".join(self._tokens[number] for number in numbers).decode(errors="replace")

    def _merged(self, word: bytes) -> list[int]:
        parts = [bytes([byte]) for byte in word]
        while len(parts) > 1:
            pairs = [left + right for left, right in zip(parts, parts[1:], strict=False)]
            ranked = [pair for pair in pairs if pair in self._number]
            if not ranked:
                break
            parts = _merge(parts, min(ranked, key=self._number.__getitem__))
        return [self._number[part] for part in parts]


def learn_vocabulary(texts: Iterable[str], most: int, least: int = 2) -> Vocabulary:
    """Learn at most ``most`` merged tokens, each of which occurred ``least`` times or more.

    The next token is the most frequent pair of adjacent tokens, of equally frequent ones the first
    in byte order. The order of the texts does not matter.
    """
    counts = Counter(word for text in texts for word in _WORD.findall(text.encode()))
    words = {word: [bytes([byte]) for byte in word] for word in counts}
    frequency: Counter[bytes] = Counter()
    within: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for word, parts in words.items():
        for left, right in zip(parts, parts[1:], strict=False):
            frequency[left + right] += counts[word]
            within[left + right].add(word)
    heap = [(-count, pair) for pair, count in frequency.items()]
    heapq.heapify(heap)
    learned: dict[bytes, None] = {}
    while heap and len(learned) < most:
        count, token = heapq.heappop(heap)
        if frequency[token] != -count or token in learned or -count < least:
            continue  # the entry is older than the token's count, or the token is too rare
        learned[token] = None
        changed: set[bytes] = set()
        for word in within.pop(token):
            before = words[word]
            after = words[word] = _merge(before, token)
            for parts, sign in ((before, -1), (after, 1)):
                for left, right in zip(parts, parts[1:], strict=False):
                    frequency[left + right] += sign * counts[word]
                    if sign > 0 and len(left) + len(right) <= LONGEST_TOKEN:
                        within[left + right].add(word)
                    changed.add(left + right)
        for pair in changed - learned.keys():
            if len(pair) <= LONGEST_TOKEN and frequency[pair] >= least:
                heapq.heappush(heap, (-frequency[pair], pair))
    return Vocabulary(" ".join("".join(_LETTER[byte] for byte in token) for token in learned))


def _merge(parts: list[bytes], token: bytes) -> list[bytes]:
    """Merge, from left to right, adjacent parts that together are ``token``."""
    merged: list[bytes] = []
    position = 0
    while position < len(parts):
        pair = b"".join(parts[position : position + 2])
        together = pair == token and position + 1 < len(parts)
        merged.append(pair if together else parts[position])
        position += 1 + together
    return merged


def _read(token: str) -> bytes:
    if not 2 <= len(token) <= LONGEST_TOKEN or not all(letter in _BYTE for letter in token):
        raise UsageError(
            f"vocabulary: {shown(token)} is no token; wanted 2 to {LONGEST_TOKEN} letters, each a "
            "byte"
        )
    return bytes(_BYTE[letter] for letter in token)
