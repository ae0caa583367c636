"""Results of the verbs: one frozen dataclass each, returned in Python and written as JSON."""

from undrift.results.claims import ClaimsResult
from undrift.results.comparison import ComparisonResult, FailedRun, MeasuredRun, read_comparison
from undrift.results.curve import BestPoint, CurvePoint, CurveResult, GuidanceResult
from undrift.results.evaluation import EvaluationResult
from undrift.results.likelihood import LikelihoodResult
from undrift.results.result import Result
from undrift.results.self_calibration import SelfCalibrationResult
from undrift.results.tuning import TuningResult
from undrift.results.verdict import ClaimResult, Contrast

__all__ = [
    "BestPoint",
    "ClaimResult",
    "ClaimsResult",
    "ComparisonResult",
    "Contrast",
    "CurvePoint",
    "CurveResult",
    "EvaluationResult",
    "FailedRun",
    "GuidanceResult",
    "LikelihoodResult",
    "MeasuredRun",
    "Result",
    "SelfCalibrationResult",
    "TuningResult",
    "read_comparison",
]
