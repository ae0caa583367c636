"""The condition gap: 0 of a model that ignores its conditions, above 0 of one that follows them."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.training.small import model
from torch import Tensor, nn

from undrift.conditioning import Condition
from undrift.conditioning.text import Texts, TextSpec
from undrift.data import ImageSet, load
from undrift.training.condition_gap import ConditionGap, condition_gap, others
from undrift.training.learners.diffusion import DiffusionLearner

WORDS = ("dark", "bright")


class Planted(nn.Module):
    """Moves its prediction by the first number of its context, ``gain`` times."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, x: Tensor, c_noise: Tensor, context: object = None) -> Tensor:
        return self.gain * context.vector[:, :1, None, None].expand_as(x)  # type: ignore[attr-defined]


def two_tones() -> tuple[ImageSet, Condition]:
    """Dark and bright images in turn, with labels and texts that say which is which."""
    digits = load("digits").split("train")
    images = np.repeat(np.array([64, 192] * 20, np.uint8), 64).reshape(40, 8, 8, 1)
    images = images + np.arange(40, dtype=np.uint8)[:, None, None, None]
    kind = torch.arange(40) % 2
    texts = Texts.single(WORDS[k] for k in kind.tolist())
    return dataclasses.replace(digits, store=images, rows=np.arange(40)), Condition(
        {"labels": kind, "text": texts}
    )


def gaps(gain: float, follows: str) -> dict:
    """What validation finds of a model that reads its labels or its texts."""
    images, condition = two_tones()
    config = model(images, network=None)
    spec = dataclasses.replace(
        config.spec,
        class_names=WORDS,
        class_frequencies=(0.5, 0.5),
        text=TextSpec.fit(WORDS * 2, most=20),
    )
    learner = DiffusionLearner(
        dataclasses.replace(config, spec=spec), seed=0, network=Planted(gain)
    )
    encoder = learner.networks["encoder"]
    tones = torch.tensor([0.0, -1.0, 1.0])
    with torch.no_grad():
        encoder.labels.weight.zero_()
        encoder.text.pooled.weight.zero_()
        if follows == "labels":
            encoder.labels.weight[:, 0] = tones
        else:
            states = encoder.text(Texts.single(WORDS)).tokens[:, 0]
            solved = torch.linalg.lstsq(states, tones[1:, None]).solution
            encoder.text.pooled.weight[0] = solved[:, 0]
    return dict(learner.validate(learner.pipeline(), images.images, condition))


@pytest.mark.parametrize("follows", ["labels", "text"])
def test_only_the_kind_that_is_followed_has_a_gap(follows: str) -> None:
    found = gaps(0.5, follows)
    both = dict(found["condition_gaps"])
    followed, ignored = both.pop(follows), *both.values()
    assert followed["gap"] > 4 * followed["standard_error"] > 0
    assert ignored["gap"] == 0 and set(ignored["gaps"]) == {0.0}
    assert len(followed["gaps"]) == len(followed["standard_errors"]) == len(found["losses"])
    assert followed["loss"] == pytest.approx(found["loss"])


def test_a_model_that_ignores_its_conditions_has_none_and_a_wrong_one_a_negative_gap() -> None:
    assert {each["gap"] for each in gaps(0.0, "labels")["condition_gaps"].values()} == {0.0}
    assert gaps(-0.5, "labels")["condition_gaps"]["labels"]["gap"] < 0


def test_a_model_without_conditions_has_no_entry() -> None:
    images, condition = two_tones()
    config = model(images)
    spec = dataclasses.replace(config.spec, class_names=(), class_frequencies=())
    learner = DiffusionLearner(dataclasses.replace(config, spec=spec), seed=0)
    assert "condition_gaps" not in learner.validate(learner.pipeline(), images.images, condition)


@pytest.mark.parametrize("count", [2, 3, 40])
def test_every_row_gets_another_row(count: int) -> None:
    other = others(count, seed=1)
    assert sorted(other.tolist()) == list(range(count))
    assert (other != torch.arange(count)).all()


def test_the_interval_is_paired_by_image() -> None:
    right = torch.tensor([[1.0, 9.0, 5.0, 3.0], [2.0, 8.0, 6.0, 4.0]]).double()
    found = condition_gap(right, right + torch.tensor([0.1, 0.2, 0.3, 0.2]).double())
    assert found.gap == pytest.approx(0.2) and found.gaps == pytest.approx([0.2, 0.2])
    error = np.std([0.1, 0.2, 0.3, 0.2], ddof=1) / 2
    assert found.standard_error == pytest.approx(error)
    assert found.standard_errors == pytest.approx([error, error])


def test_the_sentence_says_whether_anything_shows() -> None:
    found = ConditionGap((), (), gap=0.02, standard_error=0.005, loss=0.2)
    assert found.sentence("text") == (
        "condition gap: with text shuffled, the held-out loss changes by +10.0% (95% interval "
        "+5.1% to +14.9%)"
    )
    assert "nothing shows" in replace(found, gap=0.001).sentence("text")
