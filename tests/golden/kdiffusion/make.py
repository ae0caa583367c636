"""Makes golden.npz: trajectories of k-diffusion's samplers with an exact denoiser, in float64.

    pip install --no-deps --target FOLDER k-diffusion==0.1.1.post1
    python tests/golden/kdiffusion/make.py FOLDER

k-diffusion imports torchvision, torchsde and more where it is imported as a whole. Its samplers
need none of them: stand-ins are put in their place, in this script alone.

What the file holds, for N = 12 steps and 8 numbers:

    sigmas (N + 1,), x (8,)                the grid, Karras's with 0 at its end, and the start
    noise (N, 8), half (N, 8)              for a step's whole length, and for its first half
    NAME (N, 8)                            the state after each step
"""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from undrift.diffusion import GaussianMixture, Level

STEPS, COUNT = 12, 8
CHURN = {"s_churn": 4.0, "s_tmin": 0.05, "s_tmax": 50.0, "s_noise": 1.003}
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "euler": ("euler", {}),
    "heun": ("heun", {}),
    "heun_churn": ("heun", CHURN),
    "dpm_2": ("dpm_2", {}),
    "lms": ("lms", {}),
    "euler_ancestral": ("euler_ancestral", {"eta": 1.0}),
    "dpmpp_2s": ("dpmpp_2s_ancestral", {"eta": 0.0}),
    "dpmpp_2m": ("dpmpp_2m", {}),
    "dpmpp_sde_eta0": ("dpmpp_sde", {"eta": 0.0}),
    "dpmpp_sde": ("dpmpp_sde", {"eta": 1.0}),
    "dpmpp_2m_sde_eta0": ("dpmpp_2m_sde", {"eta": 0.0}),
    "dpmpp_2m_sde": ("dpmpp_2m_sde", {"eta": 1.0, "s_noise": 1.01}),
    "dpmpp_2m_sde_heun": ("dpmpp_2m_sde", {"eta": 0.5, "solver_type": "heun"}),
    "dpmpp_3m_sde_eta0": ("dpmpp_3m_sde", {"eta": 0.0}),
    "dpmpp_3m_sde": ("dpmpp_3m_sde", {"eta": 1.0}),
}


def main(folder: str) -> None:
    sampling = samplers_of(folder)
    # The mixture of tests/oracle/order.py.
    mixture = GaussianMixture([-1.2, 0.3, 1.1], [0.3, 0.25, 0.35], [0.3, 0.5, 0.2])

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        one, zero = torch.ones_like(sigma), torch.zeros_like(sigma)
        return mixture.posterior_mean(x, Level(sigma / 80, one, sigma, zero, 80 * one))

    ramp = torch.linspace(0, 1, STEPS, dtype=torch.float64)
    top, bottom = 80 ** (1 / 7), 0.002 ** (1 / 7)
    sigmas = torch.cat([(top + ramp * (bottom - top)) ** 7, torch.zeros(1, dtype=torch.float64)])
    made = torch.Generator().manual_seed(0)
    noise, half = torch.randn(2, STEPS, COUNT, generator=made, dtype=torch.float64)
    x = 80 * torch.linspace(-1.7, 2.0, COUNT, dtype=torch.float64)

    def injected(sigma: Tensor, sigma_next: Tensor) -> Tensor:
        k = int((sigmas - sigma).abs().argmin())
        whole = torch.isclose(sigma_next, sigmas[k + 1], rtol=1e-9, atol=0)
        return noise[k] if whole else half[k]

    kept = {"sigmas": sigmas, "x": x, "noise": noise, "half": half}
    for name, (sampler, settings) in RUNS.items():
        states: list[Tensor] = []
        drawn = iter(noise)
        if "eta" in settings:
            settings = {**settings, "noise_sampler": injected}
        with mock.patch.object(sampling.torch, "randn_like", lambda _, drawn=drawn: next(drawn)):
            end = getattr(sampling, f"sample_{sampler}")(
                model,
                x,
                sigmas,
                disable=True,
                callback=lambda now, states=states: states.append(now["x"]),
                **settings,
            )
        # A churned state is reported after its noise was added: only the end is comparable.
        kept[name] = end[None] if name == "heun_churn" else torch.stack([*states[1:], end])
    arrays = {key: value.numpy() for key, value in kept.items()}
    np.savez_compressed(Path(__file__).with_name("golden.npz"), **arrays)


def samplers_of(folder: str) -> types.ModuleType:
    """Import k_diffusion/sampling.py from ``folder`` without what it does not need."""
    for absent in ("torchsde", "torchvision", "torchvision.transforms"):
        sys.modules[absent] = mock.MagicMock()
    package = types.ModuleType("k_diffusion")
    package.__path__ = [str(Path(folder) / "k_diffusion")]  # its __init__ is not run
    sys.modules["k_diffusion"] = package
    return importlib.import_module("k_diffusion.sampling")


if __name__ == "__main__":
    main(sys.argv[1])
