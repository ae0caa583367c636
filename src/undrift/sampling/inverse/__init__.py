"""Inverse problems: images of which a part was measured, sampled with an unconditional model."""

from __future__ import annotations

from undrift.sampling.inverse.inversion import Inverted, invert, near
from undrift.sampling.inverse.measurement import Measurement
from undrift.sampling.inverse.moments import MomentMatched
from undrift.sampling.inverse.operators import (
    Blur,
    Downsample,
    Grey,
    InModelSpace,
    Mask,
    Operator,
    OwnOperator,
    Projections,
    Quantise,
    measured,
    parse_operator,
)
from undrift.sampling.inverse.posterior import PosteriorDenoiser, Rule
from undrift.sampling.inverse.repaint import RePaint, time_travel
from undrift.sampling.inverse.self_calibration import Uniformity, ranks, uniformity

__all__ = [
    "Blur",
    "Downsample",
    "Grey",
    "InModelSpace",
    "Inverted",
    "Mask",
    "Measurement",
    "MomentMatched",
    "Operator",
    "PosteriorDenoiser",
    "OwnOperator",
    "Projections",
    "Quantise",
    "RePaint",
    "Rule",
    "Uniformity",
    "invert",
    "measured",
    "near",
    "parse_operator",
    "ranks",
    "time_travel",
    "uniformity",
]
