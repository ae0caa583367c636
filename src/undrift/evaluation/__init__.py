"""Evaluation of runs, pipelines and sets of samples."""

from undrift.evaluation.asked import Evaluate
from undrift.evaluation.call import evaluate
from undrift.evaluation.drawing import Sampling
from undrift.evaluation.evaluate import run_evaluation
from undrift.evaluation.watcher import Watcher

__all__ = ["Evaluate", "Sampling", "Watcher", "evaluate", "run_evaluation"]
