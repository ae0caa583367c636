"""Progress of a long task: whole lines without a terminal, a bar that goes on one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from undrift.runs import activity as module
from undrift.runs.activity import activity


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_plain_lines_come_every_ten_seconds(clock: list[float]) -> None:
    out = io.StringIO()
    with activity(Console(file=out, width=200), "drawing samples") as show:
        for second in range(41):
            clock[0] = float(second)
            show(second, 40)
    assert out.getvalue().splitlines() == [
        "drawing samples: 25%, elapsed 0:10, left 0:30",
        "drawing samples: 50%, elapsed 0:20, left 0:20",
        "drawing samples: 75%, elapsed 0:30, left 0:10",
    ]


def test_a_terminal_gets_a_bar_that_goes() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, legacy_windows=False)
    with activity(console, "fitting features") as show:
        show(1, 2)
    drawn = out.getvalue()
    assert "fitting features" in drawn and "50%" in drawn and drawn.endswith("\x1b[2K")


def test_a_quiet_console_shows_nothing(clock: list[float]) -> None:
    out = io.StringIO()
    with activity(Console(file=out, quiet=True), "drawing samples") as show:
        clock[0] = 60.0
        show(1, 2)
    assert out.getvalue() == ""
