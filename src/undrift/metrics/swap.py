r"""Attribute swap: does one other word in the prompt change the image as it should?

Image :math:`x_i` is drawn from caption :math:`c_i`, and :math:`x_i'` from the same noise and a
caption :math:`c_i'` in which one word is another. An image-text model (`undrift.metrics.
retrieval`) with encoders :math:`f` of images and :math:`g` of captions finds the new caption nearer
to an image x where

.. math::

    h_i(x) = \bigl[f(x) \cdot g(c_i') > f(x) \cdot g(c_i)\bigr]                               (1)

is 1, and 0 elsewhere. Captions differ in how often they are nearest to anything, so the share of
:math:`h_i(x_i')` alone says little. Each pair of captions is therefore measured in both directions,
on the image of either: the share of images that are nearer to their own caption is

.. math::

    S = \frac1{2n} \sum_i \bigl[h_i(x_i') + 1 - h_i(x_i)\bigr].                               (2)

A model that ignores its prompts has :math:`x_i' = x_i`, and :math:`S` is exactly 1/2. How much the
images change is measured beside it, and how much two images of other captions and other noise
differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.metrics.features.convnet import LONGEST_SIDE
from undrift.metrics.features.resizing import shrink
from undrift.metrics.retrieval import ImageTextModel
from undrift.randomness import generator

CHANGED = 16
"""Pixel values, of 255, from which a pixel has changed."""


def swapped_captions(captions: Sequence[str], known: Sequence[str], seed: int) -> list[str]:
    """Each caption with one word in another's place; as it was where there is no such word.

    Two words can take each other's place if they stand between the same two words in captions of
    ``known``, the ends of a caption included.

    Args:
        captions: to swap a word of each in.
        known: captions to learn from what goes where.
        seed: of the choice; equal captions get the same word.
    """
    between: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for caption in {*known}:
        words = ["", *caption.split(), ""]
        for before, word, after in zip(words, words[1:], words[2:], strict=False):
            between[before, after].add(word)
    found: dict[str, str] = {}
    for caption in {*captions}:
        words = ["", *caption.split(), ""]
        others = {
            i: sorted(between[words[i - 1], words[i + 1]] - {words[i]})
            for i in range(1, len(words) - 1)
        }
        places = [i for i, several in others.items() if several]
        found[caption] = caption
        if places:
            draws = generator(seed, "swapped word", caption)
            # The place first: one where many words may stand is then not taken nearly always.
            place = places[int(torch.randint(len(places), (), generator=draws, device="cpu"))]
            pick = torch.randint(len(others[place]), (), generator=draws, device="cpu")
            words[place] = others[place][int(pick)]
            found[caption] = " ".join(words[1:-1])
    return [found[caption] for caption in captions]


@torch.no_grad()
def prefers(
    model: ImageTextModel, images: NDArray[np.uint8], these: Sequence[str], those: Sequence[str]
) -> NDArray[np.bool_]:
    """Equation (1): ``these`` are the new captions, ``those`` the old ones, (n,)."""
    seen = model.of_images(shrink(images, LONGEST_SIDE))
    nearness = [(seen * model.of_captions(captions)).sum(1) for captions in (these, those)]
    return (nearness[0] > nearness[1]).numpy()


def changed_share(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
    """Share of pixels that differ by more than `CHANGED` in a channel, over pairs of images."""
    apart = np.abs(images.astype(np.int16) - others.astype(np.int16)).max(axis=-1)
    return float((apart > CHANGED).mean())
