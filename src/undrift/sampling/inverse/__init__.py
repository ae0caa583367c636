"""Inverse problems: images of which a part was measured, from a model that was never told so."""

from __future__ import annotations

from undrift.sampling.inverse.measurement import Measurement
from undrift.sampling.inverse.moments import MomentMatched
from undrift.sampling.inverse.repaint import RePaint, time_travel

__all__ = ["Measurement", "MomentMatched", "RePaint", "time_travel"]
