"""Evaluation of runs, pipelines and sets of samples."""

from undrift.experiments.evaluation.asked import Evaluate
from undrift.experiments.evaluation.call import evaluate
from undrift.experiments.evaluation.drawing import Sampling
from undrift.experiments.evaluation.evaluate import run_evaluation
from undrift.experiments.evaluation.watcher import Watcher

__all__ = ["Evaluate", "Sampling", "Watcher", "evaluate", "run_evaluation"]
