"""A GAN follows maps: the generator takes them at every stage, the discriminator as channels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.networks.cases import awaken
from torch import Tensor

from undrift.conditioning import Condition, MapSpec
from undrift.conditioning.maps.derive import edges
from undrift.data import ImageSet
from undrift.data.loader import Batch, as_batch
from undrift.families.parameters import drawing_parameters
from undrift.networks import Context, count_parameters
from undrift.networks.gan import DCGANConfig
from undrift.pipelines import Pipeline, SampleSpec
from undrift.pipelines.maps import maps_of
from undrift.randomness import Draws
from undrift.training.learner import Progress
from undrift.training.learners.gan import GANLearner
from undrift.training.loop import Trainer
from undrift.training.optimizers import AdamWConfig
from undrift.training.signals import StopSignals

from .games import GAMES
from .small import ALONE, plan
from .test_exact_resume import resumed
from .test_maps import EDGES, MASK, MASKED, SIDE, bars_with_masks

PROGRESS = Progress(5, 10, 40, 0.5)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return bars_with_masks(tmp_path_factory.mktemp("bars"))


def learner(name: str, *maps: MapSpec, **changes: object) -> GANLearner:
    spec = SampleSpec((1, SIDE, SIDE), maps=maps, steps=1)
    return GANLearner(replace(GAMES[name], spec=spec, **changes), seed=0)


def batch(images: ImageSet, count: int = 64) -> tuple[Batch, Draws]:
    rows = np.arange(count)
    condition = images.condition()[torch.from_numpy(rows)]
    return Batch(as_batch(images.take(rows)), condition), Draws(0, 0, count, 0, count)


def following(images: ImageSet) -> float:
    """Share of pixels that are where held-out masks say, of samples of a DCGAN of 80 updates."""
    adam = AdamWConfig(learning_rate=1e-3, betas=(0.5, 0.99))
    made = learner(
        "dcgan",
        MASK,
        network=DCGANConfig(width=8, latent=4),
        label_dropout=0.1,
        generator_optimizer=adam,
        discriminator_optimizer=adam,
    )
    train = images.split("train")
    Trainer(made, plan(steps=80, batch_size=16), train, world=ALONE).run(StopSignals())
    given = maps_of(made.config.spec, images.split("validation"), np.arange(48))
    samples = made.pipeline()(48, maps=given, seed=0).images[..., 0]
    return float(((samples > 125) == (given["mask"][..., 0] == 1)).mean())


@pytest.mark.slow
def test_samples_follow_their_masks_unless_masks_were_shuffled_in_training(
    images: ImageSet, tmp_path: Path
) -> None:
    """Two bars of 3 in 8 columns, each anywhere, agree in 0.64 of the pixels by chance."""
    assert following(images) > 0.85
    assert following(bars_with_masks(tmp_path, shuffled=True)) < 0.7


class Linear(torch.nn.Module):
    """f(x, m) = <a, x> + <b, m>, which notes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        noise = torch.Generator().manual_seed(0)
        self.a, self.b = (torch.randn(1, SIDE, SIDE, generator=noise) for _ in range(2))
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor, context: Context) -> Tensor:
        assert context.maps is not None
        self.seen.append((x.detach(), context.maps.detach()))
        return (self.a * x).sum((1, 2, 3)) + (self.b * context.maps).sum((1, 2, 3))


def bare(made: GANLearner) -> Linear:
    """A linear discriminator of ``made``, which gets the mask as it is."""
    made._discriminator = Linear()
    scale = torch.nn.Parameter(torch.ones(()))

    class Pixels(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = scale

        def forward(self, entry: Tensor) -> Context:
            return Context(maps=self.scale * entry.float())

    made._discriminator_encoder.map_mask = Pixels()
    return made._discriminator


@pytest.mark.parametrize("changes", [{"flip": True}, {"augment": 0.8}])
@pytest.mark.parametrize("name", ["r3gan", "stylegan2"])
def test_maps_follow_what_the_discriminator_sees(
    images: ImageSet, name: str, changes: dict
) -> None:
    """In every phase, the bar is the brighter part of the real images, wherever it has gone."""
    made = learner(name, MASK, **{"augment": 0.0, "adapt": 0, **changes})
    linear = bare(made)
    given, draws = batch(images)
    for phase in made.phases:
        linear.seen.clear()
        made.loss(phase.name, given, PROGRESS, draws)
        x, mask = linear.seen[1 if (phase.name, name) == ("generator", "r3gan") else 0]
        if (phase.name, name) == ("generator", "stylegan2"):
            continue  # sees none
        assert not mask.equal(given.condition["map_mask"].float())
        middle = (x.amax((2, 3), True) + x.amin((2, 3), True)) / 2
        agree = ((x > middle) == (mask > 0.5)).float().flatten(1).mean(1)
        assert agree.mean() > (0.999 if "flip" in changes else 0.95), phase


@pytest.mark.parametrize(("name", "phase"), [("r3gan", "discriminator"), ("stylegan2", "r1")])
def test_penalties_are_of_the_image_alone(images: ImageSet, name: str, phase: str) -> None:
    made = learner(name, MASK, augment=0.0, adapt=0)
    linear = bare(made)
    given, draws = batch(images, 8)
    statistics = made.loss(phase, given, PROGRESS, draws).statistics
    expected = linear.a.square().sum() / 2
    torch.testing.assert_close(statistics["r1"], expected.expand(8))


def test_between_a_real_and_a_generated_image_lies_the_mean_of_their_maps(images: ImageSet) -> None:
    """WGAN-GP under augmentation, which moves the two maps apart."""
    made = learner("wgan_gp", MASK, augment=0.8)
    linear = bare(made)
    given, draws = batch(images, 16)
    made.loss("discriminator", given, PROGRESS, draws)
    (_, real), (_, fake), (_, between) = linear.seen
    u = draws.uniform("interpolation").float().view(-1, 1, 1, 1)
    assert not real.equal(fake)
    torch.testing.assert_close(between, u * real + (1 - u) * fake)


def test_both_encoders_learn_and_are_given_the_maps_of_their_images(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Derived ones too, in training, and of held-out and recent images in validation."""
    made = learner("r3gan", MASK, EDGES)
    given, draws = batch(images, 32)
    made.loss("discriminator", given, PROGRESS, draws).per_sample.sum().backward()
    made.loss("generator", given, PROGRESS, draws)
    encoder = made._discriminator_encoder
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())
    seen: list[Condition] = []
    forward = encoder.forward
    monkeypatch.setattr(
        encoder, "forward", lambda known, count: seen.append(known) or forward(known, count)
    )
    held_out = images.split("validation")
    made.validate(made.pipeline(), held_out.images, held_out.condition())
    assert [set(known) for known in seen] == [{"map_mask", "map_edges"}] * 3
    assert torch.equal(seen[-1]["map_edges"], edges(given.images))


def test_dropped_maps_train_the_null(images: ImageSet) -> None:
    made = learner("dcgan", MASK, label_dropout=0.5)
    linear = bare(made)
    given, draws = batch(images, 200)
    made.loss("discriminator", given, PROGRESS, draws)
    dropped = (linear.seen[0][1] < 0).flatten(1)
    assert 0.35 < dropped.all(1).double().mean() < 0.65 and dropped.any(1).equal(dropped.all(1))


def test_a_resumed_run_is_the_uninterrupted_one(images: ImageSet, tmp_path: Path) -> None:
    changes = {"flip": True, "label_dropout": 0.3}
    resumed(lambda: learner("r3gan", MASK, MASKED, **changes), images.split("train"), tmp_path)


@pytest.mark.parametrize("name", [*GAMES])
def test_a_pipeline_with_maps_is_stored_and_its_parameters_are_counted(
    images: ImageSet, tmp_path: Path, name: str
) -> None:
    made = learner(name, MASK)
    awaken(made.networks)
    counted = sum(count_parameters(module) for module in made.averaged.values())
    assert drawing_parameters(made.config) == counted > drawing_parameters(learner(name).config)
    pipeline = made.pipeline()
    pipeline.save_pretrained(tmp_path / "gan")
    again = Pipeline.from_pretrained(tmp_path / "gan")
    assert again.spec == made.config.spec and again.fingerprint == pipeline.fingerprint
    given = maps_of(made.config.spec, images, np.arange(2))
    drawn = again(2, maps=given)
    assert np.array_equal(drawn.images, pipeline(2, maps=given).images)
    for other in (None, {"mask": given["mask"][::-1]}):
        assert not np.array_equal(drawn.images, pipeline(2, maps=other).images)


@pytest.mark.parametrize("name", ["r3gan", "stylegan2"])
def test_completions_take_the_maps_of_their_images(images: ImageSet, name: str) -> None:
    made = learner(name, MASK)
    awaken(made.networks)
    pipeline, rows = made.pipeline(), np.arange(3)
    hidden = np.zeros((SIDE, SIDE), bool)
    hidden[:, 4:] = True
    pixels, given = images.take(rows), maps_of(made.config.spec, images, rows)
    how = {"iterations": 0, "candidates": 4, "variants": 2, "seed": 0}
    drawn = pipeline.inpaint(pixels, hidden, maps=given, **how).images
    alone = pipeline.inpaint(
        pixels[2:], hidden, maps={"mask": given["mask"][2:]}, first=2, **how
    ).images
    assert np.array_equal(drawn[4:], alone)
    other = {"mask": given["mask"].copy()}
    other["mask"][2] = 1 - other["mask"][2]
    changed = pipeline.inpaint(pixels, hidden, maps=other, **how).images != drawn
    assert changed[4:].any() and not changed[:4].any()
