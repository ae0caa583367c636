"""The report of a GAN: what its discriminator and its images are said to be is what was logged."""

from __future__ import annotations

from typing import Any

import pytest

from undrift.experiments.report.game import game_figure, judge_game, watch_figure
from undrift.experiments.report.history import History


def history(**held_out: float | None) -> History:
    events: list[dict[str, Any]] = [{"event": "start", "step": 0, "time": 0.0}]
    for step in (1, 2, 3):
        sides = {
            "discriminator": {"loss": 1.0, "grad_norm": 0.5 * step, "real_sign": 0.8},
            "generator": {"loss": 2.0, "grad_norm": 0.1},
        }
        common = {"step": step, "images": 64 * step, "time": float(step)}
        events.append({"event": "train", "loss": 1.0, "phases": sides, **common})
        for weights in ("ema", "raw"):
            events.append({"event": "validation", "weights": weights, **held_out, **common})
    return History.of(events)


def test_curves_of_gradients_judgement_and_diversity_are_drawn() -> None:
    logged = history(
        real_sign=0.2, ranking=0.7, overfitting=0.1, diversity=0.2, real_diversity=0.25
    )
    assert "watch-" in str(watch_figure(logged))
    assert game_figure(logged) is not None


def test_the_sentence_says_what_was_logged() -> None:
    logged = history(
        real_sign=0.2, diversity=0.2, real_diversity=0.25, class_diversity=0.0,
        real_class_diversity=0.2,
    )  # fmt: skip
    sentence = judge_game(logged).sentence
    assert "90% of training and 60% of held-out images for real" in sentence
    assert "differ by 80% over all pairs, 0% within a class of what real ones do" in sentence


@pytest.mark.parametrize("missing", [{}, {"diversity": None, "real_diversity": None}])
def test_runs_that_logged_less_are_still_drawn(missing: dict[str, None]) -> None:
    logged = history(real_sign=0.2, **missing)
    assert watch_figure(logged) is not None
    assert "differ by" not in judge_game(logged).sentence


def test_there_is_no_game_without_two_sides() -> None:
    assert (
        watch_figure(History.of([{"event": "train", "step": 1, "images": 1, "loss": 1.0}])) is None
    )
