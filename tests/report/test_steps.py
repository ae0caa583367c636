"""The price of each step removed: rows, words, and when they differ."""

from __future__ import annotations

from undrift.report.steps import price, steps_table
from undrift.results.steps import StepsResult, StepsRow, StepsValue
from undrift.schema import from_plain, to_plain


def row(model: str, steps: int, fd: float, half: float, milliseconds: float) -> StepsRow:
    metrics = {
        "fd": StepsValue(fd, fd - half, fd + half),
        "coverage": StepsValue(0.9, None, None),
    }
    return StepsRow(model, steps, float(steps), 4 * milliseconds, milliseconds, metrics)


ROWS = (
    row("teacher", 20, 0.10, 0.02, 6.0),
    row("student", 2, 0.12, 0.02, 0.6),
    row("student", 1, 0.20, 0.02, 0.3),
)


def test_each_row_has_its_cost_and_its_intervals():
    table = steps_table(StepsResult(ROWS, 1000, 1))
    assert table.columns == ("Fréchet distance", "coverage")
    assert table.rows[1] == (
        *("student, 2 steps", "2", "2.4", "0.6"),
        *("0.12 (0.1 to 0.14)", "90.0%"),
    )
    assert "1,000 samples of each" in table.note and "1 CPU thread;" in table.note
    assert len(table.sentences) == 2


def test_the_price_of_a_step_is_in_words():
    assert price(*ROWS[:2]) == (
        "From teacher, 20 steps to student, 2 steps: 10 times as fast; Fréchet distance 0.1 to "
        "0.12, 1.20 times (the intervals overlap); coverage 90.0% to 90.0%."
    )
    assert "0.12 to 0.2, 1.67 times; coverage" in price(*ROWS[1:])


def test_the_result_is_read_back():
    found = StepsResult(ROWS, 1000, 1)
    assert from_plain(StepsResult, to_plain(found), "steps.json") == found
    assert steps_table(StepsResult((), 0, 1)).rows == ()
