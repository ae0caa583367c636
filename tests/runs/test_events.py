"""Lines of ``metrics.jsonl`` have the types that their readers count on."""

from __future__ import annotations

import json

import pytest

from undrift.errors import ModelFileError
from undrift.runs.events import EventLog, read_events

STEP = {"event": "train", "time": 1.0, "step": 3, "images": 48, "loss": None}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"time": {"a": 1}}, "time {'a': 1}, wanted a number"),
        ({"event": 3}, "event 3, wanted a text"),
        ({"step": "3"}, "step '3', wanted a whole number"),
        ({"step": None}, "step None, wanted a whole number"),
        ({"images": True}, "images True, wanted a whole number"),
        ({"loss": [1.0]}, r"loss \[1.0\], wanted a number"),
        ({"seconds": "long"}, "seconds 'long', wanted a number"),
        ({"weights": 1}, "weights 1, wanted a text"),
    ],
)
def test_an_entry_of_another_type_names_its_line(tmp_path, change, said):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in (STEP, STEP | change)))
    with pytest.raises(ModelFileError, match=f"line 2: {said}"):
        read_events(path)


@pytest.mark.parametrize("name", ["event", "time", "step", "images"])
def test_what_an_event_needs_is_missed(tmp_path, name):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({key: value for key, value in STEP.items() if key != name}) + "\n")
    with pytest.raises(ModelFileError, match=f"line 1: {name} None"):
        read_events(path)


def test_what_is_written_is_read(tmp_path):
    log = EventLog(tmp_path / "metrics.jsonl")
    log.write("train", step=3, images=48, loss=None)
    log.close()
    (event,) = read_events(tmp_path / "metrics.jsonl")
    assert event.step == 3 and event.loss is None
