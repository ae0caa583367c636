"""Samplers as tables of numbers: read off from rules, searched for, and learned."""

from __future__ import annotations

from undrift.sampling.learned.dynamic_programming import shortest_path
from undrift.sampling.learned.refinement import Refined, errors, refine
from undrift.sampling.learned.regression import Cases, denoised_along, regress
from undrift.sampling.learned.table import Table
from undrift.sampling.learned.tabled import Tabled, follow, tables, tabulate
from undrift.sampling.learned.trajectory import Trajectory, step_costs, trace

__all__ = [
    "Cases",
    "Refined",
    "Table",
    "Tabled",
    "Trajectory",
    "denoised_along",
    "errors",
    "follow",
    "refine",
    "regress",
    "shortest_path",
    "step_costs",
    "tables",
    "tabulate",
    "trace",
]
