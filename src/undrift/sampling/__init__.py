"""Sampling: solvers, grids, noise and guidance, and the one loop they run in."""

from __future__ import annotations

from undrift.sampling.cost import CountedDenoiser
from undrift.sampling.grids import GRIDS, grid, karras, log_snr, uniform
from undrift.sampling.guidance import ClassifierFree
from undrift.sampling.integrate import AfterStep, OnProgress, StepNoise, integrate
from undrift.sampling.noise import ImageNoise
from undrift.sampling.solver import BoundDenoise, Draw, Solver
from undrift.sampling.solvers import DDPM, SAMPLERS, DPMpp2M, Euler, Heun, solver

__all__ = [
    "DDPM",
    "GRIDS",
    "SAMPLERS",
    "AfterStep",
    "BoundDenoise",
    "ClassifierFree",
    "CountedDenoiser",
    "DPMpp2M",
    "Draw",
    "Euler",
    "Heun",
    "ImageNoise",
    "OnProgress",
    "Solver",
    "StepNoise",
    "grid",
    "integrate",
    "karras",
    "log_snr",
    "solver",
    "uniform",
]
