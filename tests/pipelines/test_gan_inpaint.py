"""``inpaint`` of a GAN: how long it searches, what it finds, what that costs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.pipelines.models import CLASSES
from tests.pipelines.test_gan import pipeline as gan
from tests.pipelines.test_inpaint import close, photos, region

from undrift.codec import Identity
from undrift.conditioning import ConditionEncoder, ConditionSpec, Number
from undrift.errors import UsageError
from undrift.networks.gan import R3GANConfig
from undrift.pipelines import GANPipeline, SampleSpec
from undrift.pipelines.gan import inpaint as gan_inpainting


class Clock:
    """A clock by which every call of a module takes 10 ms, on any machine."""

    def __init__(self, modules):
        self.now = 0.0
        for module in modules:
            module.register_forward_pre_hook(self.tick)

    def tick(self, *_):
        self.now += 1e-2

    def perf_counter(self):
        return self.now


def test_more_seconds_are_more_iterations_and_they_repeat(monkeypatch):
    pipeline = gan("r3gan")
    images, mask = photos(pipeline, 2), region(pipeline)
    clock = Clock(pipeline.generator.modules())
    monkeypatch.setattr(gan_inpainting, "time", clock)
    found = []
    for seconds in (1e-6, 8.0, 16.0):
        began = clock.now
        made = pipeline.inpaint(images, mask, seconds=seconds, candidates=8)
        found.append(made.settings["iterations"])
        assert seconds < 1 or 0.4 * seconds < clock.now - began < 1.1 * seconds
    assert found[0] == 1 < found[1] < found[2]
    again = pipeline.inpaint(images, mask, iterations=found[2], candidates=8)
    np.testing.assert_array_equal(again.images, made.images)


def test_each_fill_has_candidates_of_its_own():
    pipeline = gan("r3gan")
    images, mask = photos(pipeline), region(pipeline)
    made = pipeline.inpaint(images, mask, variants=2, iterations=0, candidates=8, labels="a")
    each = made.images.reshape(5, 2, -1)
    assert not close(each[:, 0], each[:, 1])


def test_its_cost_is_that_of_candidates_and_of_every_descent():
    pipeline = gan("r3gan")
    images, mask = photos(pipeline, 4), region(pipeline)
    asked = {"iterations": 5, "candidates": 20, "restarts": 3, "variants": 2}
    one = pipeline.inpaint(images, mask, labels="a", **asked)
    assert one.nfe == 20 * 2 / 8 + 3 * (5 + 2) + 1
    all_ = pipeline.inpaint(images, mask, labels="all", **asked)
    assert all_.nfe == 20 * 3 * 2 / 8 + 3 * (5 + 2) + 1


def test_images_of_its_own_are_found_again():
    """What the generator drew is near to some candidate, and nearer after the descent."""
    pipeline = gan("r3gan")
    with torch.no_grad():
        for parameter in pipeline.generator.parameters():
            parameter.mul_(1.5)  # away from the start, whose images differ by few levels
    truth = pipeline(6, labels="all", seed=11)
    mask = np.zeros((8, 12), bool)
    mask[4:] = True
    errors = []
    for iterations in (0, 120):
        made = pipeline.inpaint(
            truth.images, mask, labels="all", iterations=iterations, candidates=60
        )
        errors.append(np.abs(made.images.astype(int) - truth.images)[:, mask].mean())
    assert errors[1] < 0.8 * errors[0]


class Grey(torch.nn.Module):
    """Images of one level of grey, which their class says; the latents add next to nothing."""

    latent = 2

    def forward(self, z, context=None, truncation=1.0):
        level = context.vector[:, :1] / 3 + 0.01 * z[:, :1]
        return level[:, :, None, None].expand(-1, 1, 4, 4)


def test_without_labels_it_finds_the_class():
    encoder = ConditionEncoder(ConditionSpec(classes=3), 2)
    with torch.no_grad():
        encoder.labels.weight[1:] = torch.tensor([[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]])
    spec = SampleSpec((1, 4, 4), CLASSES, (0.2, 0.3, 0.5), steps=1)
    config = R3GANConfig(latent=2)
    pipeline = GANPipeline(Grey(), encoder, Identity(), spec, network_config=config)
    levels = np.array([212, 128, 43, 43], np.uint8).reshape(4, 1, 1, 1)
    images = np.broadcast_to(levels, (4, 4, 4, 1))
    mask = np.zeros((4, 4), bool)
    mask[1:] = True
    made = pipeline.inpaint(images, mask, variants=2, iterations=2, candidates=30)
    assert made.labels.tolist() == [2, 2, 1, 1, 0, 0, 0, 0]
    assert np.abs(made.images.astype(int) - np.repeat(images, 2, 0)).max() < 6
    # of many that are gone on with, wrong classes among them, the best is the answer
    every = pipeline.inpaint(images, mask, iterations=0, candidates=30, restarts=30)
    assert every.labels.tolist() == [2, 1, 0, 0]
    told = pipeline.inpaint(images, mask, labels="ant", iterations=2, candidates=30)
    assert told.labels.tolist() == [0] * 4 and told.images[0, 3, 3, 0] < 60


class Shaded(Grey):
    """Images of one level of grey: the sum of what their conditions and their latent say."""

    def forward(self, z, context=None, truncation=1.0):
        level = context.vector[:, :1] / 2 + 0.2 * z[:, :1]
        return level[:, :, None, None].expand(-1, 1, 4, 4)


def test_candidates_are_made_under_the_condition_of_their_image():
    """Without a descent the nearest candidates show the known level, whatever the number."""
    age = Number("age", 40.0, 12.0, 20.0, 60.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = ConditionEncoder(ConditionSpec(numbers=(age,)), 2)
        torch.nn.init.normal_(encoder.numbers.weight, std=0.2)
    spec = SampleSpec((1, 4, 4), numbers=(age,), steps=1)
    pipeline = GANPipeline(
        Shaded(), encoder, Identity(), spec, network_config=R3GANConfig(latent=2)
    )
    ages = {"age": [20, 28, 36, 44, 52, 60]}
    truth = pipeline(6, numbers=ages, seed=3).images
    mask = np.zeros((4, 4), bool)
    mask[1:] = True
    made = pipeline.inpaint(truth, mask, numbers=ages, iterations=0, restarts=1)
    assert np.abs(made.images.astype(int) - truth).max() <= 8
    asked = {"iterations": 0, "restarts": 1, "candidates": 60}
    costs = [
        pipeline.inpaint(truth, mask, numbers=given, **asked).nfe
        for given in (ages, {"age": [20, 60]}, {"age": 20}, None)
    ]
    assert costs == [3 + 60, 3 + 2 * 60 / 6, 3 + 60 / 6, 3 + 60 / 6]  # images of one age share them


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"iterations": 2, "seconds": 1.0}, "exclude each other"),
        ({"iterations": -1}, "iterations -1"),
        ({"seconds": 0.0}, "seconds 0.0"),
        ({"seconds": float("nan")}, "seconds nan"),
        ({"restarts": 0}, "restarts 0"),
        ({"candidates": 1}, "1 candidates for 2 restarts"),
        ({"labels": "dog"}, "unknown label"),
        ({"seed": -1}, "seed -1"),
        ({"batch_size": 0}, "batch_size 0"),
    ],
)
def test_what_a_gan_cannot_be_asked(settings, message):
    pipeline = gan()
    with pytest.raises(UsageError, match=message):
        pipeline.inpaint(photos(pipeline), region(pipeline), **settings)
