"""The report's panel on the condition gap, and what it says in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.report import fake_run

from undrift.report.curves import gap_figure
from undrift.report.history import History
from undrift.report.page import write_report
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
