"""Several methods on one bench: equal data, equal length, equal measuring, many seeds."""

from undrift.experiments.compare.asked import Compare, arms_of
from undrift.experiments.compare.call import compare
from undrift.experiments.compare.cells import Arm, Setting
from undrift.experiments.compare.executor import Command, Outcome, reason_of
from undrift.experiments.compare.journal import check_same, read_json, whole_json, write_json
from undrift.experiments.compare.run import Watcher, run_comparison
from undrift.experiments.compare.summary import failures_of, has_failed
from undrift.experiments.compare.tuning import winning_settings

__all__ = [
    "Arm",
    "Command",
    "Compare",
    "Outcome",
    "Setting",
    "Watcher",
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
