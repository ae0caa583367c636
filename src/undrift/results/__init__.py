"""Results of the verbs: one frozen dataclass each, returned in Python and written as JSON."""

from undrift.results.curve import BestPoint, CurvePoint, CurveResult, GuidanceResult
from undrift.results.evaluation import EvaluationResult
from undrift.results.likelihood import LikelihoodResult
from undrift.results.result import Result
from undrift.results.tuning import TuningResult

__all__ = [
    "BestPoint",
    "CurvePoint",
    "CurveResult",
    "EvaluationResult",
    "GuidanceResult",
    "LikelihoodResult",
    "Result",
    "TuningResult",
]
