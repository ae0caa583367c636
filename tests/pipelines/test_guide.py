"""Guidance of pipelines: scales of each image, a weak model, weighted prompts, intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.pipelines.models import small
from tests.pipelines.test_gan import pipeline as gan

from undrift.conditioning import Condition, Number
from undrift.conditioning.text import Texts, TextSpec
from undrift.diffusion import Flow
from undrift.errors import UsageError
from undrift.networks import MLPConfig
from undrift.pipelines import DiffusionPipeline
from undrift.pipelines.prompts import prompt_terms

TEXT = TextSpec.fit(["a cat", "a red apple on a table", "a green book"], most=20)
CAT, APPLE = "a cat", "a red apple"


def apart(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def test_every_image_is_drawn_at_its_own_scale() -> None:
    model = small()
    made = model(5, labels="bee", guidance=[1, 2, 4], seed=3)
    assert made.settings["guidance"] == [1.0, 2.0, 4.0]
    for i, scale in enumerate((1, 2, 4, 1, 2)):
        alone = model(1, labels="bee", guidance=scale, first=i, seed=3).images
        assert apart(alone[0], made.images[i]) <= 1
    part = model(3, labels="bee", guidance=[1, 2, 4], first=2, batch_size=2, seed=3)
    assert apart(part.images, made.images[2:]) <= 1
    assert apart(made.images[0], model(1, labels="bee", guidance=4, seed=3).images[0]) > 1
    assert model(2, guidance=[3, 3]).settings["guidance"] == 3.0  # one scale is one scale


def test_a_model_guided_with_itself_draws_what_it_draws_alone() -> None:
    model = small()
    plain = model(3)
    same = model(3, guidance=3, guide_with=small())
    assert np.array_equal(same.images, plain.images)
    assert same.nfe == 2 * plain.nfe
    weak = small(seed=5, config=MLPConfig(width=8, blocks=1))
    guided = model(3, guidance=3, guide_with=weak)
    assert apart(guided.images, plain.images) > 5
    assert guided.nfe == 2 * plain.nfe
    assert guided.settings["guide_with"] == weak.fingerprint[:16]
    assert np.array_equal(model(3, guidance=1.0).images, plain.images)


def test_autoguidance_needs_no_condition() -> None:
    model, weak = small(classes=()), small(classes=(), seed=2)
    with pytest.raises(UsageError, match="no classes"):
        model(2, guidance=2)
    plain = model(2).images
    assert apart(model(2, guidance=2, guide_with=weak).images, plain) > 1
    # a weak model without classes is one that is not told them
    assert apart(small()(2, guidance=2, guide_with=weak).images, small()(2).images) > 1
    many = model(2, guidance=[1, 2], guide_with=weak).images
    assert apart(many[0], plain[0]) <= 1 < apart(many[1], plain[1])


def weighted(**terms: float) -> str:
    return " AND ".join(f"{text.replace('_', ' ')}:{weight}" for text, weight in terms.items())


def test_weighted_prompts_are_met_at_once() -> None:
    model = small(classes=(), text=TEXT)
    plain = {prompt: model(2, prompts=prompt).images for prompt in (CAT, APPLE, "")}
    zero = model(2, prompts=weighted(a_cat=0.0, a_red_apple=0.0)).images
    assert apart(zero, plain[""]) <= 1
    assert apart(model(2, prompts=weighted(a_cat=1.0, a_red_apple=0.0)).images, plain[CAT]) <= 1
    both = model(2, prompts=weighted(a_cat=1.0, a_red_apple=1.0))
    nowhere = (1e5, 1e6)  # noise levels that no step has
    outside = model(
        2, prompts=weighted(a_cat=-1.0, a_red_apple=1.0), guidance=3, guidance_interval=nowhere
    )
    once = model(2, prompts=weighted(a_cat=-1.0, a_red_apple=1.0))
    assert apart(outside.images, once.images) <= 1 < apart(once.images, plain[CAT])
    assert min(apart(both.images, one) for one in plain.values()) > 1
    assert both.nfe == 3 * model(1).nfe
    assert both.prompts == ("a cat:1.0 AND a red apple:1.0",) * 2
    twice = model(2, prompts=weighted(a_cat=2.0, a_red_apple=0.0)).images
    assert apart(twice, model(2, prompts=CAT, guidance=2).images) <= 1
    mixed = model(2, prompts=[CAT, weighted(a_cat=1.0, a_red_apple=1.0)])
    assert apart(mixed.images[0], plain[CAT][0]) <= 1
    assert apart(mixed.images[1], both.images[1]) <= 1


@pytest.mark.parametrize(
    ("prompt", "terms"),
    [
        ("a cat", ((1.0, "a cat"),)),
        ("a cat:2", ((1.0, "a cat:2"),)),
        ("BLACK AND WHITE", ((1.0, "BLACK AND WHITE"),)),
        ("a cat:1 AND a dog", ((1.0, "a cat:1 AND a dog"),)),
        ("a cat:1.5 AND at 8:30:-.5", ((1.5, "a cat"), (-0.5, "at 8:30"))),
        ("a:1 AND b:2 AND c:+3.", ((1.0, "a"), (2.0, "b"), (3.0, "c"))),
    ],
)
def test_how_weighted_prompts_are_spelled(prompt: str, terms: Any) -> None:
    assert prompt_terms(prompt) == terms


def test_guidance_in_an_interval_costs_less() -> None:
    model = small()
    plain, full = model(2), model(2, guidance=4)
    made = model(2, guidance=4, guidance_interval=(0.1, 2.0))
    assert plain.nfe < made.nfe < full.nfe
    assert apart(made.images, full.images) > 1 < apart(made.images, plain.images)
    assert made.settings["guidance_interval"] == [0.1, 2.0]
    everywhere = model(2, guidance=4, guidance_interval=(0.0, 1e30))
    assert np.array_equal(everywhere.images, full.images)


def test_rescaling_is_a_share() -> None:
    model = small()
    full = model(2, guidance=6).images
    assert np.array_equal(model(2, guidance=6, guidance_rescale=0.0).images, full)
    some, whole = (model(2, guidance=6, guidance_rescale=share) for share in (0.3, 1.0))
    assert apart(some.images, full) > 1 < apart(whole.images, some.images)
    assert some.settings["guidance_rescale"] == 0.3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"guidance": []}, "guidance: an empty list"),
        ({"guidance": [1, float("nan")]}, "guidance"),
        ({"guidance": 2, "guidance_interval": (5, 1)}, "lower one first"),
        ({"guidance": 2, "guidance_interval": (5,)}, "give two noise levels"),
        ({"guidance": 2, "guidance_rescale": 1.5}, "give a share from 0"),
        ({"guidance_rescale": 0.5}, "guidance_rescale 0.5: guidance 1 is off"),
        ({"guidance_interval": (0.1, 1)}, "guidance_interval .*: guidance 1 is off"),
        ({"guide_with": small(seed=1)}, "guide_with .*: guidance 1 is off"),
        ({"guidance": 2, "guide_with": small(size=(6, 6))}, "images of another shape"),
        ({"guidance": 2, "guide_with": small(schedule=Flow())}, "another noise schedule"),
        ({"guidance": 2, "guide_with": small(("a", "b", "c"))}, "other classes"),
        (
            {"guidance": 2, "guide_with": small(numbers=(Number("x", 0, 1, 0, 1),))},
            "other numbers",
        ),
        ({"guidance": 2, "guide_with": gan("r3gan")}, "a GAN has no denoiser"),
        ({"guidance": 2, "guide_with": "runs/latest"}, "guide_with"),
    ],
)
def test_what_guidance_refuses(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        small()(2, **settings)


def test_a_weak_model_goes_with_no_other_way_to_guide_away() -> None:
    model, weak = small(classes=(), text=TEXT), small(classes=(), text=TEXT, seed=4)
    with pytest.raises(UsageError, match="exclude each other"):
        model(1, prompts=CAT, guidance=2, guide_with=weak, negative=APPLE)
    with pytest.raises(UsageError, match="exclude each other"):
        model(1, prompts="a cat:1 AND a red apple:1", guidance=2, guide_with=weak)
    with pytest.raises(UsageError, match="as many as its longest caption"):
        model(1, prompts=f"a cat:1 AND {'long ' * 100}:1")
    weak.model.codec.mean += 1
    with pytest.raises(UsageError, match="standardised otherwise"):
        model(1, prompts=CAT, guidance=2, guide_with=weak)


def test_a_dropped_condition_is_one_never_given() -> None:
    numbers = (Number("x", 0.5, 0.3, 0.0, 1.0), Number("y", 0.5, 0.3, 0.0, 1.0))
    model = small(text=TEXT, numbers=numbers).model
    assert model.encoder is not None
    given = {
        "labels": torch.tensor([0, 2]),
        "text": Texts.single([CAT, APPLE]),
        "numbers": torch.tensor([[0.1, 0.2], [0.3, float("nan")]], dtype=torch.float64),
    }
    for kind in model.encoder.spec.kinds:
        dropped = torch.ones(2, len(kind.dropout), dtype=torch.bool)
        gone = Condition({**given, kind.name: kind.drop(given[kind.name], dropped)})
        never = Condition({name: entry for name, entry in given.items() if name != kind.name})
        x, t = torch.randn(2, 1, 6, 5), torch.tensor(0.5, dtype=torch.float64)
        seen = [
            model.denoiser(x, t, model.context(one, 2)).x0
            for one in (gone, never, Condition(given))
        ]
        assert torch.equal(seen[0], seen[1])
        assert not torch.equal(seen[0], seen[2])


def test_unguided_pipelines_record_what_they_did_before() -> None:
    model: DiffusionPipeline = small()
    assert not {"guide_with", "guidance_interval", "guidance_rescale"} & set(model(1).settings)
