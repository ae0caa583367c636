"""Samplers tuned to one model."""

from undrift.experiments.tuning.call import tune_sampler
from undrift.experiments.tuning.run import TuneSampler, run_tuning
from undrift.experiments.tuning.tune import Watcher

__all__ = ["TuneSampler", "Watcher", "run_tuning", "tune_sampler"]
