"""Where a sampler evaluates the denoiser: grids of falling times that end exactly at t = 0."""

from __future__ import annotations

from undrift.sampling.grids.chain import leading, trailing
from undrift.sampling.grids.explicit import from_ratios, from_times
from undrift.sampling.grids.lookup import GRIDS, grid, parse_grid
from undrift.sampling.grids.ratio import karras, log_snr
from undrift.sampling.grids.time import beta, quadratic, shifted, uniform

__all__ = [
    "GRIDS",
    "beta",
    "from_ratios",
    "from_times",
    "grid",
    "karras",
    "leading",
    "log_snr",
    "parse_grid",
    "quadratic",
    "shifted",
    "trailing",
    "uniform",
]
