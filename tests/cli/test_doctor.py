"""``undrift doctor`` offers the extras that exist: in pyproject.toml and in the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from undrift.cli.dispatch import main
from undrift.cli.doctor import EXTRAS

ROOT = Path(__file__).resolve().parent.parent.parent
OPTIONAL = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
for of_the_project in ("dev", "docs", "peft"):
    OPTIONAL.pop(of_the_project)


def package(requirement):
    return re.split(r"[><=\[ ]", requirement)[0]


def test_doctor_and_the_project_have_the_same_extras(capsys):
    offered = {extra: [name] for extra, (name, _) in EXTRAS.items()}
    assert offered == {extra: list(map(package, needs)) for extra, needs in OPTIONAL.items()}
    assert main(["doctor"]) == 0
    assert set(re.findall(r"^\[(\w+)\]", capsys.readouterr().out, re.M)) == set(OPTIONAL)


@pytest.mark.parametrize("extra", OPTIONAL)
def test_the_library_imports_what_an_extra_brings(extra):
    sources = [path.read_text() for path in (ROOT / "src").rglob("*.py")]
    for name in map(package, OPTIONAL[extra]):
        imports = re.compile(rf"^\s+import {name}\b", re.M)
        assert any(imports.search(source) for source in sources), name
        assert any(f"undrift[{extra}]" in source for source in sources)


def test_a_cache_of_an_impossible_name_is_shown(capsys, monkeypatch):
    monkeypatch.setenv("UNDRIFT_CACHE", "n" * 300)
    assert main(["doctor"]) == 0
    assert "n" * 50 in capsys.readouterr().out.replace("\n", "")
