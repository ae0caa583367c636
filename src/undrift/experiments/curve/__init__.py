"""Quality against cost: one model, many samplers, every number with its interval."""

from undrift.experiments.curve.asked import Curve
from undrift.experiments.curve.call import curve
from undrift.experiments.curve.run import Watcher, run_curve

__all__ = ["Curve", "Watcher", "curve", "run_curve"]
