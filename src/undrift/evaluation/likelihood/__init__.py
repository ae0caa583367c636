"""Likelihood of images under runs and pipelines."""

from undrift.evaluation.likelihood.run import (
    LikelihoodProgress,
    bits_per_dim,
    measure_likelihood,
)

__all__ = ["LikelihoodProgress", "bits_per_dim", "measure_likelihood"]
