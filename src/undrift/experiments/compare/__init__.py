"""Several methods on one bench: equal data, equal length, equal measuring, many seeds."""

from undrift.experiments.compare.asked import Compare
from undrift.experiments.compare.call import compare
from undrift.experiments.compare.run import Watcher, run_comparison

__all__ = ["Compare", "Watcher", "compare", "run_comparison"]
