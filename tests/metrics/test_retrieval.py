"""Retrieval finds the captions of images that show them, and of no others."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics.retrieval import ImageTextModel, fit_image_text, retrieval

TONES = {"black": 0, "grey": 110, "white": 250}
SHAPES = {
    "square": (slice(2, 10), slice(2, 10)),
    "bar": (slice(5, 7), slice(1, 11)),
    "post": (slice(1, 11), slice(5, 7)),
    "dot": (slice(5, 7), slice(5, 7)),
}
OFFERED = [f"a {tone} {shape}" for tone, shape in itertools.product(TONES, SHAPES)]


def drawn(captions: list[str], seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed)
    images = np.full((len(captions), 12, 12, 1), 180.0)
    for image, caption in zip(images, captions, strict=True):
        _, tone, shape = caption.split()
        image[SHAPES[shape]] = TONES[tone]
    return np.clip(images + noise.normal(0, 8, images.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> ImageTextModel:
    """Trained on all compositions but one."""
    captions = [caption for caption in OFFERED if caption != "a white bar"] * 8
    return fit_image_text(drawn(captions, 0), captions, steps=40)


def test_real_pairs_are_found_and_shuffled_ones_are_not(model: ImageTextModel) -> None:
    captions = OFFERED * 4
    images = drawn(captions, 1)
    found = retrieval(model, images, captions, OFFERED, 1)
    assert found.value > 0.85 and found.low > 4 * found.chance and found.images == 48
    shuffled = retrieval(model, images, captions[5:] + captions[:5], OFFERED, 1)
    assert shuffled.value < 0.1
    assert retrieval(model, images, captions, OFFERED, 12).value == 1


def test_a_composition_that_was_held_out_is_found(model: ImageTextModel) -> None:
    captions = ["a white bar"] * 8
    assert retrieval(model, drawn(captions, 2), captions, OFFERED, 2).value > 0.7


def test_images_of_nothing_are_found_by_chance(model: ImageTextModel) -> None:
    blank = np.full((12, 12, 12, 1), 180, np.uint8)
    found = retrieval(model, blank, OFFERED, OFFERED, 3)
    assert found.value == pytest.approx(found.chance)


def test_the_same_seed_trains_the_same_model(model: ImageTextModel) -> None:
    captions = OFFERED * 2
    images = drawn(captions, 0)
    one, other = (fit_image_text(images, captions, steps=2) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_what_cannot_be_measured_is_refused(model: ImageTextModel) -> None:
    images = drawn(OFFERED, 0)
    for captions, offered, k in (
        (["a cat"] * 12, OFFERED, 1),
        (OFFERED, OFFERED * 2, 1),
        (OFFERED, OFFERED, 13),
    ):
        with pytest.raises(UsageError, match="retrieval"):
            retrieval(model, images, captions, offered, k)
    with pytest.raises(UsageError, match="two pairs or more"):
        fit_image_text(images[:1], OFFERED[:1])
