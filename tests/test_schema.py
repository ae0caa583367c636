"""Bounds of configurations, and messages about values of any size."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pytest

from undrift.errors import UsageError
from undrift.schema import check_ranges, from_plain, one_of, stored_as, to_plain


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


@dataclass(frozen=True)
class Done:
    state: Literal["done"]
    value: float


@dataclass(frozen=True)
class Lost:
    state: Literal["diverged", "failed"]
    reason: str


@dataclass(frozen=True, kw_only=True)
class Table:
    budget: str = stored_as("ledger")
    shown: int = stored_as("looks", default=2)
    values: Mapping[int, float]
    runs: tuple[Done | Lost, ...]


TABLE = Table(
    budget="images", values={0: 1.5, 3: 2.0}, runs=(Done("done", 1.0), Lost("failed", "why"))
)


def test_a_field_may_have_another_name_in_plain_data() -> None:
    plain = json.loads(json.dumps(to_plain(TABLE)))
    assert plain["ledger"] == "images" and plain["looks"] == 2 and "budget" not in plain
    assert from_plain(Table, plain, "x") == TABLE  # seeds are numbers again
    with pytest.raises(UsageError, match="x: unknown key 'budget'"):
        from_plain(Table, plain | {"budget": "images"}, "x")
    with pytest.raises(UsageError, match="x: the key 'ledger' is missing"):
        from_plain(Table, {name: plain[name] for name in plain if name != "ledger"}, "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": {"first": 1.0}}, "x: values: got 'first', wanted whole numbers for keys"),
        ({"runs": [{"state": "lost"}]}, "state: got 'lost', wanted one of done, diverged, failed"),
        ({"runs": [{"state": "done", "reason": "why"}]}, "unknown key 'reason'"),
    ],
)
def test_keys_that_are_no_numbers_and_states_of_another_kind(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        from_plain(Table, to_plain(TABLE) | change, "x")


def test_one_of_several_kinds() -> None:
    assert one_of((Done, Lost), {"state": "diverged", "reason": "nan"}, "x") == Lost(
        "diverged", "nan"
    )
    with pytest.raises(UsageError, match="x: got 3, wanted one of"):
        one_of((Done, Lost), 3, "x")
