"""Comparison of several methods: equal data, equal compute, the same metrics, many seeds."""

from undrift.comparison.cells import Arm, Setting
from undrift.comparison.executor import Command, Outcome, reason_of
from undrift.comparison.journal import check_same, read_json, whole_json, write_json
from undrift.comparison.run import ComparisonProgress, compare, run_comparison
from undrift.comparison.settings import Compare, arms_of
from undrift.comparison.summary import failures_of, has_failed
from undrift.comparison.tuning import winning_settings

__all__ = [
    "Arm",
    "Command",
    "Compare",
    "ComparisonProgress",
    "Outcome",
    "Setting",
    "arms_of",
    "check_same",
    "compare",
    "failures_of",
    "has_failed",
    "read_json",
    "reason_of",
    "run_comparison",
    "whole_json",
    "winning_settings",
    "write_json",
]
