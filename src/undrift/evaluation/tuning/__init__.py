"""Samplers tuned to one model."""

from undrift.evaluation.tuning.call import tune_sampler
from undrift.evaluation.tuning.run import TuneSampler, run_tuning
from undrift.evaluation.tuning.tune import Watcher

__all__ = ["TuneSampler", "Watcher", "run_tuning", "tune_sampler"]
