"""``undrift train ring8``: toy 2-D data, trained on by diffusion and by every GAN."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import undrift
from undrift.cli.dispatch import main
from undrift.data import load
from undrift.data.sources.mixtures import RING8
from undrift.errors import UsageError
from undrift.families.parameters import drawing_parameters
from undrift.gan import Hinge, NonSaturating, RelativisticPaired, Wasserstein
from undrift.metrics import Images
from undrift.metrics.spaces import open_spaces, quick_space
from undrift.networks import MLPConfig
from undrift.networks.gan import MLPGANConfig
from undrift.options.train import TrainOptions
from undrift.report.plane import coverage_sentence
from undrift.runs import recorder
from undrift.workflows import closing
from undrift.workflows.preview import resolve_config

METHODS = ("r3gan", "stylegan2", "wgan_gp", "sngan", "dcgan")
SETTINGS: dict[str, Any] = {"steps": 6, "batch_size": 32, "threads": 1, "conditional": False}


@pytest.fixture(autouse=True, scope="module")
def few() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closing, "POINTS", 64)
        patch.setattr(closing, "FOLLOWED_POINTS", 16)
        patch.setattr(closing, "MOST_HELD_OUT", 200)
        patch.setattr(recorder, "POINTS", 32)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("points") / "run"
    undrift.train("ring8", out=out, evaluate_every=3, **SETTINGS)
    return out


def test_the_report_shows_clouds_and_counts_modes(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert "64 samples, over training data in grey." in page
    assert re.search(r"\d of 8 modes were found, each by 25% of its share", page)
    assert "98.9% if drawn from the truth" in page
    assert "Toy 2-D points coincide by chance: distances do not show copying." in page
    assert "2,500 training points, drawn at random" in page
    assert page.count('alt="Denoising, frame') > 5
    first = json.loads((run / "evaluation" / "first.json").read_text())
    assert {"fd", "kid", "coverage"} <= first["metrics"].keys()
    assert first["features"]["name"].startswith("pixels")
    assert "coincide by chance" in first["missing"]["memorization"]
    for picture in (run / "grid.png", *sorted((run / "samples").glob("*.png"))):
        with Image.open(picture) as grid:
            assert grid.mode == "RGB" and grid.width == grid.height > 500


def test_it_samples_and_shows_the_way(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "s"
    assert main(["sample", str(run), "-n", "12", "--trajectory", "--out", str(out)]) == 0
    with Image.open(out / "000000.png") as image:
        assert image.size == (2, 1)
    with Image.open(out / "trajectory.png") as strip:
        assert strip.width > 1000
    assert (out / "trajectory.gif").exists() and (out / "grid.png").exists()


def test_it_is_evaluated(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDRIFT_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "e.json"
    words = ["evaluate", str(run), "-n", "60", "--metrics", "fd,memorization", "--quiet"]
    assert main([*words, "--features", "pixels", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["metrics"]["fd"]["value"] > 0
    assert "no evidence of copying" in found["missing"]["memorization"]


@pytest.mark.parametrize(
    "method", ["r3gan", *(pytest.param(m, marks=pytest.mark.slow) for m in METHODS[1:])]
)
def test_every_gan_goes_the_whole_way(method: str, tmp_path: Path) -> None:
    made = undrift.train("grid25", out=tmp_path / "run", method=method, **SETTINGS)
    page = made.report.read_text()
    assert "of 25 modes were found" in page and "MLP" in page
    samples = undrift.Pipeline.from_pretrained(made.pipeline)(9, seed=3)
    assert samples.images.shape == (9, 1, 2, 1) and samples.nfe == 1


@pytest.mark.slow
def test_modes_can_be_asked_for_as_classes(tmp_path: Path) -> None:
    settings = SETTINGS | {"conditional": True}
    made = undrift.train("ring8", out=tmp_path / "run", **settings)
    first = json.loads((tmp_path / "run" / "evaluation" / "first.json").read_text())
    assert first["metrics"]["label_accuracy"]["floor"] > 0.99
    pipeline = undrift.Pipeline.from_pretrained(made.pipeline)
    assert (pipeline(4, labels="3").labels == 3).all()


def test_a_classifier_of_points_moves_none_of_them() -> None:
    """Shifted by a pixel, as images are, a point would be its neighbour's."""
    data = load("ring8")
    train, test = data.split("train"), data.split("test")
    rows = np.arange(800)
    assert train.labels is not None and test.labels is not None
    known = Images(train.take(rows), train.labels[rows])
    assert quick_space(known) == "pixels"
    _, classifier = open_spaces(known, "pixels")
    assert classifier is not None
    assert (classifier.predict(test.images) == test.labels).mean() == 1.0


def test_a_diffusion_model_of_points_is_an_mlp() -> None:
    config = resolve_config("ring8", TrainOptions())
    assert isinstance(config.model.network, MLPConfig)
    assert config.training.precision == "float32"
    assert config.model.spec.image_shape == (1, 1, 2) and len(config.model.spec.class_names) == 8
    assert resolve_config("digits", TrainOptions()).model.network.kind == "unet"


@pytest.mark.parametrize("method", METHODS)
def test_every_gan_keeps_its_losses_with_mlps(method: str) -> None:
    config = resolve_config("ring8", TrainOptions(method=method))
    images = resolve_config("digits", TrainOptions(method=method)).model
    model = config.model
    assert isinstance(model.network, MLPGANConfig)
    losses = {"r3gan": RelativisticPaired, "wgan_gp": Wasserstein, "sngan": Hinge}
    assert type(model.loss) is losses.get(method, NonSaturating)
    assert (model.adapt, model.augment) == (0, 0)
    assert model.critic_steps == images.critic_steps
    for name in ("r1", "r2", "two_sided"):
        assert (getattr(model.penalty, name) > 0) == (getattr(images.penalty, name) > 0)
    assert (model.penalty.every, model.penalty.end) == (images.penalty.every, 1.0)
    assert model.network.spectral_norm == (method == "sngan")
    assert (model.network.group > 1) == (method == "stylegan2")
    for side in ("generator_optimizer", "discriminator_optimizer"):
        assert getattr(model, side).betas == getattr(images, side).betas


def test_mlps_take_images_too_where_they_are_wanted() -> None:
    settings = TrainOptions(method="stylegan2", network="mlp")
    model = resolve_config("digits", settings).model
    convolved = resolve_config("digits", TrainOptions(method="stylegan2")).model
    assert isinstance(model.network, MLPGANConfig) and model.network.group == 8
    assert model.adapt == convolved.adapt > 0
    assert model.penalty.r1 > 0 and model.penalty.every == convolved.penalty.every


@pytest.mark.parametrize("method", ["diffusion", "r3gan"])
def test_parameters_are_met_by_the_width_alone(method: str) -> None:
    asked = TrainOptions(method=method, conditional=False)
    recipe = resolve_config("ring8", asked).model
    made = resolve_config("ring8", replace(asked, parameters="30k")).model
    assert abs(drawing_parameters(made) / 30_000 - 1) < 0.05
    assert replace(made.network, width=recipe.network.width) == recipe.network


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"augment": 0.1}, "^augment: images of 2x1 are points, which it would move"),
        ({"flip": True, "method": "dcgan"}, "^flip: images of 2x1 are points"),
        ({"network": "unet"}, "network unet: .* without neighbouring"),
        ({"network": "transformer"}, "network transformer: .* give mlp or leave it out"),
        ({"network": "unet", "method": "sngan"}, "network unet: .* give mlp"),
    ],
)
def test_what_would_move_points_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve_config("ring8", TrainOptions(**settings))


def test_modes_are_counted_only_where_they_are_known() -> None:
    points = load("ring8").split("test").images
    sentence = coverage_sentence("ring8", points)
    assert sentence.startswith(" 8 of 8 modes were found")
    one = RING8.images_of(np.repeat(RING8.modes[:1], 9, axis=0))
    assert coverage_sentence("ring8", one).startswith(" 1 of 8 modes were found")
    assert coverage_sentence("elsewhere", points) == coverage_sentence("", points) == ""
