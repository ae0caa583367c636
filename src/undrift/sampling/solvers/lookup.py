"""Solvers by name: ours, and the names that diffusers and k-diffusion gave to the same rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from undrift.errors import UsageError
from undrift.names import plain
from undrift.sampling.adaptive import adaptive_name
from undrift.sampling.sampler_hint import sampler_hint
from undrift.sampling.solver import Solver
from undrift.sampling.solvers.churn import HeunChurn
from undrift.sampling.solvers.ddim import DDIM
from undrift.sampling.solvers.ddpm import DDPM
from undrift.sampling.solvers.deis import DEIS, DEISLogRho
from undrift.sampling.solvers.dpm_2 import DPM2
from undrift.sampling.solvers.dpmpp_2m import DPMpp2M, DPMpp2MSDE
from undrift.sampling.solvers.dpmpp_2s import DPMpp2S
from undrift.sampling.solvers.dpmpp_3m import DPMpp3M, DPMpp3MKD, DPMpp3MSDE
from undrift.sampling.solvers.dpmpp_sde import DPMppSDE
from undrift.sampling.solvers.euler import Euler
from undrift.sampling.solvers.euler_maruyama import EulerMaruyama
from undrift.sampling.solvers.heun import Heun, HeunEDM
from undrift.sampling.solvers.ipndm import IPNDM
from undrift.sampling.solvers.lms import LMS
from undrift.sampling.solvers.predictor_corrector import PredictorCorrector
from undrift.sampling.solvers.singlestep_ancestral import DPM2Ancestral, DPMpp2SAncestral
from undrift.sampling.solvers.unipc import UniPC2, UniPC3

_SOLVERS: dict[str, Solver[Any]] = {
    "dpmpp_2m": DPMpp2M(),
    "euler": Euler(),
    "heun": Heun(),
    "heun_edm": HeunEDM(),
    "dpm_2": DPM2(),
    "dpmpp_2s": DPMpp2S(),
    "dpmpp_3m": DPMpp3M(),
    "dpmpp_3m_kd": DPMpp3MKD(),
    "unipc": UniPC3("bh2"),
    "unipc_bh1": UniPC3("bh1"),
    "unipc_2": UniPC2("bh2"),
    "unipc_2_bh1": UniPC2("bh1"),
    "deis": DEIS(),
    "deis_logrho": DEISLogRho(),
    "ipndm": IPNDM(),
    "lms": LMS(),
    "ddpm": DDPM("small"),
    "ddpm_large": DDPM("large"),
    "euler_ancestral": DDIM(),
    "dpm_2_ancestral": DPM2Ancestral(),
    "dpmpp_2s_ancestral": DPMpp2SAncestral(),
    "dpmpp_sde": DPMppSDE(),
    "dpmpp_2m_sde": DPMpp2MSDE(),
    "dpmpp_2m_sde_heun": DPMpp2MSDE(mean="heun"),
    "dpmpp_3m_sde": DPMpp3MSDE(),
    "heun_churn": HeunChurn(),
    "euler_maruyama": EulerMaruyama(),
    "predictor_corrector": PredictorCorrector(),
}

SAMPLERS = tuple(_SOLVERS)
"""The names of the samplers, the default first."""

_ALIASES = {
    "ddim": "euler",
    "ddimscheduler": "euler",
    "eulerdiscretescheduler": "euler",
    "edmeulerscheduler": "euler",
    "flowmatcheulerdiscretescheduler": "euler",
    "sampleeuler": "euler",
    "heundiscretescheduler": "heun_edm",
    "sampleheun": "heun_edm",
    "kdpm2discretescheduler": "dpm_2",
    "sampledpm2": "dpm_2",
    "dpmsolver2": "dpm_2",
    "dpmsolversinglestepscheduler": "dpmpp_2s",
    "dpmsolverpp2s": "dpmpp_2s",
    "dpmsolverpp3m": "dpmpp_3m",
    "unipcmultistepscheduler": "unipc_2",
    "unipc3": "unipc",
    "unipcbh2": "unipc",
    "deistab3": "deis",
    "tab3": "deis",
    "deismultistepscheduler": "deis_logrho",
    "ipndmscheduler": "ipndm",
    "ipndm4": "ipndm",
    "pndmscheduler": "ipndm",
    "pndm": "ipndm",
    "plms": "ipndm",
    "ipndmv": "lms",
    "lmsdiscretescheduler": "lms",
    "samplelms": "lms",
    "eulera": "euler_ancestral",
    "eulerancestraldiscretescheduler": "euler_ancestral",
    "sampleeulerancestral": "euler_ancestral",
    "dpm2a": "dpm_2_ancestral",
    "kdpm2ancestraldiscretescheduler": "dpm_2_ancestral",
    "sampledpm2ancestral": "dpm_2_ancestral",
    "dpmpp2sa": "dpmpp_2s_ancestral",
    "sampledpmpp2sancestral": "dpmpp_2s_ancestral",
    "dpmsolversdescheduler": "dpmpp_sde",
    "sampledpmppsde": "dpmpp_sde",
    "sampledpmpp2msde": "dpmpp_2m_sde",
    "sampledpmpp3msde": "dpmpp_3m_sde",
    "edm": "heun_churn",
    "karrasvescheduler": "heun_churn",
    "edmchurn": "heun_churn",
    "reversesde": "euler_maruyama",
    "pc": "predictor_corrector",
    "scoresdevescheduler": "predictor_corrector",
    "scoresdevpscheduler": "euler_maruyama",
    "ancestral": "ddpm",
    "ddpmscheduler": "ddpm",
    "ddpmsmall": "ddpm",
    "dpmsolvermultistepscheduler": "dpmpp_2m",
    "edmdpmsolvermultistepscheduler": "dpmpp_2m",
    "dpmsolverpp": "dpmpp_2m",
    "dpmsolverpp2m": "dpmpp_2m",
    "dpmpp": "dpmpp_2m",
    "sampledpmpp2m": "dpmpp_2m",
}


def solver(name: str) -> Solver[Any]:
    """Return the solver called ``name``.

    Case, spaces, dashes and underscores don't matter and ``+`` is ``p``; the names of diffusers'
    schedulers and k-diffusion's samplers are understood too. A rule that has an eta, the share of
    noise that it draws anew, takes it after a colon: ``"dpmpp_2m_sde:0.5"``; so do ``heun_churn``
    its gamma, EDM's S_churn over the number of steps, and ``predictor_corrector`` its snr.

    Args:
        name: one of `SAMPLERS`, or an alias such as ``"ddim"`` or ``"DPM++ 2M"``.

    Raises:
        UsageError: for an unknown name, or a number that the rule cannot have.
    """
    rule, _, number = name.partition(":")
    if number:
        return _with_number(rule, number)
    names = {plain(ours): ours for ours in _SOLVERS} | _ALIASES
    if plain(name) in names:
        return _SOLVERS[names[plain(name)]]
    if (pair := adaptive_name(name)) is not None:
        raise UsageError(
            f"sampler {name!r} is adaptive: {pair} chooses its own steps, so it serves where no "
            "number of steps is given, as in `undrift sample --tolerance`"
        )
    choices = f"choose from {', '.join(SAMPLERS)}"
    raise UsageError(
        f"unknown sampler {name!r}: {f'{sampler_hint(name, names)} {choices}'.strip()}"
    )


def _with_number(name: str, number: str) -> Solver[Any]:
    """The rule called ``name`` with its number."""
    plain_ddim = plain(name) in ("ddim", "ddimscheduler")
    rule: Any = DDIM() if plain_ddim else solver(name)
    try:
        value = float(number)
    except ValueError:
        raise UsageError(f"sampler {name}:{number}: give a number after the colon") from None
    if rule.number is not None:
        return replace(rule, **{rule.number: value})
    raise UsageError(
        f"sampler {name}:{number}: {rule.name} has no eta; leave it out, or choose ddim, "
        "dpm_2_ancestral, dpmpp_2s_ancestral, dpmpp_sde, dpmpp_2m_sde, dpmpp_3m_sde or "
        "euler_maruyama"
    )
