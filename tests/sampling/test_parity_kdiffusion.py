"""Our rules take k-diffusion's steps: same denoiser, same grid, same noise.

``tests/golden/kdiffusion/make.py`` made the golden trajectories with k-diffusion itself.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.oracle import order
from tests.oracle.mutation import mutated

from undrift.diffusion import VE
from undrift.sampling import DPMpp2M, Euler, integrate
from undrift.sampling.solvers import (
    DDIM,
    DPM2,
    LMS,
    DPMpp2MSDE,
    DPMpp2S,
    DPMpp3MKD,
    DPMpp3MSDE,
    DPMppSDE,
    HeunChurn,
    HeunEDM,
    dpmpp_3m,
)

FILE = Path(__file__).parents[1] / "golden" / "kdiffusion" / "golden.npz"
CHURN = {"s_min": 0.05, "s_max": 50.0, "s_noise": 1.003}


@pytest.fixture(scope="module")
def golden():
    with np.load(FILE) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


class Injected:
    """The golden file's noise: ``half`` for the first half of a step, ``noise`` for all of it."""

    def __init__(self, golden):
        self.golden = golden

    def step(self, k, shape, purpose):
        return self.golden["noise"][k]

    def brownian(self, level_t, level_s, shape, device):
        sigmas = self.golden["sigmas"]
        k = int((sigmas - level_t.sigma).abs().argmin())
        whole = torch.isclose(level_s.sigma, sigmas[k + 1], rtol=1e-9, atol=0)
        return self.golden["noise" if whole else "half"][k]


def trajectory(rule, golden):
    """The states after each step, (N, 8)."""
    schedule, states = VE(), []

    def after_step(x_s, t, s, prediction, draw):
        states.append(x_s)
        return x_s

    integrate(
        order.MIXTURE.denoiser(schedule),
        golden["x"],
        golden["sigmas"] / 80,
        rule,
        schedule=schedule,
        noise=Injected(golden),
        after_step=after_step,
    )
    return torch.stack(states)


def agrees(rule, name, golden):
    made = trajectory(rule, golden)
    made = made[-1:] if len(golden[name]) == 1 else made
    return torch.allclose(made, golden[name], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (Euler(), "euler"),
        (HeunEDM(), "heun"),
        (HeunChurn.of(4.0, 12, **CHURN), "heun_churn"),
        (DPM2(), "dpm_2"),
        (DDIM(), "euler_ancestral"),
        (DPMpp2S(), "dpmpp_2s"),
        (DPMpp2M(), "dpmpp_2m"),
        (DPMpp3MKD(), "dpmpp_3m_sde_eta0"),
        (DPMppSDE(eta=0.0), "dpmpp_sde_eta0"),
        (DPMppSDE(), "dpmpp_sde"),
        (DPMpp2MSDE(eta=0.0), "dpmpp_2m_sde_eta0"),
        (DPMpp2MSDE(s_noise=1.01), "dpmpp_2m_sde"),
        (DPMpp2MSDE(eta=0.5, mean="heun"), "dpmpp_2m_sde_heun"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_rule_takes_k_diffusions_steps(rule, name, golden):
    assert agrees(rule, name, golden)


def test_lms_differs_in_the_last_step_alone(golden):
    """Ours is Euler's, which lands on D; theirs carries the polynomial on to sigma = 0."""
    made = trajectory(LMS(), golden)
    torch.testing.assert_close(made[:-1], golden["lms"][:-1], rtol=1e-9, atol=1e-12)
    assert not torch.allclose(made[-1], golden["lms"][-1], rtol=1e-7, atol=0)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_dpmpp_3m_sde_differs_by_the_factor_2_alone(eta, golden):
    name = "dpmpp_3m_sde" if eta else "dpmpp_3m_sde_eta0"
    whole = "curvature: ClassVar[float] = 1.0"
    theirs = mutated(dpmpp_3m, whole, whole.replace("1.0", "0.5")).DPMpp3MSDE(eta=eta)
    assert agrees(theirs, name, golden)
    assert not agrees(DPMpp3MSDE(eta=eta), name, golden)


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (HeunEDM(), "euler"),
        (HeunChurn.of(3.0, 12, **CHURN), "heun_churn"),
        (HeunChurn.of(4.0, 12, **(CHURN | {"s_min": 5.0})), "heun_churn"),
        (HeunChurn.of(4.0, 12, **(CHURN | {"s_noise": 1.0})), "heun_churn"),
        (DDIM(eta=0.9), "euler_ancestral"),
        (DPMpp2MSDE(), "dpmpp_2m_sde"),
        (DPMpp2MSDE(eta=0.5), "dpmpp_2m_sde_heun"),
    ],
)
def test_another_rule_or_setting_does_not(rule, name, golden):
    assert not agrees(rule, name, golden)


def test_the_grid_is_karrass(golden):
    sigmas = golden["sigmas"]
    assert sigmas[-1] == 0
    assert all(one > other for one, other in pairwise(sigmas))
