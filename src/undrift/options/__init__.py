"""Options of the verbs: one frozen dataclass each, read by the command line and by Python.

An option's name, default, bounds and help stand here and nowhere else. Errors name parameters; a
command line shows them as its flags (`undrift.advice.named`). This package loads no torch.
"""

from undrift.options.adapt import AdaptOptions, AdaptSources
from undrift.options.claims import ClaimsOptions
from undrift.options.compare import CompareOptions, CompareSources
from undrift.options.curve import CurveOptions, CurveSources
from undrift.options.distill import DistillOptions, DistillSources
from undrift.options.evaluate import EvaluateOptions, EvaluateSources
from undrift.options.likelihood import LikelihoodOptions, LikelihoodSources
from undrift.options.options import FeatureOptions, Split
from undrift.options.train import TrainOptions, TrainSources
from undrift.options.tuning import TuningOptions, TuningSources

__all__ = [
    "AdaptOptions",
    "AdaptSources",
    "ClaimsOptions",
    "CompareOptions",
    "CompareSources",
    "CurveOptions",
    "CurveSources",
    "DistillOptions",
    "DistillSources",
    "EvaluateOptions",
    "EvaluateSources",
    "FeatureOptions",
    "LikelihoodOptions",
    "LikelihoodSources",
    "Split",
    "TrainOptions",
    "TrainSources",
    "TuningOptions",
    "TuningSources",
]
