"""Every test that the documentation names is there: a claim's proof can be looked up."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FILES = re.compile(r"\btests/[\w/.*]+\.py\b")
CHECKS = re.compile(r"(?<![\w/])test_\w+\b(?!\.py|\*)")


@functools.cache
def everything() -> str:
    """The text of all tests."""
    return "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("*.py"))


def missing(text: str) -> list[str]:
    """Files, by name or pattern, and functions that no test file has."""
    files = [name for name in FILES.findall(text) if not list(ROOT.glob(name))]
    checks = [name for name in CHECKS.findall(text) if f"def {name}(" not in everything()]
    return files + checks


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_checks_that_a_page_names_exist(page):
    assert not missing(page.read_text(encoding="utf-8"))


def test_a_check_that_is_gone_would_be_noticed():
    this = "tests/docs/test_named_checks.py"
    assert missing(f"`{this}`, `tests/oracle/test_orders*.py`, `test_order_in_law`") == []
    assert missing("`tests/oracle/test_absent.py`") == ["tests/oracle/test_absent.py"]
    assert missing("`tests/absent*/test_orders.py`") == ["tests/absent*/test_orders.py"]
    assert missing("see `test_of_nothing_at_all`") == ["test_of_nothing_" + "at_all"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_has_a_place_left_to_fill_in(page):
    words = re.findall(r"(?m)^[A-Z]{4,}$", page.read_text(encoding="utf-8"))
    assert not words
