"""Samplers optimised for one model."""

from undrift.evaluation.tuning.run import tune_sampler, tune_target
from undrift.evaluation.tuning.tune import TuningProgress

__all__ = ["TuningProgress", "tune_sampler", "tune_target"]
