"""Likelihood of a data set under runs and pipelines."""

from undrift.experiments.likelihood.call import bits_per_dim
from undrift.experiments.likelihood.likelihood import Likelihood, Watcher, run_likelihood

__all__ = ["Likelihood", "Watcher", "bits_per_dim", "run_likelihood"]
