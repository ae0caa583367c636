"""The benchmark's table of solvers: its cells, what is kept of them, and its page."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def opened(name):
    found = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    made = importlib.util.module_from_spec(found)
    sys.modules[name] = made  # dataclasses look up their module
    try:
        found.loader.exec_module(made)
    finally:
        del sys.modules[name]
    return made


cells = opened("table_cells")


def cell(sampler="heun", budget=10, steps=5, **changed):
    settings = {"grid": "karras:4", "n": 8, "seed": 0, "precision": "float32"} | changed
    return cells.Cell(sampler, budget=budget, steps=steps, **settings)


@pytest.mark.parametrize("evaluations", [1, 2])
@pytest.mark.parametrize("budget", [1, 2, 5, 6, 50])
def test_steps_cost_as_much_as_the_budget_allows_and_no_more(budget, evaluations):
    steps = cells.steps_within(budget, evaluations)
    assert steps >= 1
    assert cells.cost(steps, evaluations) <= budget < cells.cost(steps + 1, evaluations)


def test_a_table_goes_on_where_it_stopped(tmp_path):
    features = np.arange(12.0).reshape(4, 3)
    cells.Kept(tmp_path, {"model": "a"}).write(cell(), {"value": 0.3}, features)
    again = cells.Kept(tmp_path, {"model": "a"})
    assert again.read(cell())["value"] == 0.3
    assert np.array_equal(again.features(cell()), features)
    others = ({"n": 9}, {"seed": 1}, {"grid": "log_snr"}, {"precision": "bfloat16"}, {"steps": 6})
    for changed in others:
        assert again.read(cell(**changed)) is None
    assert again.read(cell("dopri5", 0, 0, tolerance=0.1)) is None
    assert np.array_equal(again.beginning(cell(n=9), 3), features)
    assert again.beginning(cell(n=8), 3).shape == (0, 3)
    assert again.beginning(cell(n=9, seed=1), 3).shape == (0, 3)
    with pytest.raises(SystemExit, match="not of"):
        cells.Kept(tmp_path, {"model": "b"})


def test_the_best_are_of_different_samplers():
    rows = [
        {"sampler": name, "value": value}
        for name, value in (("a", 0.3), ("b", 0.1), ("a", 0.2), ("b", 0.15), ("c", 0.4))
    ]
    assert [row["value"] for row in cells.best(rows, 2)] == [0.1, 0.2]


def test_the_page_marks_the_best_of_each_column_and_says_what_was_measured():
    page = opened("table_page").page
    row = {"grid": "karras:4", "low": 0.1, "high": 0.5}
    rows = [
        row | {"sampler": name, "budget": budget, "nfe": budget, "value": value, "n": 20}
        for name, budget, value in (("heun", 5, 0.4), ("euler", 5, 0.3), ("heun", 50, 0.2))
    ]
    ratio = {"ratio": 1.5, "low": 1.4, "high": 1.6}
    text = page(
        {
            "date": "2000-01-01",
            "protocol": "FD",
            "n": 20,
            "precision": "bfloat16",
            "floors": {"20": 0.05},
            "rows": rows,
            "grids": {"heun from 4 to 8": "karras:4", "euler from 4 to 8": "karras:4"},
            "adaptive": [row | {"sampler": "dopri5", "tolerance": 0.1, "nfe": 30.2, "value": 1.0}],
            "finalists": [rows[0]],
            "targets": [ratio | {"nfe": 5, "n": 20, "to_reach": 1.6, "best_at_50": "heun"}],
            "precision_differences": [ratio | {"sampler": "heun", "nfe": 5}],
        }
    )
    assert "| `euler` | **0.30 ± 0.20** |  |" in text
    assert "| `heun` | 0.40 ± 0.20 | **0.20 ± 0.20** |" in text
    assert "| 5 | 20 | heun | 1.500 (1.400 to 1.600) | 1.60 |" in text
    assert "- karras:4, from 4 to 8: `heun`, `euler`." in text
    assert max(len(line) for line in text.splitlines() if "|" not in line) <= 112
