r"""Are prompts obeyed? Retrieval of an image's own caption by a small image-text model.

Two encoders, of images :math:`f` and of captions :math:`g`, to unit vectors are trained on real
pairs so that each image is nearest to its own caption within a batch, and the other way round:

.. math::

    L = \tfrac12 \sum_i \Bigl[-\log \frac{e^{\tau f_i \cdot g_i}}{\sum_j e^{\tau f_i \cdot g_j}}
                              -\log \frac{e^{\tau f_i \cdot g_i}}{\sum_j e^{\tau f_j \cdot g_i}}
                        \Bigr]                                                               (1)

An image drawn from a prompt counts as a hit among the top k where its prompt is one of the k
captions nearest to it, of all that are offered. Real pairs say how well the model itself can do,
and k over the number of captions is chance.

Reference: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
Supervision", figure 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from undrift.conditioning.text import TextSpec
from undrift.errors import UsageError
from undrift.metrics.features.convnet import FEATURES, LONGEST_SIDE, FeatureNetwork
from undrift.metrics.features.resizing import shrink
from undrift.metrics.wilson import grouped_interval
from undrift.randomness import generator, key

BATCH, RATE, SHIFT = 128, 2e-3, 2
"""Pairs of a batch, peak learning rate, and pixels by which images are shifted at random."""


@dataclass(frozen=True)
class Retrieval:
    """Share of images whose own caption is among the k nearest.

    Attributes:
        k: captions that count as a hit.
        offered: captions in all.
        images: images in all.
        value: the share of hits.
        low: lower end of Wilson's 95 % interval, images of one caption taken as a group.
        high: upper end.
    """

    k: int
    offered: int
    images: int
    value: float
    low: float
    high: float

    @property
    def chance(self) -> float:
        """Share of hits of images that have nothing to do with their captions."""
        return self.k / self.offered


class ImageTextModel(nn.Module):
    """Unit vectors of images and of captions; a caption is its words, in any order.

    Args:
        text: the vocabulary.
        channels: of the images.
        size: (H, W) of the images, at most 64 a side.
    """

    def __init__(self, text: TextSpec, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.text = text
        self.images = FeatureNetwork(channels, 1, size)
        self.project = nn.Linear(FEATURES, FEATURES)
        self.words = nn.EmbeddingBag(text.tokens, FEATURES, mode="mean")
        self.captions = nn.Sequential(
            nn.Linear(FEATURES, FEATURES), nn.ReLU(), nn.Linear(FEATURES, FEATURES)
        )
        self.log_scale = nn.Parameter(torch.tensor(2.3, dtype=torch.float32, device="cpu"))

    def of_images(self, images: Tensor) -> Tensor:
        """Uint8 (B, C, H, W) -> (B, 64)."""
        return F.normalize(self.project(self.images(images)[0]), dim=1)

    def of_captions(self, captions: Sequence[str]) -> Tensor:
        """(B, 64)."""
        tokens = self.text.encode(captions)
        offsets = np.cumsum([0, *map(len, tokens[:-1])])
        flat = torch.from_numpy(np.array([n for one in tokens for n in one], dtype=np.int64))
        return F.normalize(self.captions(self.words(flat, torch.from_numpy(offsets))), dim=1)


def fit_image_text(
    images: NDArray[np.uint8], captions: Sequence[str], *, steps: int = 1500, seed: int = 0
) -> ImageTextModel:
    """Train an image-text model on real pairs, by equation (1), on the CPU.

    Args:
        images: uint8 (N, H, W, C); those of more than 64 pixels a side are shrunk.
        captions: of each image.
        steps: updates.
        seed: of the weights and the order.

    Raises:
        UsageError: fewer than two pairs, or captions without a letter.
    """
    if not 2 <= len(images) == len(captions):
        raise UsageError(
            f"image-text model: {len(images)} images and {len(captions)} captions; wanted two "
            "pairs or more"
        )
    pixels = shrink(images, LONGEST_SIDE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(seed, "image-text model"))
        text = TextSpec.fit(captions)
        model = ImageTextModel(text, pixels.shape[1], (pixels.shape[2], pixels.shape[3]))
        flat = pixels.float().transpose(0, 1).flatten(1)
        model.images.mean.copy_(flat.mean(1))
        model.images.std.copy_(flat.std(1).clamp_min(1.0))
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        model.train()
        for step in range(steps):
            chosen = generator(seed, "pairs", step)
            rows = torch.randperm(len(images), generator=chosen, device="cpu")[:BATCH]
            loss = _contrast(
                model, _shifted(pixels[rows], chosen), [captions[int(i)] for i in rows]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def retrieval(
    model: ImageTextModel,
    images: NDArray[np.uint8],
    captions: Sequence[str],
    offered: Sequence[str],
    k: int,
) -> Retrieval:
    """Measure how often an image's own caption is among the ``k`` nearest of those ``offered``.

    Args:
        model: from `fit_image_text`.
        images: uint8 (N, H, W, C).
        captions: of each image, each of them among ``offered``.
        offered: different captions.
        k: how many of the nearest count.

    Raises:
        UsageError: a caption that is not offered, one that is offered twice, or ``k`` out of range.
    """
    place = {caption: i for i, caption in enumerate(offered)}
    if len(place) < len(offered) or not set(captions) <= set(place) or not 1 <= k <= len(offered):
        raise UsageError(
            f"retrieval: top {k} of {len(offered)} captions, {len(place)} of them different; "
            "wanted different ones, the images' own among them"
        )
    pixels = shrink(images, LONGEST_SIDE)
    likeness = model.of_images(pixels) @ model.of_captions(offered).T
    own = torch.tensor([place[one] for one in captions], dtype=torch.int64, device="cpu")
    nearest = likeness.topk(k, dim=1).indices
    hits = (nearest == own[:, None]).any(1).numpy()
    interval = grouped_interval(hits, own.numpy())
    return Retrieval(k, len(offered), len(images), float(hits.mean()), *interval)


def _contrast(model: ImageTextModel, images: Tensor, captions: Sequence[str]) -> Tensor:
    """Equation (1); pairs of one caption are not distinguished."""
    likeness = model.of_images(images) @ model.of_captions(captions).T
    same = torch.from_numpy(np.array([[a == b for b in captions] for a in captions]))
    others = same & ~torch.eye(len(captions), dtype=torch.bool, device="cpu")
    logits = (model.log_scale.exp() * likeness).masked_fill(others, float("-inf"))
    own = torch.arange(len(captions), device="cpu")
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def _shifted(images: Tensor, draws: torch.Generator) -> Tensor:
    """Images (B, C, H, W) rolled by up to `SHIFT` pixels, all of the batch alike."""
    down, right = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=draws, device="cpu").tolist()
    return images.roll((down, right), (2, 3))
