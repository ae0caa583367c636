"""Quality against cost: one model, many samplers, every number with its interval."""

from undrift.evaluation.curve.asked import Curve
from undrift.evaluation.curve.call import curve
from undrift.evaluation.curve.run import Watcher, run_curve

__all__ = ["Curve", "Watcher", "curve", "run_curve"]
