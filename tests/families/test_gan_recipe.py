"""Recipes of GANs: what follows from images, device and time."""

from __future__ import annotations

import pytest

from undrift.data import load
from undrift.errors import UsageError
from undrift.families import Recipe, RecipeRequest
from undrift.families.gan.recipe import gan_recipe
from undrift.options.train import TrainOptions
from undrift.pipelines import SampleSpec
from undrift.runs import recipes


def recipe(
    method: str,
    shape: tuple[int, int, int] = (1, 28, 28),
    device: str = "cpu",
    budget: float | None = None,
    **settings: object,
) -> Recipe:
    asked = TrainOptions(method=method, **settings)  # type: ignore[arg-type]
    spec = SampleSpec(image_shape=shape)
    return gan_recipe(RecipeRequest(asked, load("digits"), spec, device, budget, own_network=False))


@pytest.mark.parametrize(
    ("method", "least", "papers"),
    [("r3gan", 2.0, 0.05 * 512), ("stylegan2", 0.2, 0.01 * 64)],
)
def test_a_cpu_has_small_batches_and_a_least_penalty(
    method: str, least: float, papers: float
) -> None:
    """Beyond it weights are the papers', worked by hand: with the pixels and 1 / batch."""
    assert recipe(method).batch_size == 16
    assert recipe(method).model.penalty.r1 == least
    assert recipe(method, batch_size=64).model.penalty.r1 == least
    assert recipe(method, (3, 256, 256)).model.penalty.r1 == pytest.approx(papers * 64 / 16)
    large = recipe(method, device="cuda")
    assert large.batch_size == 64
    assert large.model.penalty.r1 == pytest.approx(papers * (28 / 32) ** 2 / 64)
    perceptrons = recipe(method, network="mlp")
    assert perceptrons.batch_size == 64
    assert perceptrons.model.penalty == large.model.penalty


@pytest.mark.parametrize("method", ["r3gan", "stylegan2"])
@pytest.mark.parametrize(
    ("size", "device", "patch"),
    [
        ((8, 8), "cpu", 1),
        ((12, 40), "cpu", 1),
        ((16, 16), "cpu", 2),
        ((20, 36), "cpu", 2),
        ((28, 28), "cpu", 2),
        ((28, 28), "cuda", 1),
    ],
)
def test_patches_are_for_images_that_keep_two_stages(
    method: str, size: tuple[int, int], device: str, patch: int
) -> None:
    assert recipe(method, (3, *size), device).model.network.patch == patch


def test_r3gan_is_no_wider_for_a_longer_run() -> None:
    assert {recipe("r3gan", budget=time).model.network.width for time in (60, 3600)} == {64}
    assert recipe("stylegan2", budget=3600).model.network.width == 64
    assert recipe("stylegan2", budget=60).model.network.width == 32


def test_augmentation_that_is_set_does_not_adapt_and_none_is_none() -> None:
    assert recipe("stylegan2").model.adapt > 0
    for share in (0.0, 0.3, 0.8):
        model = recipe("stylegan2", augment=share).model
        assert (model.augment, model.adapt) == (share, 0)


@pytest.mark.parametrize("batch", [1, 11, 17, 121])
def test_batches_that_minibatch_deviation_finds_no_groups_in_are_refused(batch: int) -> None:
    with pytest.raises(UsageError, match=f"batch_size {batch}: method stylegan2 .*2 to 8"):
        recipe("stylegan2", batch_size=batch)
    assert recipe("r3gan", batch_size=batch).batch_size == batch
    assert recipe("stylegan2", batch_size=batch + 1).batch_size == batch + 1


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("method", ["r3gan", "stylegan2", "dcgan", "sngan", "wgan_gp"])
def test_bfloat16_is_for_the_games_that_bear_it(
    method: str, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "multiplies_bfloat16", lambda: fast)

    def precision(device: str = "cpu", points: bool = False, **settings: object) -> str:
        asked = TrainOptions(method=method, **settings)  # type: ignore[arg-type]
        kept = {name: value for name, value in settings.items() if name != "precision"}
        return recipes._precision(asked, recipe(method, device=device, **kept), device, points)

    wanted = "bfloat16" if fast and method in ("r3gan", "stylegan2") else "float32"
    assert precision() == wanted
    assert precision("cuda") == precision(points=True) == precision(network="mlp") == "float32"
    assert precision("cuda", precision="bfloat16") == "bfloat16"
