"""Classifier guidance of pipelines: what it changes, costs, records and refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.pipelines.models import CLASSES, own, shaken, small
from tests.pipelines.test_gan import pipeline as gan

from undrift.codec import Standardise
from undrift.diffusion import VE, Flow, NoisyClassifier, VPCosine
from undrift.errors import ModelFileError, UsageError
from undrift.networks import UNetClassifier, UNetClassifierConfig
from undrift.pipelines import ClassifierPipeline, Pipeline, SampleSpec
from undrift.pipelines.classifier import ClassifierModel


def reader(
    classes: tuple[str, ...] = CLASSES, size: tuple[int, int] = (6, 5), mean: float = 110.0
) -> ClassifierPipeline:
    config = UNetClassifierConfig(width=8, multipliers=(1, 2), blocks=1, classes=len(classes))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNetClassifier(config, channels=1)
    classifier = NoisyClassifier(shaken(network), 1.0)
    spec = SampleSpec((1, *size), classes, (0.0, 0.0, 1.0))
    return ClassifierPipeline(
        ClassifierModel(classifier, Standardise((mean,), (55.0,)), spec, config)
    )


def apart(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def test_it_guides_a_model_without_classes() -> None:
    model = small(classes=())
    plain = model(3)
    off = model(3, classifier=reader(), classifier_scale=0)
    assert np.array_equal(off.images, plain.images) and off.nfe == plain.nfe
    ants, bees = (model(3, classifier=reader(), labels=name) for name in ("ant", "bee"))
    assert apart(ants.images, plain.images) > 1 < apart(ants.images, bees.images)
    assert bees.nfe == 2 * plain.nfe
    assert bees.labels is not None and bees.labels.tolist() == [1, 1, 1]
    assert bees.class_names == CLASSES and plain.class_names == ()
    assert bees.settings["classifier"] == reader().fingerprint[:16]
    assert bees.settings["classifier_scale"] == 1.0
    assert not {"classifier", "classifier_scale"} & set(plain.settings)
    with pytest.raises(UsageError, match="labels"):  # that nothing would follow
        model(3, classifier=reader(), classifier_scale=0, labels="bee")
    drawn = model(2, classifier=reader())  # by the frequencies of its training images
    assert drawn.labels is not None and drawn.labels.tolist() == [2, 2]


def test_every_image_is_drawn_at_its_own_scale() -> None:
    model = small(classes=())
    given: dict[str, Any] = {"classifier": reader(), "labels": "all"}
    made = model(4, classifier_scale=[0, 3], **given)
    assert made.settings["classifier_scale"] == [0.0, 3.0]
    for i, scale in enumerate((0, 3, 0, 3)):
        guided = given | {"classifier_scale": scale} if scale else {}
        assert apart(model(1, first=i, **guided).images[0], made.images[i]) <= 1


def test_a_model_with_classes_draws_them_by_its_own_frequencies() -> None:
    model = small()
    plain, off = model(6), model(6, classifier=reader(), classifier_scale=0)
    assert np.array_equal(off.images, plain.images) and off.settings == plain.settings
    assert plain.labels is not None and off.labels is not None
    assert off.labels.tolist() == plain.labels.tolist()
    led = model(6, classifier=reader())
    assert led.labels is not None and led.labels.tolist() == plain.labels.tolist()


def test_it_goes_with_classifier_free_guidance_and_an_interval() -> None:
    model = small()
    both = model(2, labels="cat", guidance=3, classifier=reader(), classifier_scale=2)
    one = model(2, labels="cat", guidance=3)
    alone = model(2, labels="cat", classifier=reader(), classifier_scale=2)
    assert apart(both.images, one.images) > 1 < apart(both.images, alone.images)
    assert (both.nfe, one.nfe, alone.nfe) == (12, 8, 8)
    nowhere = model(2, labels="cat", classifier=reader(), guidance_interval=(1e5, 1e6))
    assert np.array_equal(nowhere.images, model(2, labels="cat").images)


def test_it_reads_every_gaussian_path_alike() -> None:
    classifier = reader().model.classifier
    x = torch.randn(2, 1, 6, 5)
    log_snr = torch.tensor([1.0, -2.0], dtype=torch.float64)
    found = []
    for schedule in (VE(), Flow(), VPCosine()):
        level = schedule(schedule.time_at(log_snr))
        with torch.no_grad():
            found.append(classifier(level.like(x).alpha * x, level))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[0], found[2], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found[0].exp().sum(1), torch.ones(2))
    small(classes=(), schedule=Flow())(1, classifier=reader())


def test_a_file_gives_the_classifier_back(tmp_path: Path) -> None:
    made = reader()
    made.save_pretrained(tmp_path / "a")
    again = Pipeline.from_pretrained(tmp_path / "a")
    assert isinstance(again, ClassifierPipeline) and again.fingerprint == made.fingerprint
    model = small(classes=())
    images = [model(2, classifier=one, labels="cat").images for one in (made, again)]
    assert np.array_equal(*images)
    text = (tmp_path / "a" / "config.json").read_text()
    (tmp_path / "a" / "config.json").write_text(text.replace('"ant"', '"ape"'))
    with pytest.raises(ModelFileError):
        Pipeline.from_pretrained(tmp_path / "a")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classifier_scale": 2}, "classifier_scale 2.0?: there is no classifier"),
        (
            {"classifier": reader(), "classifier_scale": float("nan")},
            "classifier_scale nan: wanted a finite",
        ),
        ({"classifier": reader(), "classifier_scale": []}, "classifier_scale: an empty list"),
        ({"classifier": reader(size=(6, 6))}, "classifier: it has images of another shape"),
        ({"classifier": reader(("a", "b", "c"))}, "classifier: it has other classes"),
        ({"classifier": reader(mean=9.0)}, "classifier: it has images standardised otherwise"),
        ({"classifier": small()}, "classifier: a diffusion model reads no classes"),
        ({"classifier": gan("r3gan")}, "classifier: a GAN reads no classes"),
        (
            {"classifier": reader(), "classifier_scale": 0, "guidance_interval": (0.1, 1)},
            "guidance 1 is off",
        ),
        ({"classifier": reader(), "guidance_rescale": 0.5}, "guidance 1 is off"),
    ],
)
def test_what_it_refuses(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        small()(2, **settings)


def test_labels_are_those_of_the_classifier() -> None:
    with pytest.raises(UsageError, match="unknown label 'dog'"):
        small(classes=())(1, classifier=reader(), labels="dog")
    with pytest.raises(UsageError, match="a GAN has no such setting"):
        gan("r3gan")(1, classifier=reader())
    with pytest.raises(UsageError, match="standardised otherwise"):
        own()(1, classifier=reader())


def test_it_draws_no_images() -> None:
    made, images = reader(), np.zeros((1, 6, 5, 1), dtype=np.uint8)
    with pytest.raises(UsageError, match="a classifier draws no images: it guides"):
        made(1)
    with pytest.raises(UsageError, match="cannot inpaint"):
        made.inpaint(images, np.ones((6, 5), dtype=bool))
    with pytest.raises(UsageError, match="cannot edit"):
        made.edit(images, strength=0.5)
