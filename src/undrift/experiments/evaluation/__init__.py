"""Evaluation of runs, pipelines and sets of samples."""

from undrift.experiments.evaluation.call import evaluate
from undrift.experiments.evaluation.drawing import Sampling
from undrift.experiments.evaluation.evaluate import Evaluate, Watcher, run_evaluation

__all__ = ["Evaluate", "Sampling", "Watcher", "evaluate", "run_evaluation"]
