"""What metrics see, on features that are known to be blind to something."""

from __future__ import annotations

import json

import numpy as np
import pytest

from undrift.errors import UsageError
from undrift.metrics import Comparison, Images
from undrift.metrics.features.pixels import PixelFeatures
from undrift.metrics.features.texture import TextureFeatures
from undrift.metrics.sensitivity import EXPECTED, Sensitivity, sensitivity
from undrift.schema import from_plain, to_plain


class Brightness:
    """Mean and standard deviation of each channel's levels: no arrangement of pixels matters."""

    name = "brightness@00000000"
    description = "mean and spread of the levels"
    standard_fid = False

    def __init__(self, channels: int) -> None:
        self.dimension = 2 * channels

    def features(self, images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1, images.shape[3]) / 16.0
        return np.concatenate([flat.mean(axis=1), flat.std(axis=1)], axis=1)


def stripes(count: int, seed: int) -> Images:
    """Sharp stripes of many widths, phases and contrasts, in two classes: dark and bright."""
    draws = np.random.default_rng(seed)
    labels = draws.integers(0, 2, count)
    x = np.arange(12)[None, :] / draws.uniform(2, 6, (count, 1)) + draws.uniform(0, 6, (count, 1))
    waves = np.sign(np.sin(x))[:, None, :, None] * draws.uniform(20, 50, (count, 1, 1, 1))
    levels = 80 + 90 * labels[:, None, None, None] + waves + draws.normal(0, 4, (count, 1, 1, 1))
    levels = levels + np.zeros((count, 12, 12, 1))
    return Images(levels.clip(0, 255).round().astype(np.uint8), labels.astype(np.int64))


def compared(extractor, training: Images | None, reference: Images) -> Comparison:
    own = None if training is not None else np.arange(len(reference))
    training = reference if training is None else training
    return Comparison(reference, reference, training, extractor, None, ("a", "b"), 0, "test",
                      own_rows=own)  # fmt: skip


@pytest.fixture(scope="module")
def blind() -> Sensitivity:
    return sensitivity(compared(Brightness(1), stripes(400, 0), stripes(200, 1)), list(EXPECTED))


@pytest.fixture(scope="module")
def seeing() -> Sensitivity:
    training = stripes(400, 0)
    space = TextureFeatures.fit(training.images)
    return sensitivity(compared(space, training, stripes(200, 1)), list(EXPECTED))


def test_features_without_arrangement_do_not_see_shuffles(blind):
    for metric in ("fd", "kid", "coverage", "precision", "density"):
        assert {"structure", "arrangement"} <= set(blind.unseen(metric))
    assert "missing modes" not in blind.unseen("fd")  # dark images alone
    assert "missing modes" not in blind.unseen("recall")
    assert "repetition" not in blind.unseen("coverage")


def test_texture_features_see_them(seeing):
    for metric in ("fd", "coverage"):
        assert {"structure", "sharpness", "noise of 15%"}.isdisjoint(seeing.unseen(metric))
    assert seeing.unseen("fd") == ()


def test_each_metric_is_asked_for_what_it_is_meant_to_notice(seeing):
    asked = {(one.metric, one.corruption) for one in seeing.responses}
    assert ("precision", "copies") not in asked
    assert ("recall", "shuffled pixels") not in asked
    assert ("recall", "copies") in asked
    assert {("fd", "copies"), ("fd", "blur"), ("fd", "missing modes")} <= asked


def test_values_are_those_of_the_metrics(seeing):
    one = seeing.value("fd", "strong noise")
    assert one is not None
    assert one.low < one.value < one.high
    assert one.value > 20 * seeing.real["fd"]
    assert seeing.value("fd", "no such corruption") is None
    assert seeing.n == 200
    assert seeing.n_reference == 200


def test_sizes_are_equal_and_the_samples_play_no_part(seeing):
    training, reference = stripes(400, 0), stripes(200, 1)
    space = TextureFeatures.fit(training.images)
    other = Comparison(stripes(30, 5), reference, training, space, None, ("a", "b"), 0, "test")
    again = sensitivity(other, ["fd"])
    assert again.real["fd"] == seeing.real["fd"]
    assert again.responses == tuple(one for one in seeing.responses if one.metric == "fd")


def test_without_held_out_images_halves_are_compared():
    reference = stripes(240, 0)
    found = sensitivity(compared(Brightness(1), None, reference), ["fd"])
    assert (found.n, found.n_reference) == (60, 120)
    assert "structure" in found.unseen("fd")


def test_unlabelled_images_lose_clusters():
    training, reference = (Images(stripes(400, k).images) for k in (0, 1))
    found = sensitivity(compared(PixelFeatures.fit(training.images), training, reference), ["fd"])
    one = found.value("fd", "missing modes")
    assert one is not None
    assert one.seen


def test_too_few_images_say_so():
    with pytest.raises(UsageError, match="30 real images beside the reference: needs at least 80"):
        sensitivity(compared(Brightness(1), stripes(30, 0), stripes(100, 1)), ["fd"])


def test_json_and_back(blind):
    assert from_plain(Sensitivity, json.loads(json.dumps(to_plain(blind))), "") == blind
