"""Comparison of several methods: equal data, equal compute, the same metrics, many seeds."""

from undrift.comparison.executor import Command, Executor, Job, Outcome
from undrift.comparison.methods import Method
from undrift.comparison.run import ComparisonProgress, compare, run_comparison
from undrift.comparison.settings import Compare, recipes_of

__all__ = [
    "Command",
    "Compare",
    "ComparisonProgress",
    "Executor",
    "Job",
    "Method",
    "Outcome",
    "compare",
    "recipes_of",
    "run_comparison",
]
