"""Step rules, one per file, and their look-up by name."""

from __future__ import annotations

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
from undrift.sampling.solvers.lookup import SAMPLERS, solver
from undrift.sampling.solvers.predictor_corrector import PredictorCorrector
from undrift.sampling.solvers.singlestep_ancestral import DPM2Ancestral, DPMpp2SAncestral
from undrift.sampling.solvers.unipc import UniPC2, UniPC3

__all__ = [
    "DDIM",
    "DPM2Ancestral",
    "DPMpp2MSDE",
    "DPMpp2SAncestral",
    "DPMpp3MSDE",
    "DPMppSDE",
    "EulerMaruyama",
    "HeunChurn",
    "PredictorCorrector",
    "DDPM",
    "DEIS",
    "DPM2",
    "IPNDM",
    "LMS",
    "SAMPLERS",
    "DEISLogRho",
    "DPMpp2M",
    "DPMpp2S",
    "DPMpp3M",
    "DPMpp3MKD",
    "Euler",
    "Heun",
    "HeunEDM",
    "UniPC2",
    "UniPC3",
    "solver",
]
