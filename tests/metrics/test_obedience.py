"""Prompts and numbers: samples that obey score as real images, others by chance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.metrics.test_retrieval import OFFERED, drawn

from undrift.errors import UsageError
from undrift.metrics import (
    Comparison,
    Images,
    chosen_metrics,
    comparison,
    measure,
    number_reader,
    open_spaces,
)
from undrift.metrics.number_reader import fit_reader
from undrift.metrics.swap import swapped_captions
from undrift.schema import to_plain

NAMES = ("prompt_top1", "prompt_top5", "number_error")
UNIT = 40.0


def shown(count: int, seed: int) -> Images:
    """A tone and shape by caption, in the upper half; a bar as bright as the number below."""
    draws = np.random.default_rng(seed)
    captions = [OFFERED[i] for i in draws.integers(0, len(OFFERED), count)]
    numbers = draws.uniform(-2, 2, (count, 1)) * UNIT
    upper = drawn(captions, seed)
    lower = np.clip(128 + numbers[:, 0] + draws.normal(0, 3, count), 0, 255)
    images = upper.copy()
    images[:, 11] = lower[:, None, None].astype(np.uint8)
    return Images(images, None, tuple(captions), numbers)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "IMAGE_TEXT_STEPS", (40, 40))
    monkeypatch.setattr(number_reader, "STEPS", (40, 40))


@pytest.fixture(scope="module")
def compare() -> Any:
    training, held_out = shown(100, 0), shown(60, 1)
    extractor, _ = open_spaces(training, "pixels")

    def made(samples: Images, **changed: Any) -> Comparison:
        asked: dict[str, Any] = {"reference": held_out, "training": training, "split": "test"}
        asked |= {"extractor": extractor, "classifier": None, "classes": (), "seed": 0}
        return Comparison(samples, number_names=("tone",), **asked | changed)

    return made


@pytest.fixture(scope="module")
def obeyed(compare: Any) -> Comparison:
    """Of real images; its networks are trained in the first test that needs them."""
    return compare(shown(60, 2))


@pytest.mark.slow
def test_fresh_pairs_score_as_held_out_ones_and_shuffled_ones_by_chance(obeyed: Comparison) -> None:
    real = obeyed.samples
    found = measure(obeyed, NAMES)
    assert set(found.metrics) == {*NAMES} and not found.missing
    top1, top5, error = (found.metrics[name] for name in NAMES)
    assert top1.value > 0.8 and top1.floor > 0.8 and top5.value >= top1.value
    assert top1.low <= top1.value <= top1.high
    assert (top1.offered, top1.chance) == (len(OFFERED), 1 / len(OFFERED))
    assert error.value < 0.35 and error.floor < 0.35
    assert error.numbers["tone"] == pytest.approx(error.value * 2 / 3**0.5 * UNIT, rel=0.1)
    assert error.real["tone"] == pytest.approx(error.floor * 2 / 3**0.5 * UNIT, rel=0.1)
    assert "held-out images and their captions" in top1.protocol
    assert to_plain(found)["metrics"]["number_error"]["numbers"].keys() == {"tone"}

    order = np.roll(np.arange(60), 7)
    wrong = Images(real.images, None, tuple(real.captions[i] for i in order), real.numbers[order])
    disobeyed = obeyed.beside(wrong)
    assert disobeyed.image_text is obeyed.image_text  # trained once
    found = measure(disobeyed, NAMES)
    assert found.metrics["prompt_top1"].value < 0.25
    assert found.metrics["prompt_top1"].floor == top1.floor
    assert found.metrics["number_error"].value > 0.7


def test_a_swapped_word_is_followed_or_is_not(obeyed: Comparison) -> None:
    real = obeyed.samples
    new = swapped_captions(real.captions, OFFERED, seed=0)
    followed = replace(obeyed, swapped=Images(drawn(new, 3), None, tuple(new)))
    ignored = replace(obeyed, swapped=Images(real.images, None, tuple(new)))
    assert followed.image_text is ignored.image_text  # trained once
    found, other = (measure(one, ["prompt_swap"]).metrics for one in (followed, ignored))
    swap, same = found["prompt_swap"], other["prompt_swap"]
    assert swap.value > 0.85 and swap.low > swap.chance and swap.floor > 0.85 and swap.n == 60
    assert same.value == same.chance == 0.5 and same.low < 0.5 < same.high
    assert same.after == same.before == swap.before < 0.15 and same.changed == 0
    everywhere = [new[0]] * 60  # drawn as if every prompt were the same: no word is obeyed
    stuck = measure(
        replace(
            followed.beside(Images(drawn(everywhere, 4), None, real.captions)),
            swapped=Images(drawn(everywhere, 5), None, tuple(new)),
        ),
        ["prompt_swap"],
    ).metrics["prompt_swap"]
    assert stuck.low < 0.5 < stuck.high
    assert 0 < swap.changed < swap.unrelated
    few = replace(obeyed, swapped=Images(real.images[:5], None, tuple(new[:5])))
    assert (
        "5 captions in which another word" in measure(few, ["prompt_swap"]).missing["prompt_swap"]
    )


def test_words_are_swapped_for_those_that_stand_between_the_same_words() -> None:
    known = ["a red cat", "a blue cat", "a red dog sits", "two dogs"]
    assert swapped_captions(["a red cat"] * 2, known, 0) == ["a blue cat"] * 2
    assert swapped_captions(["a red dog sits", "", "an ox"], known, 0) == [
        "a red dog sits",
        "",
        "an ox",
    ]
    many = [f"a {tone} {what}" for tone in "abcde" for what in "xyz"]
    found = swapped_captions(many, many, 1)
    assert {*found} <= {*many} and found != swapped_captions(many, many, 2)
    assert all(
        sum(a != b for a, b in zip(x.split(), y.split(), strict=True)) == 1
        for x, y in zip(many, found, strict=True)
    )
    assert {x.split()[1] == y.split()[1] for x, y in zip(many, found, strict=True)} == {True, False}


def test_what_is_missing_is_named(compare: Any) -> None:
    images = shown(30, 3)
    found = measure(compare(Images(images.images)), NAMES)
    assert found.missing["prompt_top1"] == "the samples, or the training images, have no captions"
    assert found.missing["number_error"] == "the samples, or the training images, have no numbers"
    training = shown(60, 4)
    seen = compare(images, reference=training, training=training, split="all")
    metric = measure(seen, ["number_error"]).metrics["number_error"]
    assert metric.floor is None and metric.real is None
    assert "trained on the reference" in metric.floor_missing
    one = Images(images.images, None, ("a cat",) * 30, images.numbers)
    few = Images(training.images, None, ("a cat",) * 60)
    found = measure(compare(one, training=few), ["prompt_top1"])
    assert "1 different caption: top-1 is meaningless" in found.missing["prompt_top1"]
    assert not set(NAMES) & {*chosen_metrics(["all"])}  # few models take captions or numbers
    assert chosen_metrics(["number_error"]) == ("number_error",)


def test_a_reader_refuses_what_it_cannot_learn(compare: Any) -> None:
    images = shown(30, 5)
    same: NDArray[np.float64] = np.ones((30, 1))
    with pytest.raises(UsageError, match="the same for all training images"):
        fit_reader(images.images, same)
    with pytest.raises(UsageError, match="at least 20"):
        fit_reader(images.images[:10], same[:10])


def test_captions_and_numbers_follow_their_images() -> None:
    images = shown(20, 6)
    rows = np.array([3, 0])
    taken = images.take(rows)
    assert taken.captions == (images.captions[3], images.captions[0])
    assert np.array_equal(taken.numbers, images.numbers[rows])
    with pytest.raises(UsageError, match="20 images and 1 captions"):
        Images(images.images, None, ("a cat",))
    large = images.images.repeat(8, axis=1).repeat(8, axis=2)  # 96 pixels a side: shrunk
    assert fit_reader(large, images.numbers).read(large).shape == (20, 1)
