"""Messages stay readable, whatever they quote."""

from __future__ import annotations

import pytest

from undrift.errors import DataError, UsageError, one_line, shown


@pytest.mark.parametrize("value", [1, "a", 2.5, None, [1, 2], {"a": 1}, True])
def test_small_values_are_shown_as_they_are(value: object) -> None:
    assert shown(value) == repr(value)


def test_large_values_are_shown_in_part() -> None:
    bomb: list[object] = ["x"] * 9
    for _ in range(12):
        bomb = [bomb] * 9  # 9^13 elements, were they written out
    for value in (
        bomb,
        "a" * 10**6,
        10**5000,
        [10**5000],
        dict.fromkeys(range(10**5)),
        {"a": bomb},
    ):
        assert 0 < len(shown(value)) <= 160


def test_a_number_too_long_for_python_to_write_is_described() -> None:
    assert "5,0" in shown(10**5000)
    assert "digits" in shown([10**5000])


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    message = str(UsageError("given " + "x" * 10**6 + "; do that"))
    assert len(message) <= 1200
    assert message.startswith("given x")
    assert message.endswith("; do that")
    assert str(DataError("short")) == "short"


def test_one_line_has_no_breaks_and_always_says_something() -> None:
    assert one_line(ValueError("a\n b\tc")) == "a b c"
    assert one_line(EOFError()) == "EOFError"
    assert len(one_line(ValueError("x" * 10**6))) <= 240


def test_a_message_is_one_line_whatever_name_it_quotes() -> None:
    assert str(UsageError("a\nb\r\nc.png  d: no such run")) == "a b c.png  d: no such run"
