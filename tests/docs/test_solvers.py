"""The table of solvers says what the solvers declare, of each of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from undrift.sampling import SAMPLERS, solver

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "solvers.md"
ROW = re.compile(r"^\| `(\w+)` \| (\d) \| (\d) \| (\d) \| (yes|no) \| [^|]+ \|([^|]*)\|$", re.M)
ROWS = {row[0]: row[1:] for row in ROW.findall(PAGE.read_text())}


def test_the_table_has_all_solvers():
    assert tuple(ROWS) == SAMPLERS


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_row_says_what_is_declared(name):
    rule = solver(name)
    order, started, evaluations, noise, _ = ROWS[name]
    assert (int(order), int(started)) == (rule.order, rule.order_as_started)
    assert int(evaluations) == rule.evaluations_per_step
    assert (noise == "yes") == rule.stochastic


@pytest.mark.parametrize("name", SAMPLERS)
def test_its_other_names_lead_to_it(name):
    for other in re.findall(r"`(\w+)`", ROWS[name][-1]):
        if other != "dpmpp_3m_sde":  # k-diffusion's, which here has noise
            assert solver(other) == solver(name), other
