"""The golden cases: what training, sampling and measuring give, from configurations given in full.

A case is a function of an empty folder; it returns arrays by name: uint8 images, float64 numbers or
float32 weights. None asks a recipe for anything, so that a better recipe changes none of them. What
takes more than a second is in ``benchmarks/golden.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tests.golden import driver
from tests.golden.driver import Arrays

Case = Callable[[Path], Arrays]

TRAINED = (
    *("unet", "unet_bfloat16", "transformer", "mlp", "likelihood"),
    *("r3gan", "stylegan2", "sngan", "wgan_gp", "dcgan"),
)
"""Configurations that are trained for a few steps: every network, objective, optimiser and GAN."""

DETERMINISTIC = (
    *("dpmpp_2m", "euler", "heun", "heun_edm", "dpm_2", "dpmpp_2s", "dpmpp_3m", "dpmpp_3m_kd"),
    *("unipc", "unipc_bh1", "unipc_2", "unipc_2_bh1", "deis", "deis_logrho", "ipndm", "lms"),
)
STOCHASTIC = (
    *("ddpm", "ddpm_large", "euler_ancestral", "dpm_2_ancestral", "dpmpp_2s_ancestral"),
    *("dpmpp_sde", "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde", "heun_churn"),
    *("euler_maruyama", "predictor_corrector"),
)
NUMBERED = (
    *("ddim:0.5", "dpm_2_ancestral:0.5", "dpmpp_sde:0.5", "dpmpp_2m_sde:0.5", "dpmpp_3m_sde:0.5"),
    *("euler_maruyama:0.5", "heun_churn:0.3", "predictor_corrector:0.1", "dpmpp_3m_sde:0"),
)
GRIDS = (
    *("karras", "karras:3", "log_snr", "uniform", "quadratic", "beta", "beta:0.5,0.7"),
    *("shifted", "shifted:5", "trailing", "leading"),
)
SETTINGS: dict[str, dict[str, Any]] = {
    "guidance": {"guidance": 2.0},
    "guidance below 1": {"guidance": -0.5},
    "guidance, no labels given": {"guidance": 1.5, "labels": None},
    "threshold static": {"threshold": "static"},
    "threshold dynamic": {"threshold": "dynamic:0.9", "guidance": 3.0},
    "adaptive dopri5": {"sampler": "dopri5", "tolerance": 0.05, "steps": None},
    "adaptive dpmpp": {"sampler": "dpmpp_adaptive", "tolerance": 0.05, "steps": None},
    "learned": {"sampler": "learned", "steps": 4},
    "learned by default": {"sampler": None, "steps": 3},
    "analytic first step": {"analytic_first_step": True},
    "bfloat16": {"precision": "bfloat16"},
    "times given": {"grid": [0.9, 0.1, 0.01, 0.0], "steps": None},
    "in batches, from 5 on": {"batch_size": 2, "first": 5, "sampler": "dpmpp_2m_sde"},
    "defaults": {"sampler": None, "steps": None},
}
METRICS = ("fd", "kid", "precision", "recall", "coverage", "vendi", "memorization")


def _trained(name: str, folder: Path) -> Arrays:
    driver.train(driver.configuration(name), folder / "run")
    return driver.weights(folder / "run")


def _resumed(name: str, folder: Path) -> Arrays:
    run = driver.copied(name, folder)
    driver.resume(run)
    return driver.weights(run)


def _loaded(name: str, folder: Path) -> Arrays:
    drawn = {which: driver.pipeline(name, weights=which) for which in ("ema", "raw")}
    return {which: pipeline(3, labels=[1, 4, 7]).images for which, pipeline in drawn.items()}


def _drawn(make: Callable[[], Any], settings: dict[str, Any], folder: Path) -> Arrays:
    given = {"labels": [2, 3, 5], "seed": 11, "steps": 6, "sampler": "dpmpp_2m"} | settings
    samples = make()(3, **given)
    return {"images": samples.images, "nfe": np.float64(samples.nfe)}


def _on_the_way(folder: Path) -> Arrays:
    settings = {"steps": 4, "sampler": "dpmpp_2m_sde", "trajectory": 2}
    samples = driver.denoiser()(2, labels=[6, 9], **settings)
    way = samples.trajectory
    return {"noisy": way.noisy, "denoised": way.denoised, "t": way.t, "log_snr": way.log_snr}


def _truncated(folder: Path) -> Arrays:
    draw = driver.generator()
    return {
        f"truncation {share}": draw(3, labels=[2, 3, 5], seed=4, truncation=share).images
        for share in (1.0, 0.5, 0.0)
    }


def _inpainted(make: Callable[[], Any], settings: dict[str, Any], folder: Path) -> Arrays:
    mask = np.zeros((8, 8), bool)
    mask[:, 4:] = True
    filled = make().inpaint(driver.digits()[:2], mask, variants=2, seed=3, **settings)
    return {"images": filled.images, "nfe": np.float64(filled.nfe)}


def _numbers(measure: Callable[..., dict[str, float]], settings: Any, folder: Path) -> Arrays:
    measured = measure(folder / "result", **settings)
    return {name: np.float64(value) for name, value in measured.items()}


def _cases() -> dict[str, Case]:
    made: dict[str, Case] = {f"weights/{name}": partial(_trained, name) for name in TRAINED}
    for name in ("unet", "r3gan"):
        made[f"written/{name} resumed"] = partial(_resumed, name)
        made[f"written/{name} loaded"] = partial(_loaded, name)
    ve, flow = driver.denoiser, driver.flow_denoiser
    for name in (*DETERMINISTIC, *STOCHASTIC, *NUMBERED):
        made[f"sampler/{name}"] = partial(_drawn, ve, {"sampler": name})
        made[f"sampler on flow/{name}"] = partial(
            _drawn, flow, {"sampler": name, "grid": "shifted"}
        )
    for name in GRIDS:
        made[f"grid/{name}"] = partial(_drawn, flow, {"grid": name})
    for name, settings in SETTINGS.items():
        made[f"setting/{name}"] = partial(_drawn, ve, settings)
    made["setting/trajectory"] = _on_the_way
    made["gan/truncation"] = _truncated
    repaint = {"method": "repaint", "steps": 6, "resample": 2, "jump": 2}
    paint = {"labels": [1, 2], "guidance": 1.5, "steps": 6}
    made["inpaint/moments"] = partial(_inpainted, ve, paint)
    made["inpaint/moments, stochastic"] = partial(_inpainted, ve, {"steps": 5, "sampler": "ddpm"})
    made["inpaint/repaint"] = partial(_inpainted, ve, repaint)
    search = {"iterations": 3, "candidates": 20, "restarts": 2}
    made["inpaint/gan"] = partial(_inpainted, driver.generator, search)
    pixels = {"features": "pixels", "seed": 3}
    evaluated = {"n": 64, "metrics": METRICS, "steps": 4, "sampler": "dpmpp_2m"} | pixels
    made["numbers/evaluate"] = partial(_numbers, driver.evaluation, evaluated)
    flow_of = {"method": "ode", "n": 2, "points": 4}
    for name, settings in {
        "bound": {"n": 8, "points": 8},
        "chain": {"n": 8, "points": 8, "chain": 20},
        "flow": flow_of | {"trace": "exact"},
        "flow, probed": flow_of | {"trace": "hutchinson", "probes": 2, "dequantization": "uniform"},
    }.items():
        made[f"numbers/likelihood, {name}"] = partial(_numbers, driver.likelihood, settings)
    return made


CASES = _cases()
"""Every case by its name, ``group/what``."""
