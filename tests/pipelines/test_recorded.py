"""``samples.json`` from elsewhere: what it lists is checked before anything is made of it."""

from __future__ import annotations

from typing import Any

import pytest

from undrift.pipelines.folder import names_in, recorded


def entry(**changes: Any) -> dict[str, Any]:
    return {"file": "000000.png", "label": 0, "class": "a"} | changes


def test_what_is_written_is_read() -> None:
    found = recorded({"images": [entry(), entry(file="000001.png", label=2, nfe=3)]})
    assert [one.label for one in found] == [0, 2]
    assert [one.nfe for one in found] == [None, 3.0]
    assert names_in(found) == ("a", "", "a")
    (bare,) = recorded({"images": [{"file": "000000.png"}]})
    assert bare.label is None
    assert names_in([bare]) == ()


@pytest.mark.parametrize(
    "images",
    [
        [entry(label=10**10)],  # a name for each would take a terabyte
        [entry(label=-1)],
        [entry(label=True)],
        [entry(label="0")],
        [entry(label=[0])],
        [entry(**{"class": 5})],
        [entry(file="../000000.png")],
        [entry(file="/etc/000000.png")],
        [entry(file="grid.png")],
        [entry(file=7)],
        [entry(), entry()],
        [entry(nfe="many")],
        [{}],
        ["000000.png"],
        "text",
        5,
        None,
    ],
)
def test_what_it_refuses(images: Any) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        recorded({"images": images})
