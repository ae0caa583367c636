"""The report's panel on the condition gap, and what it says in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.report import fake_run

from undrift.report.curves import gap_figure, loss_figure
from undrift.report.history import History
from undrift.report.page import write_report
from undrift.report.verdict import student_verdict
from undrift.runs.events import read_events


def validation(step: int, weights: str = "ema", **gaps: float) -> dict[str, Any]:
    found = {
        name: {
            "gaps": [gap, gap],
            "standard_errors": [0.1, 0.1],
            "gap": gap,
            "standard_error": 0.1,
            "loss": 1.0,
        }
        for name, gap in gaps.items()
    }
    entries = {"loss": 1.0, "losses": [1.0, 1.0], "log_snr": [2.0, -2.0], "weights": weights}
    event = {"event": "validation", "time": step, "step": step, "images": 64 * step, **entries}
    return event | ({"condition_gaps": found} if gaps else {})


def test_each_kind_is_judged_by_its_last_validation_of_the_averaged_weights() -> None:
    history = fake_run.history_of(
        [
            validation(1, text=0.0, labels=0.9),
            validation(2, text=0.5, labels=0.1),
            validation(2, "raw", text=0.0, labels=0.0),
        ]
    )
    text, labels = history.gap_sentences
    assert text == (
        "condition gap: with text shuffled, the held-out loss changes by +50.0% "
        "(95% interval +30.4% to +69.6%)"
    )
    assert labels.endswith("so far nothing shows that the model follows it")
    figure = gap_figure(history)
    assert figure is not None and "labels" in figure and "text" in figure


def test_a_run_without_conditions_has_no_panel() -> None:
    history = fake_run.history_of([validation(1), validation(2)])
    assert gap_figure(history) is None and history.gap_sentences == []


def test_a_student_is_judged_by_its_loss_or_its_samples() -> None:
    """Its validations have no noise levels, and its condition gaps one."""
    events = [validation(step, text=0.5 / step) for step in (1, 2)]
    for event in events:
        del event["losses"], event["log_snr"]
    history = fake_run.history_of(events)
    assert [one.loss for one in history.students] == [1.0, 1.0] and history.main == ()
    assert "the held-out loss changes by +25.0%" in history.gap_sentences[0]
    gaps, losses = gap_figure(history), loss_figure(history)
    assert gaps is not None and "text" in gaps and "by noise level" not in gaps
    assert losses is not None and "Validation loss" in losses and "no validation" not in losses
    assert "was 1;" in student_verdict(history.students[-1]).sentence
    rival = {"event": "validation", "step": 3, "images": 9, "weights": "ema"}
    history = fake_run.history_of([rival | {"sample_distance": 0.25}])
    assert history.gan_validations == () and gap_figure(history) is None
    losses = loss_figure(history)
    assert losses is not None and "Kernel distance of samples to held-out images" in losses
    assert "at 0.25 from held-out" in student_verdict(history.students[-1]).sentence


def test_the_page_of_a_student_shows_them(tmp_path: Path) -> None:
    run = fake_run.make_run(tmp_path / "run")
    path = run / "metrics.jsonl"
    path.write_text(path.read_text().replace('"losses"', '"other"'))
    page = write_report(run).read_text(encoding="utf-8")
    assert "In the end its loss on held-out images was" in page
    assert "Are the conditions followed?" in page and "No validation" not in page


@pytest.mark.parametrize("gaps", [True, False])
def test_the_page_shows_it_where_there_is_one(tmp_path: Path, gaps: bool) -> None:
    run = fake_run.make_run(tmp_path / "run")
    if not gaps:
        path = run / "metrics.jsonl"
        path.write_text(path.read_text().replace('"condition_gaps"', '"other"'))
    assert bool(History.of(read_events(run / "metrics.jsonl")).gap_sentences) == gaps
    page = write_report(run).read_text(encoding="utf-8")
    assert ("Are the conditions followed?" in page) == gaps
    assert ("+10.0% (95% interval +6.1% to +13.9%)" in page) == gaps
