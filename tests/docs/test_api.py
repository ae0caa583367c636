"""The API reference has every public name, and the pages of the documentation hang together."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([^)#]+\.md)[^)]*\)")


@pytest.fixture(scope="module")
def api():
    spec = importlib.util.spec_from_file_location("api_reference", DOCS / "api.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["api_reference"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["api_reference"]


def test_every_public_name_has_an_entry(api):
    pages = api.pages()
    for package in api.packages():
        module = importlib.import_module(package)
        shown = re.findall(r"(?:^\.\. \S+:: |- `)undrift[\w.]*\.(\w+)", pages[package], re.M)
        names = {name for name in module.__all__ if name not in ("__version__", "data")}
        assert set(shown) == names, package
        undocumented = [entry.name for entry in api.entries(package) if not entry.doc.strip()]
        assert undocumented == [], package


def test_packages_without_public_names_have_none(api):
    for package in api.PRIVATE:
        assert not hasattr(importlib.import_module(package), "__all__"), package


def test_a_name_in_several_packages_has_one_full_entry(api):
    pages = api.pages()
    assert ".. autoclass:: undrift.sampling.solvers.Heun" in pages["undrift.sampling.solvers"]
    assert "- `undrift.sampling.solvers.Heun`" in pages["undrift.sampling"]
    assert "autoclass:: undrift.sampling.Heun" not in pages["undrift.sampling"]


def test_the_index_is_up_to_date(api):
    written = api.INDEX.read_text(encoding="utf-8")
    assert written == api.index(), "run: python docs/api.py"


def test_docstrings_become_restructured_text(api):
    doc = (
        "A *shape and |x|, ``2 * 3``.\n\n    a = b * c    (1)\n\nArgs:\n    a: one.\n\n        more"
    )
    assert api.as_rst(doc) == (
        "A \\*shape and \\|x\\|, ``2 * 3``.\n\n::\n\n    a = b * c    (1)\n\n"
        "Args:\n    a: one.\n\n        more"
    )


def test_every_page_can_be_reached_from_the_first():
    reached: set[Path] = set()
    waiting = [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.is_relative_to(DOCS):
            reached.add(page)
            links = LINK.findall(page.read_text(encoding="utf-8"))
            waiting += [(page.parent / link).resolve() for link in links if "://" not in link]
    assert {path.relative_to(DOCS) for path in DOCS.rglob("*.md")} == {
        path.relative_to(DOCS) for path in reached
    }
