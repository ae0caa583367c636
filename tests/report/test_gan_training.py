"""The report of a GAN: what its discriminator and its images are said to be is what was logged."""

from __future__ import annotations

from typing import Any

import pytest
from tests.report import fake_run

from undrift.files.document import Document
from undrift.pipelines import SampleSpec
from undrift.report import gan_training
from undrift.report.figure import FIRST, GOOD, SECOND
from undrift.report.gan_training import diagnostic_curves, gan_verdict, loss_curves
from undrift.report.history import History
from undrift.report.words import gan_loss
from undrift.schema import to_plain
from undrift.training.learners.gan_config import GANConfig

AUGMENTED = 0.4
"""Mean sign of training reals as augmented: 70 % of them are taken for real."""


def history(**held_out: float | None) -> History:
    events: list[dict[str, Any]] = [{"event": "start", "step": 0, "time": 0.0}]
    for step in (1, 2, 3):
        sides = {
            "discriminator": {"loss": 1.0, "grad_norm": 0.5 * step, "real_sign": AUGMENTED},
            "generator": {"loss": 2.0, "grad_norm": 0.1},
        }
        common = {"step": step, "images": 64 * step, "time": float(step)}
        events.append({"event": "train", "loss": 1.0, "phases": sides, **common})
        for weights in ("ema", "raw"):
            events.append({"event": "validation", "weights": weights, **held_out, **common})
    return fake_run.history_of(events)


def test_curves_of_gradients_judgement_and_diversity_are_drawn() -> None:
    logged = history(
        real_sign=0.2, ranking=0.7, overfitting=0.1, diversity=0.2, real_diversity=0.25
    )
    assert "watch-" in str(diagnostic_curves(logged))
    assert loss_curves(logged) is not None


def test_curves_of_signs_compare_images_that_are_not_augmented(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: dict[tuple[str, str, bool], list[float]] = {}

    def line(axis: Any, series: Any, colour: str, label: str | None, dotted: bool = False) -> None:
        drawn[axis.get_title("left"), colour, dotted] = list(series[1])

    monkeypatch.setattr(gan_training, "_line", line)
    signs = {"seen_sign": 0.8, "real_sign": 0.2, "fake_sign": -0.7}
    assert loss_curves(history(**signs)) is not None
    title = "Mean sign of logits"
    assert drawn[title, FIRST, False] == [0.8] * 3 and drawn[title, GOOD, False] == [0.2] * 3
    assert drawn[title, SECOND, False] == [-0.7] * 3
    assert drawn[title, FIRST, True] == [AUGMENTED] * 3


@pytest.mark.parametrize("loss", ["non_saturating", "hinge"])
def test_the_sentence_compares_images_that_are_not_augmented(loss: str) -> None:
    logged = history(
        seen_sign=0.8, real_sign=0.2, diversity=0.2, real_diversity=0.25, class_diversity=0.0,
        real_class_diversity=0.2,
    )  # fmt: skip
    sentence = gan_verdict(logged, loss).sentence
    assert "took 90% of training and 60% of held-out images for real, none of them aug" in sentence
    assert "differ by 80% over all pairs, 0% within a class of what real ones do" in sentence


@pytest.mark.parametrize("loss", ["relativistic", "wasserstein", ""])
def test_signs_that_mean_nothing_are_not_told(loss: str) -> None:
    """Such losses leave a constant in the logit free."""
    sentence = gan_verdict(history(seen_sign=0.8, real_sign=0.2, overfitting=0.37), loss).sentence
    assert "for real" not in sentence and "%" not in sentence
    assert "held-out images stood at 0.37 on" in sentence


def test_a_validation_without_training_images_shows_no_overfitting() -> None:
    sentence = gan_verdict(history(real_sign=0.2), "hinge").sentence
    assert "for real" not in sentence and "was not evaluated on held-out" in sentence


def test_the_report_judges_by_the_runs_own_loss() -> None:
    assert (
        gan_loss(Document(entries={"model": to_plain(GANConfig(SampleSpec((1, 8, 8))))}))
        == "relativistic"
    )
    assert gan_loss(Document()) == ""


@pytest.mark.parametrize("missing", [{}, {"diversity": None, "real_diversity": None}])
def test_runs_that_logged_less_are_still_drawn(missing: dict[str, None]) -> None:
    logged = history(real_sign=0.2, **missing)
    assert diagnostic_curves(logged) is not None
    assert "differ by" not in gan_verdict(logged, "hinge").sentence


def test_there_is_no_game_without_two_sides() -> None:
    assert (
        diagnostic_curves(
            fake_run.history_of([{"event": "train", "step": 1, "images": 1, "loss": 1.0}])
        )
        is None
    )
