"""Stochastic solvers: what they cost and draw is what they declare; their names and their eta."""

from __future__ import annotations

import pytest
import torch

from undrift.diffusion import Flow, Prediction
from undrift.errors import UsageError
from undrift.sampling import DDPM, SAMPLERS, Euler, ImageNoise, integrate, karras, solver
from undrift.sampling.solvers import (
    DDIM,
    DPMpp2MSDE,
    DPMpp3MSDE,
    DPMppSDE,
    EulerMaruyama,
    HeunChurn,
    PredictorCorrector,
)

STOCHASTIC = [name for name in SAMPLERS if solver(name).stochastic]


@pytest.mark.parametrize("name", STOCHASTIC)
def test_declared_facts_are_what_happens(name):
    rule, calls, drawn = solver(name), [], []

    def denoise(x, t):
        calls.append(float(t))
        return Prediction(x, Flow()(t), x / 3)

    class Counted(ImageNoise):
        def step(self, k, shape, purpose="step"):
            drawn.append(purpose)
            return super().step(k, shape, purpose)

        def brownian(self, level_t, level_s, shape, device="cpu"):
            drawn.append("brownian")
            return super().brownian(level_t, level_s, shape, device)

    x, steps, noise = torch.ones(2, 3), 6, Counted(0, range(2))
    integrate(denoise, x, karras(Flow(), steps), rule, schedule=Flow(), noise=noise)
    assert len(calls) == rule.evaluations_per_step * (steps - 1) + 1
    assert drawn
    assert rule.order_as_started == rule.order


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("euler a", DDIM()),
        ("EulerAncestralDiscreteScheduler", DDIM()),
        ("DPM++ SDE", DPMppSDE()),
        ("DPMSolverSDEScheduler", DPMppSDE()),
        ("DPM++ 2M SDE", DPMpp2MSDE()),
        ("sample_dpmpp_2m_sde", DPMpp2MSDE()),
        ("dpmpp_2m_sde_heun", DPMpp2MSDE(mean="heun")),
        ("sample_dpmpp_3m_sde", DPMpp3MSDE()),
        ("edm", HeunChurn()),
        ("Euler-Maruyama", EulerMaruyama()),
        ("ScoreSdeVeScheduler", PredictorCorrector()),
        ("DDIM", Euler()),
        ("ancestral", DDPM("small")),
    ],
)
def test_names_from_elsewhere_are_understood(name, made):
    assert solver(name) == made


def test_an_eta_follows_a_colon():
    assert solver("ddim:0.5") == DDIM(eta=0.5)
    assert solver("DPM++ 2M SDE:0") == DPMpp2MSDE(eta=0.0)
    assert solver("dpmpp_2m_sde_heun:0.3") == DPMpp2MSDE(eta=0.3, mean="heun")


def test_other_rules_have_other_numbers():
    assert solver("heun_churn:0.3") == HeunChurn(gamma=0.3)
    assert solver("pc:0.1") == PredictorCorrector(snr=0.1)
    with pytest.raises(UsageError, match="between 0 and sqrt"):
        solver("edm:0.5")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("heun:0.5", "heun has no eta"),
        ("ddim:much", "give a number after the colon"),
        ("ddim:2", "between 0 and 1"),
        ("dpmpp_2m_sdx:0.5", "did you mean 'dpmpp_2m_sde'"),
    ],
)
def test_an_eta_that_cannot_be_is_refused(name, message):
    with pytest.raises(UsageError, match=message):
        solver(name)


@pytest.mark.parametrize("name", STOCHASTIC)
def test_missing_noise_is_an_error(name):
    def denoise(x, t):
        return Prediction(x, Flow()(t), x / 3)

    with pytest.raises(UsageError, match="noise=ImageNoise"):
        integrate(denoise, torch.ones(2, 3), karras(Flow(), 9), solver(name), schedule=Flow())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_path_has_the_same_bits_on_a_gpu():
    noise, schedule = ImageNoise(5, range(16)), Flow()
    for t, s in ((1.0, 0.7), (0.7, 0.6), (0.1, 0.0)):
        drawn = noise.brownian(schedule(t), schedule(s), (3, 8, 8), "cuda")
        assert torch.equal(drawn.cpu(), noise.brownian(schedule(t), schedule(s), (3, 8, 8)))
