"""One look is one point, and a point is seen: charts of runs that were logged or judged once."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from tests.report import fake_run
from tests.report.fake_run import LOG_SNR

from undrift.comparison.figures import quality_chart, training_charts
from undrift.report.curves import (
    evaluation_figure,
    level_figure,
    loss_figure,
    rate_figure,
)
from undrift.report.figure import COLOURS, FIRST, drawing, panels, to_svg
from undrift.report.gan_training import diagnostic_curves, loss_curves
from undrift.report.health import health_figure

LOOK: dict[str, Any] = {
    "event": "evaluation",
    "step": 10,
    "images": 640,
    "fraction": 1.0,
    **{"kid": 0.2, "low": 0.1, "high": 0.3, "floor": None},
    **{"fd": 3.0, "fd_low": 2.0, "fd_high": 4.5},
    **{"coverage": 0.8, "coverage_low": 0.7, "coverage_high": 0.9},
}


def diffusion() -> list[dict[str, Any]]:
    losses = [0.5] * len(LOG_SNR)
    seen = {"step": 10, "images": 640}
    look = {**seen, "weights": "ema", "loss": 0.3, "log_snr": LOG_SNR.tolist(), "losses": losses}
    rates = {"grad_norm": 1.0, "learning_rate": 1e-3, "images_per_second": 900.0}
    return [
        {"event": "train", **seen, "loss": 0.4, **rates},
        {"event": "validation", **look, "gaussian": losses},
        LOOK,
    ]


def game() -> list[dict[str, Any]]:
    side = {"loss": 0.7, "grad_norm": 1.0, "real_logit": 0.2, "real_sign": 0.1, "fake_sign": -0.1}
    seen = {"step": 10, "images": 640}
    judged = {"seen_logit": 0.3, "real_logit": 0.2, "fake_logit": -0.2, "ranking": 0.7}
    judged |= {"seen_sign": 0.4, "real_sign": 0.3, "fake_sign": -0.2, "overfitting": 0.1}
    judged |= {"diversity": 0.9, "real_diversity": 1.0}
    return [
        {
            "event": "train",
            **seen,
            "loss": 0.7,
            "phases": {"discriminator": side, "generator": side},
        },
        {"event": "validation", **seen, "weights": "ema", **judged},
        LOOK,
    ]


def markers(svg: str) -> int:
    """Markers of curves; ticks are drawn in the colours of axes."""
    return len(re.findall(r"<use [^>]*fill: var\(--(?:first|second|good|muted)\)", svg))


@pytest.mark.parametrize(
    ("made", "least"),
    [
        (lambda: loss_figure(fake_run.history_of(diffusion())), 3),  # loss, smoothed, validation
        (lambda: rate_figure(fake_run.history_of(diffusion())), 3),
        (lambda: evaluation_figure(fake_run.history_of(diffusion())), 2),  # the point, and the best
        (lambda: health_figure(fake_run.history_of(diffusion())), 2),
        (lambda: loss_curves(fake_run.history_of(game())), 8),
        (lambda: diagnostic_curves(fake_run.history_of(game())), 5),
        (lambda: level_figure(fake_run.history_of(diffusion())), len(LOG_SNR)),
    ],
    ids=["losses", "rates", "evaluations", "health", "game", "watch", "levels"],
)
def test_every_chart_of_a_run_shows_its_only_point(made: Any, least: int):
    svg = made()
    assert svg is not None and markers(svg) >= least


def test_an_interval_of_one_look_is_a_bar():
    for figure in (evaluation_figure, health_figure):
        svg = figure(fake_run.history_of([LOOK]))
        assert svg is not None
        bars = re.search(r'id="[^"]*LineCollection_1">\s*<path d="([^"]*)"', svg)
        assert bars is not None, svg
        ends = [float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", bars[1])]
        assert abs(ends[0] - ends[1]) > 10


def test_comparisons_show_runs_with_one_look():
    for events in (diffusion(), game()):
        histories = {"one": [(0, fake_run.history_of(events))]}
        (chart,) = training_charts(["one"], "images", histories)
        assert markers(chart.svg) >= 1
        quality = quality_chart(["one"], "images", histories)
        assert quality is not None and f"fill: {COLOURS[0]}" in quality.svg


def test_only_points_without_a_neighbour_get_a_marker():
    with drawing():
        figure, (axis,) = panels(1)
        axis.plot([0, 1, 2, 3, 4, 5], [1, np.nan, 2, 3, np.nan, 4], color=FIRST)
        axis.plot([0, 5], [2, 2], color=FIRST)
        marked = to_svg(figure, "gaps", "gaps")
    assert markers(marked) == 2


def test_a_lone_point_outside_of_its_axis_leaves_the_chart_its_room() -> None:
    """Where it was drawn across the frame, the layout gave up: no panel had any size."""
    with drawing():
        figure, (axis, beside) = panels(2)
        axis.plot([1.0], [-90.0], color=FIRST)
        axis.set_ylim(-0.1, 1.1)
        beside.plot([1.0], [0.5], color=FIRST)
        to_svg(figure, "far", "A point far below")
        assert all(panel.get_position().width > 0.3 for panel in (axis, beside))
        assert not beside.get_lines()[0].get_clip_on() and axis.get_lines()[0].get_clip_on()
