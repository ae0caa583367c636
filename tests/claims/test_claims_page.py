"""The page of the six claims shows what the stored result of the study says."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page():
    found = importlib.util.spec_from_file_location("page", ROOT / "benchmarks/claims_page.py")
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    return made


def test_the_page_is_what_the_stored_result_says(page):
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.put(text, page.figures(json.loads(page.RESULT.read_text()))) == text
    for name, _ in page.SHOWN.values():
        assert (page.IMAGES / f"claims-{name}.png").exists()


def test_another_verdict_would_change_the_page(page):
    text, result = page.PAGE.read_text(encoding="utf-8"), json.loads(page.RESULT.read_text())
    result["claims"][0]["verdict"] = "unheard of"
    assert page.put(text, page.figures(result)) != text


def test_all_six_claims_are_there_with_their_intervals(page):
    result = json.loads(page.RESULT.read_text())
    assert [claim["name"] for claim in result["claims"]] == list(page.SHOWN)
    for claim in result["claims"]:
        assert claim["parts"]


def test_folders_of_the_machine_are_left_out(page):
    command = "undrift claims --data /some/where/fashion_mnist --out /else/where/study --workers 2"
    assert page._plain(command) == "undrift claims --data fashion_mnist --out study --workers 2"
