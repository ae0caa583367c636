"""Prompts steer what is drawn: spots of a tone and a place."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from undrift.conditioning.text import TextSpec
from undrift.data import ImageSet, load
from undrift.networks import UNetConfig
from undrift.pipelines import SampleSpec
from undrift.training.learners.diffusion import DiffusionConfig, DiffusionLearner
from undrift.training.learners.student import StudentLearner
from undrift.training.loop import Trainer
from undrift.training.optimizers import AdamWConfig
from undrift.training.signals import StopSignals

from ..pipelines.models import shaken
from .small import ALONE, model, plan
from .students import student_config
from .test_exact_resume import resumed

TONES = {"dark": 20, "bright": 235}
PLACES = {"left": (1, 3), "right": (5, 3), "top": (3, 1), "bottom": (3, 5)}
PROMPTS = [f"a {tone} spot at the {place}" for tone, place in itertools.product(TONES, PLACES)]


def drawn(prompts: list[str], seed: int = 0) -> NDArray[np.uint8]:
    """Images (N, 8, 8, 1) of grey noise with a spot of 3 x 3."""
    images = np.random.default_rng(seed).normal(128, 12, (len(prompts), 8, 8))
    for image, prompt in zip(images, prompts, strict=True):
        _, tone, *_, place = prompt.split()
        across, down = PLACES[place]
        image[down - 1 : down + 2, across - 1 : across + 2] = TONES[tone]
    return np.clip(images, 0, 255).astype(np.uint8)[..., None]


def read(images: NDArray[np.uint8]) -> list[str]:
    """The prompt that describes each image: the nearest mean image."""
    means = drawn(PROMPTS * 20).astype(float).reshape(20, len(PROMPTS), -1).mean(0)
    flat = images.astype(float).reshape(len(images), -1)
    nearest = ((flat[:, None] - means) ** 2).sum(2).argmin(1)
    return [PROMPTS[i] for i in nearest]


def with_captions(prompts: list[str]) -> ImageSet:
    """Spots with their prompt and its words in another order as captions."""
    digits = load("digits").split("train")
    captions = tuple((prompt, " ".join(reversed(prompt.split()))) for prompt in prompts)
    return replace(
        digits,
        store=drawn(prompts),
        rows=np.arange(len(prompts)),
        labels=None,
        class_names=(),
        captions=captions,
    )


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return with_captions(PROMPTS * 50)


def conditioned(images: ImageSet, **changes: object) -> DiffusionConfig:
    captions = [text for texts in images.captions or () for text in texts]
    text = replace(TextSpec.fit(captions), width=32, layers=1, heads=2)
    spec = SampleSpec((1, 8, 8), text=text, sigma_min=0.02, steps=12)
    network = UNetConfig(width=16, multipliers=(1, 2), blocks=1, attention=(-1,), head_width=16)
    return model(images, spec=spec, network=network, label_dropout=0.1, **changes)


@pytest.mark.slow
def test_prompts_are_obeyed(images: ImageSet) -> None:
    """Chance is 1 in 8."""
    config = conditioned(images, width=32, optimizer=AdamWConfig(learning_rate=3e-3))
    learner = DiffusionLearner(config, seed=0)
    done = Trainer(learner, plan(steps=250, batch_size=64), images, world=ALONE)
    done.run(StopSignals())
    pipeline = learner.pipeline(done.ema.weights(done.plan.ema[0]))
    for prompt in PROMPTS:
        assert read(pipeline(16, prompts=prompt, guidance=2).images).count(prompt) >= 12


def test_resume_is_bit_equal_with_captions(images: ImageSet, tmp_path: Path) -> None:
    resumed(lambda: DiffusionLearner(conditioned(images), seed=0), images, tmp_path)


def test_captions_reach_a_student_as_they_reach_its_teacher(images: ImageSet) -> None:
    learner = DiffusionLearner(conditioned(images), seed=0)
    shaken(learner.networks)
    taught, trained = learner.pipeline(), learner.config
    config = replace(student_config(images, trained), guidance=(1.0, 4.0))
    made = StudentLearner(config, seed=0, teacher=taught)
    x, t = torch.randn(2, 1, 8, 8), torch.full((2,), 0.02, dtype=torch.float64)
    condition = trained.spec.condition().select(images.condition()[:2])
    ours = made.pipeline().model.estimate(condition, 2, [1.0, 4.0])(x, t, torch.zeros_like(t))
    torch.testing.assert_close(ours, taught.bound_denoiser(condition, 2)(x, t).x0)
    Trainer(made, plan(steps=2), images, world=ALONE).run(StopSignals())
    pipeline = made.pipeline()
    drawn = [pipeline(2, prompts=prompt, guidance=3).images for prompt in PROMPTS[:2]]
    assert not np.array_equal(*drawn)
    assert (
        "text"
        in made.validate(pipeline, images.images[:8], images.condition()[:8])["condition_gaps"]
    )
