"""A report says what was expected of its run, and does not praise a run of which noise was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.report import fake_run

from undrift.report import write_report


@pytest.mark.parametrize(
    ("outcome", "badge"),
    [("noise", '"badge warn">done, noise expected<'), ("rough shapes", '"badge ">done<')],
)
def test_a_finished_run_is_not_praised_where_noise_was_expected(
    tmp_path: Path, outcome: str, badge: str
) -> None:
    run = fake_run.make_run(tmp_path / "run")
    sentence = f"expect {outcome}: 52 steps of 64 are 3,328 images seen at 96x96"
    event = {
        "event": "expectation",
        "time": 999.0,
        "outcome": outcome,
        "images": 3328,
        "sentence": sentence,
    }
    log = run / "metrics.jsonl"
    log.write_text(json.dumps(event) + "\n" + log.read_text())
    page = write_report(run).read_text()
    assert badge in page and f"Before the first step: {sentence}." in page
