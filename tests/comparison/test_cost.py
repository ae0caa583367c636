"""Cost of sampling and of training, measured on real models and compared with the arithmetic."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import undrift
import undrift.data
from undrift.comparison.cost import _BACKWARD, speed_of
from undrift.comparison.cost import training_flops as flops
from undrift.conditioning import Condition
from undrift.options import DistillOptions
from undrift.options.train import TrainOptions
from undrift.pipelines import DiffusionPipeline
from undrift.runs.recipes import build_learner, resolve
from undrift.training.learner import pipeline_as
from undrift.training.learners.gan_config import PenaltyConfig
from undrift.training.learners.student_config import TeacherReference
from undrift.training.muon import Muon
from undrift.training.optimizers import build_optimizers
from undrift.workflows.distill import student_config


@pytest.fixture(scope="module")
def images():
    return undrift.data.load("digits")


def training_flops(config, train):
    return flops(config, train, "cpu")


def config(images, **settings):
    asked = TrainOptions(steps=9, threads=1, **settings)
    return resolve("digits", asked, images, device="cpu")


def test_a_perceptron_costs_six_per_weight_and_image(images):
    """Two to draw, two for the weight's gradient, two for the input's where it leads to weights."""
    made = config(images, network="mlp", batch_size=16)
    network = build_learner(made).networks["network"]
    layers = {name: m for name, m in network.named_modules() if isinstance(m, nn.Linear)}
    weights = sum(layer.weight.numel() for layer in layers.values())
    leaves = sum(layers[name].weight.numel() for name in ("stem", "embedding.noise_in"))
    state = torch.random.get_rng_state()
    assert training_flops(made, images.split("train")) == 6 * weights - 2 * leaves
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_students_images_cost_its_own_passes(images):
    """Consistency: two passes forward, one of them back, as its teacher's one and one back."""
    made, train = config(images, network="mlp", batch_size=16), images.split("train")
    teacher = pipeline_as(build_learner(made).pipeline(), DiffusionPipeline)
    options = DistillOptions(images=144, batch_size=16)
    student = student_config(made, made.model, teacher, TeacherReference("", ""), options)
    alone = training_flops(made, train)
    assert alone < flops(student, train, "cpu", made) < 1.5 * alone


def test_an_optimiser_that_multiplies_matrices_is_counted_per_step(images):
    """Five rounds of X X^T, its square and its product with X, whatever the batch."""
    made = config(images, batch_size=8)  # a U-Net with Muon
    few, many = (
        training_flops(one, images.split("train")) for one in (made, config(images, batch_size=16))
    )
    (group,) = build_learner(made).groups
    optimizers = build_optimizers(group.module.named_parameters(), group.optimizer)
    (muon,) = (one for one in optimizers if isinstance(one, Muon))
    shapes = [p.flatten(1).shape for g in muon.param_groups for p in g["params"]]
    step = sum(5 * (4 * min(s) ** 2 * max(s) + 2 * min(s) ** 3) for s in shapes)
    assert step > 0 and few - many == pytest.approx(step / 8 - step / 16)


def judged(made) -> float:
    """Operations of a discriminator that judges one image."""
    learner = build_learner(made)
    discriminator, encoder = (
        learner.networks[n] for n in ("discriminator", "discriminator_encoder")
    )
    heard = encoder(Condition({"labels": torch.zeros(1, dtype=torch.int64)}), 1)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        discriminator(torch.zeros(1, 1, 8, 8), heard)
    return counter.get_total_flops()


def test_penalties_cost_gradients_of_gradients(images):
    made, train = config(images, method="r3gan", batch_size=8), images.split("train")
    free = replace(made, model=replace(made.model, penalty=PenaltyConfig()))
    extra = (training_flops(made, train) - training_flops(free, train)) / judged(made)
    # of two kinds of images, each a gradient (1) and the gradients of that (2 or more)
    assert 5 <= extra <= 9


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_a_convolution_costs_as_much_per_gradient_as_itself(kind, groups):
    layer = kind(8, 12, 3, padding=1, stride=2, groups=groups)
    x = torch.zeros(2, 8, 6, 6, requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        y = layer(x)
    with FlopCounterMode(display=False, custom_mapping=_BACKWARD) as backward:
        y.sum().backward()
    assert backward.get_total_flops() == 2 * forward.get_total_flops() > 0


def test_phases_count_as_often_as_they_are_due(images):
    train = images.split("train")
    made = config(images, method="stylegan2", batch_size=8)
    every = [
        training_flops(
            replace(made, model=replace(made.model, penalty=PenaltyConfig(r1=0.1, every=n))), train
        )
        for n in (2, 4)
    ]
    bare = training_flops(replace(made, model=replace(made.model, penalty=PenaltyConfig())), train)
    assert every[0] - bare == pytest.approx(2 * (every[1] - bare))
    critic = config(images, method="wgan_gp", batch_size=8)
    often = replace(critic, model=replace(critic.model, critic_steps=1))
    assert training_flops(often, train) > training_flops(critic, train)


METHODS = ("diffusion", "dcgan", "wgan_gp", "sngan", "stylegan2", "r3gan")


@pytest.mark.parametrize("method", METHODS)
def test_cost_of_sampling(tmp_path, method):
    run = tmp_path / "run"
    undrift.train("digits", method=method, steps=5, out=run, parameters="20k", threads=1, bare=True)
    found = speed_of(run, "cpu", 1)
    assert found.flops > 10_000
    assert found.nfe > 1 if method == "diffusion" else found.nfe == 1
    assert 0 < found.batch_ms < found.single_ms
