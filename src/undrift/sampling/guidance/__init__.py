"""Guidance: denoiser in, denoiser out; it knows no solver."""

from __future__ import annotations

from undrift.sampling.guidance.autoguidance import Autoguidance
from undrift.sampling.guidance.classifier import ClassifierGuided, LogProbability
from undrift.sampling.guidance.classifier_free import ClassifierFree
from undrift.sampling.guidance.composed import Composed
from undrift.sampling.guidance.extrapolation import Scale, check_scale, check_share
from undrift.sampling.guidance.interval import WithinInterval, check_interval

__all__ = [
    "Autoguidance",
    "ClassifierFree",
    "ClassifierGuided",
    "Composed",
    "LogProbability",
    "Scale",
    "WithinInterval",
    "check_interval",
    "check_scale",
    "check_share",
]
