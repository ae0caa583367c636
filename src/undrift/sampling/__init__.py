"""Sampling: solvers, grids, noise and guidance, and the one loop they run in."""

from __future__ import annotations

from undrift.sampling.adaptive import ADAPTIVE, AdaptiveResult, adaptive_name, integrate_adaptive
from undrift.sampling.brownian import BrownianPaths
from undrift.sampling.cost import CountedDenoiser
from undrift.sampling.draw import StepNoise
from undrift.sampling.first_step import AnalyticFirstStep
from undrift.sampling.grids import (
    GRIDS,
    beta,
    from_ratios,
    from_times,
    grid,
    karras,
    leading,
    log_snr,
    parse_grid,
    quadratic,
    shifted,
    trailing,
    uniform,
)
from undrift.sampling.guidance import (
    Autoguidance,
    ClassifierFree,
    ClassifierGuided,
    Composed,
    WithinInterval,
)
from undrift.sampling.integrate import AfterStep, integrate
from undrift.sampling.noise import ImageNoise
from undrift.sampling.progress import OnStep, StepDone
from undrift.sampling.solver import BoundDenoise, Draw, Solver
from undrift.sampling.solvers import DDPM, SAMPLERS, DPMpp2M, Euler, Heun, solver

__all__ = [
    "ADAPTIVE",
    "DDPM",
    "GRIDS",
    "SAMPLERS",
    "AdaptiveResult",
    "AfterStep",
    "AnalyticFirstStep",
    "Autoguidance",
    "BoundDenoise",
    "BrownianPaths",
    "ClassifierFree",
    "ClassifierGuided",
    "Composed",
    "CountedDenoiser",
    "DPMpp2M",
    "Draw",
    "Euler",
    "Heun",
    "ImageNoise",
    "OnStep",
    "Solver",
    "StepDone",
    "StepNoise",
    "WithinInterval",
    "adaptive_name",
    "beta",
    "from_ratios",
    "from_times",
    "grid",
    "integrate",
    "integrate_adaptive",
    "karras",
    "leading",
    "log_snr",
    "parse_grid",
    "quadratic",
    "shifted",
    "solver",
    "trailing",
    "uniform",
]
