"""The mathematics of diffusion: paths, predictions, denoisers, objectives and exact oracles."""

from __future__ import annotations

from undrift.diffusion.class_mixture import ClassMixture
from undrift.diffusion.classifier import NoisyClassifier
from undrift.diffusion.denoiser import Denoise, Denoiser
from undrift.diffusion.log_snr_schedule import LogSNR
from undrift.diffusion.markov import MarkovChain
from undrift.diffusion.mixture import GaussianMixture, MixtureDenoiser
from undrift.diffusion.noise_levels import LogitNormal, LogNormal, NoiseLevels, Uniform
from undrift.diffusion.objective import DenoisingObjective, Losses, Objective
from undrift.diffusion.parameterization import (
    EPSILON,
    FLOW,
    X0,
    Parameterization,
    V,
    edm,
    parameterization,
)
from undrift.diffusion.paths import Schedule
from undrift.diffusion.prediction import Prediction
from undrift.diffusion.schedule import VE, Flow, Level, NoiseSchedule, VPCosine, VPLinear
from undrift.diffusion.sde import SDE
from undrift.diffusion.sub_vp import SubVP
from undrift.diffusion.weighting import SNR, EDMWeight, MinSNR, Unit, Weighting

__all__ = [
    "EPSILON",
    "FLOW",
    "SDE",
    "SubVP",
    "SNR",
    "VE",
    "X0",
    "ClassMixture",
    "Denoise",
    "Denoiser",
    "DenoisingObjective",
    "EDMWeight",
    "Flow",
    "GaussianMixture",
    "Level",
    "LogSNR",
    "LogNormal",
    "LogitNormal",
    "Losses",
    "MarkovChain",
    "MinSNR",
    "MixtureDenoiser",
    "NoiseLevels",
    "NoiseSchedule",
    "NoisyClassifier",
    "Objective",
    "Parameterization",
    "Prediction",
    "Schedule",
    "Uniform",
    "Unit",
    "V",
    "VPCosine",
    "VPLinear",
    "Weighting",
    "edm",
    "parameterization",
]
