"""Numbers steer what is drawn: blobs whose place is the number, a stretch of it never seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.pipelines.models import shaken

from undrift.conditioning import Condition, Number
from undrift.data import ImageSet, load
from undrift.data.loader import Batch
from undrift.networks import MLPConfig
from undrift.pipelines import DiffusionPipeline, SampleSpec
from undrift.randomness import Draws
from undrift.training.learner import Progress
from undrift.training.learners.diffusion import DiffusionConfig, DiffusionLearner
from undrift.training.loop import Trainer
from undrift.training.optimizers import AdamWConfig
from undrift.training.signals import StopSignals

from .small import ALONE, model, plan
from .test_exact_resume import resumed

SIDE = 8
LOW, HIGH = 1.5, 5.5
GAP = (3.2, 3.8)
"""Places that no training image has."""


def blobs(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Images (N, 8, 8) of a round spot about (x, y)."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    squares = (columns - x[:, None, None]) ** 2 + (rows - y[:, None, None]) ** 2
    return np.round(255 * np.exp(-squares / 2)).astype(np.uint8)


def places(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Centres of gravity (x, y) of images (N, 8, 8, 1): (N, 2)."""
    mass = images[..., 0].astype(np.float64)
    along = np.stack([mass.sum(1) @ np.arange(SIDE), mass.sum(2) @ np.arange(SIDE)], axis=1)
    return along / mass.sum((1, 2))[:, None]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """The number is the place across; the class is the place down, 2 or 5."""
    random = np.random.default_rng(0)
    x = random.uniform(LOW, HIGH, 3000)
    x = x[(x < GAP[0]) | (x > GAP[1])]
    labels = random.integers(2, size=len(x))
    path = tmp_path_factory.mktemp("blobs") / "blobs.npz"
    np.savez(path, images=blobs(x, 2.0 + 3 * labels), labels=labels, place=x)
    return load(path, numbers=["place"], holdout=0.1).split("train")


def conditioned(images: ImageSet, **changes: object) -> DiffusionConfig:
    assert images.numbers is not None
    column = images.numbers[:, 0]
    place = Number("place", column.mean(), column.std(), column.min(), column.max())
    spec = SampleSpec(
        (1, SIDE, SIDE), images.class_names, numbers=(place,), sigma_min=0.02, steps=12
    )
    return model(images, spec=spec, network=MLPConfig(width=16, blocks=1), **changes)


@pytest.fixture(scope="module")
def trained(images: ImageSet) -> DiffusionPipeline:
    config = conditioned(images, width=64, optimizer=AdamWConfig(learning_rate=3e-3))
    learner = DiffusionLearner(replace(config, network=MLPConfig(width=192, blocks=2)), seed=0)
    done = Trainer(learner, plan(steps=700, batch_size=128), images, world=ALONE)
    done.run(StopSignals())
    return learner.pipeline(done.ema.weights(done.plan.ema[0]))


@pytest.mark.slow
def test_the_place_is_the_number_between_the_numbers_of_the_training_data_too(
    trained: DiffusionPipeline,
) -> None:
    asked = np.linspace(LOW + 0.1, HIGH - 0.1, 60)
    found = places(trained(60, labels=["0", "1"], numbers={"place": asked.tolist()}).images)
    assert np.corrcoef(asked, found[:, 0])[0, 1] > 0.98
    assert np.abs(found[:, 0] - asked).mean() < 0.2
    unseen = (asked > GAP[0]) & (asked < GAP[1])
    assert unseen.sum() > 5 and np.abs(found[unseen, 0] - asked[unseen]).mean() < 0.3
    down = 2.0 + 3 * (np.arange(60) % 2)
    assert np.abs(found[:, 1] - down).mean() < 0.2


@pytest.mark.slow
def test_without_a_number_places_are_those_of_the_data_and_guidance_keeps_those_with_one(
    trained: DiffusionPipeline,
) -> None:
    free = places(trained(200, labels="0").images)
    assert 0.7 < free[:, 0].std() / np.std(np.r_[LOW : GAP[0] : 99j, GAP[1] : HIGH : 99j]) < 1.3
    assert abs(free[:, 0].mean() - (LOW + HIGH) / 2) < 4 * free[:, 0].std() / 200**0.5
    for guidance in (1, 2):
        drawn = trained(50, labels="0", numbers={"place": 2.0}, guidance=guidance).images
        assert abs(places(drawn)[:, 0].mean() - 2.0) < 0.3


def test_the_learner_drops_numbers_as_often_as_it_is_told(images: ImageSet) -> None:
    """Only dropped numbers train the null embedding."""
    pixels = torch.from_numpy(images.take(np.arange(64)).transpose(0, 3, 1, 2).copy())
    batch = Batch(pixels, images.condition()[:64])
    moved = {}
    for share in (0.0, 0.5, 1.0):
        learner = DiffusionLearner(conditioned(images, label_dropout=share), seed=0)
        with torch.no_grad():  # a fresh network does not listen
            for weight in learner.networks["network"].parameters():
                weight += 0.1 * torch.randn(
                    weight.shape, generator=torch.Generator().manual_seed(1)
                )
        draws = Draws(0, 0, 64, 0, 64)
        learner.loss("denoise", batch, Progress(0, 1, 0, 0.0), draws).per_sample.sum().backward()
        embedding = learner.networks["encoder"].get_submodule("numbers")
        moved[share] = [bool(weight.grad.any()) for weight in (embedding.weight, embedding.null)]
    assert moved == {0.0: [True, False], 0.5: [True, True], 1.0: [False, True]}


def test_a_model_without_numbers_leaves_those_of_the_data_aside(images: ImageSet) -> None:
    learner = DiffusionLearner(model(images, network=MLPConfig(width=16, blocks=1)), seed=0)
    pixels = torch.from_numpy(images.take(np.arange(4)).transpose(0, 3, 1, 2).copy())
    draws, batch = Draws(0, 0, 4, 0, 4), Batch(pixels, images.condition()[:4])
    with_numbers = learner.loss("denoise", batch, Progress(0, 1, 0, 0.0), draws).per_sample
    bare = Batch(pixels, Condition({"labels": batch.condition["labels"]}))
    without = learner.loss("denoise", bare, Progress(0, 1, 0, 0.0), draws).per_sample
    assert torch.equal(with_numbers, without)


def test_validation_gives_the_numbers_of_the_held_out_images(images: ImageSet) -> None:
    learner = DiffusionLearner(conditioned(images), seed=0)
    shaken(learner.networks["network"])
    few, condition = images.images[:32], images.condition()[:32]

    def losses(given: Condition) -> list[float]:
        return learner.validate(learner.pipeline(), few, given)["losses"]

    right = losses(condition)
    other = condition.with_entry("numbers", condition["numbers"][torch.arange(31, -1, -1)])
    none = Condition({"labels": condition["labels"]})
    assert len({tuple(losses(each)) for each in (other, none)}) == 2
    assert right == losses(condition)
    assert right not in [losses(each) for each in (other, none)]


def test_resume_is_bit_equal_with_numbers(images: ImageSet, tmp_path: Path) -> None:
    config = conditioned(images, label_dropout=0.5)
    resumed(lambda: DiffusionLearner(config, seed=0), images, tmp_path)
