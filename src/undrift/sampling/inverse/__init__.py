"""Inverse problems: images of which a part was measured, from a model that was never told so."""

from __future__ import annotations

from undrift.sampling.inverse.measurement import Measurement
from undrift.sampling.inverse.moments import MomentMatched
from undrift.sampling.inverse.operators import (
    Blur,
    Downsample,
    Grey,
    InModelSpace,
    Operator,
    parse_operator,
)
from undrift.sampling.inverse.posterior import PosteriorDenoiser, Rule
from undrift.sampling.inverse.repaint import RePaint, time_travel

__all__ = [
    "Blur",
    "Downsample",
    "Grey",
    "InModelSpace",
    "Measurement",
    "MomentMatched",
    "Operator",
    "PosteriorDenoiser",
    "RePaint",
    "Rule",
    "parse_operator",
    "time_travel",
]
