"""Solvers by name: ours, and the names that diffusers and k-diffusion gave to the same rules."""

from __future__ import annotations

import difflib
from typing import Any

from undrift.errors import UsageError
from undrift.sampling.solver import Solver
from undrift.sampling.solvers.ddpm import DDPM
from undrift.sampling.solvers.dpmpp import DPMpp2M
from undrift.sampling.solvers.euler import Euler
from undrift.sampling.solvers.heun import Heun

_SOLVERS: dict[str, Solver[Any]] = {
    "dpmpp_2m": DPMpp2M(),
    "euler": Euler(),
    "heun": Heun(),
    "ddpm": DDPM("small"),
    "ddpm_large": DDPM("large"),
}

SAMPLERS = tuple(_SOLVERS)
"""The names of the samplers, the default first."""

_ALIASES = {
    "ddim": "euler",
    "ddimscheduler": "euler",
    "eulerdiscretescheduler": "euler",
    "sampleeuler": "euler",
    "heundiscretescheduler": "heun",
    "sampleheun": "heun",
    "ancestral": "ddpm",
    "ddpmscheduler": "ddpm",
    "ddpmsmall": "ddpm",
    "dpmsolvermultistepscheduler": "dpmpp_2m",
    "dpmsolverpp": "dpmpp_2m",
    "dpmsolverpp2m": "dpmpp_2m",
    "dpmpp": "dpmpp_2m",
    "sampledpmpp2m": "dpmpp_2m",
}


def solver(name: str) -> Solver[Any]:
    """Return the solver called ``name``.

    Case, spaces, dashes and underscores don't matter and ``+`` is ``p``; the names of diffusers'
    schedulers and k-diffusion's samplers are understood too.

    Args:
        name: one of `SAMPLERS`, or an alias such as ``"ddim"`` or ``"DPM++ 2M"``.

    Raises:
        UsageError: for an unknown name.
    """
    plain = _plain(name)
    names = {_plain(ours): ours for ours in _SOLVERS} | _ALIASES
    if plain in names:
        return _SOLVERS[names[plain]]
    near = difflib.get_close_matches(plain, names, n=1)
    hint = f"did you mean {names[near[0]]!r}? " if near else ""
    raise UsageError(f"unknown sampler {name!r}: {hint}choose from {', '.join(SAMPLERS)}")


def _plain(name: str) -> str:
    return "".join(c for c in name.lower().replace("+", "p") if c.isalnum())
