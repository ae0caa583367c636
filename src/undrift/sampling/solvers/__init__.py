"""Step rules, one per file, and their look-up by name."""

from __future__ import annotations

from undrift.sampling.solvers.ddpm import DDPM
from undrift.sampling.solvers.dpmpp import DPMpp2M
from undrift.sampling.solvers.euler import Euler
from undrift.sampling.solvers.heun import Heun
from undrift.sampling.solvers.lookup import SAMPLERS, solver

__all__ = ["DDPM", "SAMPLERS", "DPMpp2M", "Euler", "Heun", "solver"]
