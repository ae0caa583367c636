"""Likelihood of a data set under runs and pipelines."""

from undrift.evaluation.likelihood.call import bits_per_dim
from undrift.evaluation.likelihood.likelihood import Likelihood, Watcher, run_likelihood

__all__ = ["Likelihood", "Watcher", "bits_per_dim", "run_likelihood"]
