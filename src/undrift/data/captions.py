"""What the captions of a data set hold: how many, how different, and whether they are classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from undrift.advice import possible
from undrift.wording import plural

FEW_DISTINCT = 10
"""Images per distinct caption from which captions are classes in other words."""

MARKS = ".,;:!?\"'()[]\u201c\u201d\u2018\u2019"
MOST_WORDS = 100
"""Words of a caption whose combinations are counted."""


@dataclass(frozen=True)
class CaptionCounts:
    """Counts over the images of a data set.

    Attributes:
        images: with a caption.
        missing: images without one.
        captions: in all; an image may have several.
        distinct: different captions.
        words: different words, in lower case.
        pairs: different pairs of words in one caption.
    """

    images: int
    missing: int
    captions: int
    distinct: int
    words: int
    pairs: int

    @property
    def are_classes(self) -> bool:
        """Whether so few captions differ that a class label says the same."""
        return self.images >= FEW_DISTINCT * self.distinct

    @property
    def sentence(self) -> str:
        """The counts in words."""
        return (
            f"{plural(self.distinct, 'distinct caption')} of {plural(self.images, 'image')}, of "
            f"{plural(self.words, 'word')} in {plural(self.pairs, 'combination')} of two"
        )

    @property
    def notes(self) -> list[str]:
        """What to know before training on them."""
        found = f"{plural(self.images, 'image')} with captions"
        if self.missing:
            found += f", {self.missing:,} without"
        lines = [possible(f"{found}; trained on with {{text}}", found)]
        if self.are_classes:
            share = self.images // self.distinct
            lines.append(
                f"{plural(self.distinct, 'distinct caption')}, each of about "
                f"{plural(share, 'image')}: these are classes; "
                + possible("train on them as labels with {label_column}", "use them as labels")
            )
        return lines


def count_captions(captions: Sequence[Sequence[str]] | None) -> CaptionCounts | None:
    """Count the captions of N images; None where no image has one."""
    if captions is None:
        return None
    distinct = {text for texts in captions for text in texts}
    words: set[str] = set()
    pairs: set[tuple[str, str]] = set()
    for text in distinct:
        inside = sorted(words_of(text))
        words.update(inside)
        pairs.update(combinations(inside[:MOST_WORDS], 2))
    images = sum(bool(texts) for texts in captions)
    return CaptionCounts(
        images=images,
        missing=len(captions) - images,
        captions=sum(len(texts) for texts in captions),
        distinct=len(distinct),
        words=len(words),
        pairs=len(pairs),
    )


def words_of(text: str) -> set[str]:
    """Return the different words of a caption, in lower case, without punctuation around them."""
    stripped: Iterable[str] = (word.strip(MARKS) for word in text.lower().split())
    return {word for word in stripped if word}
