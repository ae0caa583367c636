"""Quality of one model against the cost of sampling, sampler by sampler."""

from undrift.evaluation.curve.run import CurveProgress, curve, measure_curve

__all__ = ["CurveProgress", "curve", "measure_curve"]
