"""Bounds of configurations, and messages about values of any size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import pytest

from undrift.errors import UsageError
from undrift.schema import check_ranges, from_plain


@dataclass(frozen=True)
class Inner:
    width: int = 1
    names: tuple[int, ...] = ()
    rate: float = 1.0
    every: int | None = None

    def __post_init__(self) -> None:
        check_ranges(self, "inner", width=(1, 8), names=(0, 9), rate=(0.5, 2), every=(1, 4))


@dataclass(frozen=True)
class Outer:
    inner: Inner


@pytest.mark.parametrize(
    "fields", [{}, {"width": 8}, {"names": [0, 9] * 32}, {"rate": 2.0}, {"every": None}]
)
def test_ends_are_included(fields: dict[str, object]) -> None:
    assert isinstance(from_plain(Outer, {"inner": fields}, "x").inner, Inner)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 9}, "x: inner: inner: width is 9, wanted 1 to 8"),
        ({"width": 0}, "x: inner: inner: width is 0, wanted 1 to 8"),
        ({"width": 10**400}, "a number of about 400 digits, wanted 1 to 8"),
        ({"names": [1, 10]}, "names is (1, 10), wanted 0 to 9"),
        ({"names": [1] * 65}, "names has 65 entries, wanted 64 at most"),
        ({"rate": 2.5}, "rate is 2.5, wanted 0.5 to 2"),
        ({"rate": 10**400}, "rate: got a number of about 400 digits, wanted a finite number"),
        ({"every": 5}, "every is 5, wanted 1 to 4"),
        ({"width": [1] * 10**5}, "wanted int"),
        ({"widht": 1}, "unknown key 'widht'; did you mean 'width'?"),
        ({"width" * 10**5: 1}, "unknown key 'width"),
        ({f"k{i}": i for i in range(10**4)}, "unknown key 'k0'"),
    ],
)
def test_what_is_outside_is_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        from_plain(Outer, {"inner": fields}, "x")
    assert len(str(caught.value)) < 400


@dataclass(frozen=True)
class Round:
    kind: Literal["round"] = "round"


@dataclass(frozen=True)
class Square:
    kind: Literal["square"] = "square"


@dataclass(frozen=True)
class Either:
    shape: Round | Square


@pytest.mark.parametrize("kind", [[], {}, ["round"], None, 1, "oval"])
def test_a_kind_of_any_type_is_one_of_those_there_are_or_refused(kind: object) -> None:
    with pytest.raises(UsageError, match="x: shape: kind: got .*, wanted one of round, square"):
        from_plain(Either, {"shape": {"kind": kind}}, "x")
