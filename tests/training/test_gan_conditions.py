"""A GAN follows captions and numbers: both networks take them as a vector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from undrift.conditioning import Condition, Number
from undrift.conditioning.text import Texts, TextSpec
from undrift.data.loader import Batch
from undrift.networks.gan import R3GANConfig
from undrift.pipelines import Pipeline
from undrift.randomness import Draws
from undrift.training.learner import Progress
from undrift.training.learners.gan import GANLearner
from undrift.training.loop import Trainer
from undrift.training.optimizers import AdamWConfig
from undrift.training.signals import StopSignals

from .games import GAMES, SPEC
from .small import ALONE, plan
from .test_text import PROMPTS, read, with_captions

TEXT = replace(TextSpec.fit(["a dark cat", "a light cat"]), width=8, layers=1, heads=2)
AGE = Number("age", 2.0, 1.0, 0.0, 5.0)
GIVEN = replace(SPEC, class_names=(), text=TEXT, numbers=(AGE,))
PROGRESS = Progress(0, 10, 0, 0.0)


def learner(name: str = "dcgan", **changes: object) -> GANLearner:
    return GANLearner(replace(GAMES[name], spec=GIVEN, **changes), seed=0)


def batch(text: list[tuple[str, ...]], age: float = 1.0) -> Batch:
    images = torch.zeros(len(text), 1, 8, 8, dtype=torch.uint8)
    numbers = torch.full((len(text), 1), age, dtype=torch.float64)
    return Batch(images, Condition({"text": Texts(text), "numbers": numbers}))


@pytest.mark.parametrize("name", ["dcgan", "r3gan", "stylegan2"])
def test_both_networks_depend_on_captions_and_numbers(name: str) -> None:
    """Every phase trains both encoders, and another caption or number is another image."""
    made = learner(name)
    given = batch([("a dark cat", "a cat"), ("a light cat",), (), ("a cat",)])
    draws = Draws(0, 0, 4, 0, 4)
    for phase in made.phases:
        made.loss(phase.name, given, PROGRESS, draws).per_sample.sum().backward()
    for encoder in ("encoder", "discriminator_encoder"):
        for part in ("text.embedding", "numbers"):
            weight = made.networks[encoder].get_submodule(part).weight
            assert weight.grad is not None and weight.grad.abs().sum() > 0, (encoder, part)
    pipeline = made.pipeline()
    images = []
    for text, age in (("a dark cat", 1.0), ("a light cat", 1.0), ("a dark cat", 4.0)):
        context = pipeline.encoder(batch([(text,)], age).condition, 1)
        images.append(pipeline.generator(torch.ones(1, 4), context))
    assert not images[0].equal(images[1]) and not images[0].equal(images[2])
    assert made.validate(
        pipeline, np.zeros((8, 8, 8, 1), np.uint8), batch([("a cat",)] * 8).condition
    )


def test_dropped_captions_and_numbers_train_the_null(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Condition] = []
    made = learner(label_dropout=0.5)
    monkeypatch.setattr(
        made, "_discriminate", lambda _, condition, *__: seen.append(condition) or None
    )
    given = batch([("a dark cat", "a cat")] * 200)
    made.loss("discriminator", given, PROGRESS, Draws(0, 0, 200, 0, 200))
    (condition,) = seen
    texts = condition.texts
    assert texts is not None
    shares = [sum(one == each for one in texts.of_each) / 200 for each in ((), ("a cat",))]
    assert 0.6 < shares[0] < 0.9 and 0.02 < shares[1] < 0.3  # dropped alone or with the number
    assert 0.6 < condition["numbers"].isnan().double().mean() < 0.9


def test_a_pipeline_with_captions_is_stored(tmp_path: object) -> None:
    pipeline = learner().pipeline()
    pipeline.save_pretrained(f"{tmp_path}/gan")
    again = Pipeline.from_pretrained(f"{tmp_path}/gan")
    assert again.spec == GIVEN and again.fingerprint == pipeline.fingerprint
    prompts = {"prompts": "a dark cat", "numbers": {"age": 2.0}}
    assert np.array_equal(again(2, **prompts).images, pipeline(2, **prompts).images)


@pytest.mark.slow
def test_prompts_are_obeyed() -> None:
    """The test of diffusion models, in 200 updates of a small R3GAN; chance is 1 in 8."""
    images = with_captions(PROMPTS * 50)
    text = replace(TextSpec.fit(PROMPTS), width=32, layers=1, heads=2)
    adam = AdamWConfig(learning_rate=3e-3, betas=(0.0, 0.99))
    config = replace(
        GAMES["r3gan"],
        spec=replace(GIVEN, numbers=(), text=text),
        network=R3GANConfig(width=32, latent=16, group_width=8, blocks=1),
        augment=0.0,
        label_dropout=0.1,
        generator_optimizer=adam,
        discriminator_optimizer=adam,
    )
    made = GANLearner(config, seed=0)
    Trainer(made, plan(steps=200, batch_size=16), images, world=ALONE).run(StopSignals())
    pipeline = made.pipeline()
    for prompt in PROMPTS:
        assert read(pipeline(16, prompts=prompt).images).count(prompt) >= 12
