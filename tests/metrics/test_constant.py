"""What does not vary is no unit: it is refused with its reason, and never divided by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics import Comparison, Images, measure, open_spaces
from undrift.metrics.features import TextureFeatures, open_extractor
from undrift.metrics.frechet import frechet_distance

SIZED = ("fd", "kid", "mind", "texture_fd", "precision", "coverage", "vendi")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def nearly_constant() -> np.ndarray:
    images = np.full((40, 16, 16, 3), 128, np.uint8)
    images[7, 3, 4, 0] = 129
    return images


@pytest.mark.parametrize("spec", ["random", "domain", "pixels", "texture"])
@pytest.mark.parametrize("labelled", [False, True])
def test_no_space_is_fitted_on_copies_of_one_image(spec: str, labelled: bool):
    labels = np.arange(40) % 2 if labelled else None
    for images in (np.full((40, 16, 16, 3), 128, np.uint8), nearly_constant()):
        with pytest.raises(UsageError, match="40 images that are all the same, or as good as"):
            open_extractor(spec, images, labels)


def test_masks_of_levels_0_and_1_and_a_single_odd_image_do_differ():
    masks = (noise(300, 8, 8, 1) < 3).astype(np.uint8)  # one pixel in a hundred
    odd = np.zeros((300, 8, 8, 1), np.uint8)
    odd[-1] = 255
    for images in (masks, odd):
        made = open_extractor("random", images, None)
        assert np.isfinite(made.features(images)).all()


@pytest.mark.parametrize("spec", ["random", "domain", "texture"])
def test_a_channel_that_does_not_vary_has_the_unit_of_the_others(spec: str):
    # by a deviation of "at least one level", samples with other alphas were millions away
    images, made = noise(64, 16, 16, 4), noise(64, 16, 16, 4)
    images[..., 3] = 255
    space = open_extractor(spec, images, np.arange(64) % 2)
    distance = frechet_distance(space.features(made), space.features(images))
    assert distance < 2000


def test_statistics_that_are_rounding_are_not_blown_up():
    flat = np.broadcast_to(noise(200, 1, 1, 1), (200, 16, 16, 1)).copy()
    space = TextureFeatures.fit(flat)
    assert float(space.scale.min()) > 1e-4


class Own:
    """Features of the user's own, which may be constant."""

    name, description, dimension, standard_fid = "own@0", "", 3, False

    def __init__(self, spread: float) -> None:
        self.spread = spread

    def features(self, images: np.ndarray) -> np.ndarray:
        means = images.reshape(len(images), -1).mean(axis=1)
        return np.stack([1e6 + self.spread * means, 0 * means + 7.0, 0 * means], axis=1)


@pytest.mark.parametrize("spread", [0.0, 1e-9])
def test_a_space_in_which_all_real_images_are_one_point_measures_nothing(spread: float):
    sets = np.split(noise(180, 8, 8, 1), 3)
    training, held_out, made = (Images(part) for part in sets)
    comparison = Comparison(made, held_out, training, Own(spread), None, (), 0, "test")
    found: dict[str, Any] = measure(comparison, [*SIZED, "memorization"])
    assert set(found.metrics) == {"texture_fd", "memorization", "vendi"}
    assert found.metrics["vendi"].value == 1.0  # of the samples alone
    for name in ("fd", "kid", "mind", "coverage"):
        assert "60 reference images are all the same" in found.missing[name]


def test_constant_dimensions_among_others_add_nothing():
    sets = np.split(noise(180, 8, 8, 1), 3)
    training, held_out, made = (Images(part) for part in sets)
    found = measure(Comparison(made, held_out, training, Own(1.0), None, (), 0, "test"), SIZED)
    assert found.metrics["fd"].value < 100 and found.metrics["fd"].floor < 100


def test_samples_that_are_all_one_image_are_measured():
    training, held_out = (Images(part) for part in np.split(noise(160, 8, 8, 1), 2))
    collapsed = Images(np.repeat(noise(1, 8, 8, 1), 60, axis=0))
    space, _ = open_spaces(training, "random")
    found = measure(Comparison(collapsed, held_out, training, space, None, (), 0, "test"), SIZED)
    assert set(found.metrics) == set(SIZED)
    assert 1 < found.metrics["fd"].value < 1e4
    assert found.metrics["vendi"].value == pytest.approx(1.0)
