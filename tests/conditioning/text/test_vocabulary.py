"""The vocabulary of captions: lossless, deterministic, and learned as the textbook says."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from undrift.conditioning.text.vocabulary import Vocabulary, learn_vocabulary
from undrift.errors import UsageError

CAPTIONS = [f"an emoji of a {colour} {thing}" for colour in ("red", "green", "blue")
            for thing in ("apple", "book", "circle", "heart", "car")]  # fmt: skip
STRANGE = [
    "",
    " ",
    "   two  spaces ",
    "tab\tand\nnewline\r\n",
    "caf\xe9 cafe\u0301 \u2028 \x00\x7f\xad",
    "\U0001f34e red apple \u5b57\u5178 \u0627\u0644\u0639",
    "".join(chr(code) for code in range(1, 0x250)),
]


@pytest.mark.parametrize("text", STRANGE)
@pytest.mark.parametrize("most", [0, 500])
def test_every_text_decodes_to_itself(text: str, most: int) -> None:
    vocabulary = learn_vocabulary([*CAPTIONS, *STRANGE], most)
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_random_texts_decode_to_themselves() -> None:
    vocabulary, rng = learn_vocabulary(CAPTIONS, 200), random.Random(0)
    for _ in range(300):
        codes = (rng.choice((32, 97, 112, rng.randrange(0xD800))) for _ in range(20))
        text = "".join(map(chr, codes))
        assert vocabulary.decode(vocabulary.encode(text)) == text


def test_frequent_words_become_one_token_with_their_space() -> None:
    vocabulary = learn_vocabulary(CAPTIONS, 500)
    assert len(vocabulary.encode(" emoji of a red apple")) == 5
    assert len(vocabulary.encode(" emoji of a red aple")) > 5
    assert len(vocabulary) <= 256 + 500


def test_the_vocabulary_is_what_plain_counting_gives() -> None:
    """Learned by counting all pairs anew after every merge, without an index."""
    words = Counter(word for text in CAPTIONS for word in (f" {w}" for w in f"x{text}".split()))
    parts = {word: [word[i : i + 1] for i in range(len(word))] for word in words}
    learned: list[str] = []
    for _ in range(40):
        pairs: Counter[str] = Counter()
        for word, split in parts.items():
            for left, right in zip(split, split[1:], strict=False):
                pairs[left + right] += words[word]
        best = min((pair for pair in pairs if pair not in learned), key=lambda p: (-pairs[p], p))
        learned.append(best)
        for word, split in parts.items():
            merged, i = [], 0
            while i < len(split):
                together = i + 1 < len(split) and split[i] + split[i + 1] == best
                merged.append(split[i] + (split[i + 1] if together else ""))
                i += 1 + together
            parts[word] = merged
    vocabulary = learn_vocabulary([f" x{text}" for text in CAPTIONS], 40)
    assert vocabulary.written.replace("\u0120", " ") == " ".join(learned)
    for word, split in parts.items():
        assert [vocabulary.decode([n]) for n in vocabulary.encode(word)] == split


def test_the_order_of_the_captions_does_not_matter() -> None:
    assert learn_vocabulary(CAPTIONS, 60).written == learn_vocabulary(CAPTIONS[::-1], 60).written


def test_rare_pairs_are_not_merged() -> None:
    vocabulary = learn_vocabulary(["aa ab", "aa"], 100)
    assert vocabulary.written == "aa"


def test_a_written_vocabulary_reads_back() -> None:
    vocabulary = learn_vocabulary([*CAPTIONS, *STRANGE, *STRANGE], 300)
    again = Vocabulary(vocabulary.written)
    for text in (*CAPTIONS, *STRANGE):
        assert again.encode(text) == vocabulary.encode(text)


@pytest.mark.parametrize("text", ["a", "ab ab", "a\u4e00", "a" * 65])
def test_a_damaged_vocabulary_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="vocabulary"):
        Vocabulary(text)


def test_the_tokens_are_pinned() -> None:
    """What a model stores must read the same in every later version."""
    vocabulary = Vocabulary("\u0120a \u0120an \xc3\xa9")
    assert vocabulary.encode(" an \xe9 a") == [257, 32, 258, 256]
