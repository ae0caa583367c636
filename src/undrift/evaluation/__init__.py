"""Evaluation of runs, pipelines and sets of samples."""

from undrift.evaluation.drawing import Sampling
from undrift.evaluation.evaluate import EvaluationProgress, evaluate, evaluate_target

__all__ = ["EvaluationProgress", "Sampling", "evaluate", "evaluate_target"]
