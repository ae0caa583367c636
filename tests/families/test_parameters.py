"""Networks of a wanted size: counted as the learner has them, met within a tenth, by width."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

import undrift.data
from undrift.errors import UsageError
from undrift.families import parameters
from undrift.families.parameters import TOLERANCE, drawing_parameters, with_parameters
from undrift.networks import count_parameters
from undrift.options.train import TrainOptions, parameter_count
from undrift.runs.configuration import RunConfig
from undrift.runs.recipes import build_learner, resolve

KINDS = [
    ("diffusion", "unet"),
    ("diffusion", "transformer"),
    ("diffusion", "mlp"),
    ("r3gan", None),
    ("stylegan2", None),
    ("wgan_gp", None),
    ("sngan", None),
    ("dcgan", None),
    ("r3gan", "mlp"),
]
SIDES = {8: (1, 8, 8), 28: (1, 28, 28), 32: (3, 32, 32)}


@pytest.fixture(scope="module")
def images():
    return undrift.data.load("digits")


def config(images, method: str, network: str | None, **settings) -> RunConfig:
    asked = TrainOptions(method=method, network=network, steps=5, **settings)  # type: ignore[arg-type]
    return resolve("digits", asked, images, device="cpu")


def of_shape(made: RunConfig, side: int) -> RunConfig:
    spec = replace(made.model.spec, image_shape=SIDES[side])
    return replace(made, model=replace(made.model, spec=spec))


def drawing(made: RunConfig) -> int:
    """Counted on the networks themselves."""
    return sum(count_parameters(module) for module in build_learner(made).averaged.values())


@pytest.mark.parametrize(("method", "network"), KINDS)
def test_the_count_is_that_of_the_networks_which_draw(images, method, network):
    made = config(images, method, network)
    assert drawing_parameters(made.model) == drawing(made)
    augmented = config(images, method, network, augment=0.1)  # of a denoiser: a condition too
    assert drawing_parameters(augmented.model) == drawing(augmented)


@pytest.mark.parametrize(
    ("method", "network", "wanted"),
    [(*kind, wanted) for kind in KINDS for wanted in (100_000, 500_000, 20_000_000)]
    + [("diffusion", "mlp", 400_000_000)],  # far from the recipe: to crawl there would take long
)
def test_every_network_gets_what_is_asked_for_by_few_looks(images, method, network, wanted):
    looks = []
    counted = parameters.drawing_parameters

    def look(model):
        looks.append(model)
        return counted(model)

    recipe = config(images, method, network).model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parameters, "drawing_parameters", look)
        for side in (28, 32) if wanted == 500_000 else (28,):
            model = replace(recipe, spec=replace(recipe.spec, image_shape=SIDES[side]))
            made = with_parameters(model, wanted)
            assert abs(counted(made) / wanted - 1) <= TOLERANCE
            assert len(looks) <= 20
            looks.clear()
            differs = {
                one.name
                for one in fields(recipe.network)
                if getattr(made.network, one.name) != getattr(recipe.network, one.name)
            }
            assert differs <= {"width", "heads", "embedding", "mlp", "latent"}
            assert replace(made, network=model.network) == model  # nothing else has changed


@pytest.mark.parametrize(
    ("method", "network", "wanted", "second"),
    [("diffusion", "unet", 300_000, "embedding"), ("dcgan", None, 30_000, "latent")],
)
def test_where_widths_are_too_coarse_a_second_number_follows(
    images, method, network, wanted, second
):
    recipe = config(images, method, network).model
    recipe = replace(recipe, spec=replace(recipe.spec, image_shape=SIDES[28]))
    made = with_parameters(recipe, wanted)
    assert abs(drawing_parameters(made) / wanted - 1) <= TOLERANCE
    usual = replace(
        made, network=replace(made.network, **{second: getattr(recipe.network, second)})
    )
    assert abs(drawing_parameters(usual) / wanted - 1) > TOLERANCE


@pytest.mark.parametrize(("method", "network"), KINDS)
def test_a_small_network_draws_and_its_discriminator_is_small_too(images, method, network):
    recipe = of_shape(config(images, method, network), 28)
    made = replace(recipe, model=with_parameters(recipe.model, 100_000))
    learner, usual = build_learner(made), build_learner(recipe)
    assert learner.pipeline()(1, labels=3).images.shape == (1, 28, 28, 1)
    if method != "diffusion":

        def judge(learner):
            return count_parameters(learner.networks["discriminator"])

        rises = drawing(made) > drawing(recipe)
        assert (judge(learner) > judge(usual)) == rises and judge(learner) != judge(usual)


def test_a_transformer_keeps_about_its_channels_per_head(images):
    recipe = config(images, "diffusion", "transformer").model
    made = with_parameters(recipe, 20_000_000).network
    usual = recipe.network.width / recipe.network.heads
    assert made.width % (4 * made.heads) == 0
    assert 0.5 <= made.width / made.heads / usual <= 2


def test_the_setting_reaches_the_configuration(images):
    made = config(images, "sngan", None, parameters="0.5M")
    assert abs(drawing(made) / 500_000 - 1) <= TOLERANCE
    assert made.model.network.width > config(images, "sngan", None).model.network.width
    likely = config(images, "diffusion", "unet", recipe="likelihood", parameters="100k")
    assert likely.model.network.fourier  # the stem that hears waves is counted too
    assert abs(drawing(likely) / 100_000 - 1) <= TOLERANCE


def test_what_cannot_be_met_names_the_nearest(images):
    with pytest.raises(UsageError, match=r"parameters 50: .*8x8x1 .*sngan .*no nearer than"):
        config(images, "sngan", None, parameters="50")
    with pytest.raises(UsageError) as caught:
        config(images, "diffusion", "mlp", parameters="600")
    nearest = str(caught.value).split("than ")[1].split(";")[0].replace(",", "")
    made = config(images, "diffusion", "mlp", parameters=nearest)
    assert drawing(made) == int(nearest)
    with pytest.raises(UsageError, match="network of your own"):
        asked = TrainOptions(parameters="1M")
        resolve("digits", asked, images, device="cpu", own_network=True)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (500_000, 500_000),
        ("500000", 500_000),
        ("500k", 500_000),
        ("0.5M", 500_000),
        (" 1.2M ", 1_200_000),
    ],
)
def test_numbers_of_parameters_are_read(text, count):
    assert parameter_count(text) == count


@pytest.mark.parametrize("text", ["", "M", "0", "0.1", "-5", "1G", "1e6", "many", "nan"])
def test_other_texts_are_refused(text):
    with pytest.raises(UsageError, match="^parameters .*wanted a number such as 0.5M"):
        TrainOptions(parameters=text)
