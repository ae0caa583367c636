"""What every deterministic solver does at the ends of a path, and in agreement with k-diffusion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.oracle import order

from undrift.diffusion import VE, Flow, Prediction, VPCosine
from undrift.sampling import SAMPLERS, integrate, karras, log_snr, solver, uniform
from undrift.sampling.solvers.multistep import NoiseMultistep

NAMES = [name for name in SAMPLERS if not solver(name).stochastic]
GOLDEN = Path(__file__).parents[1] / "golden" / "kdiffusion" / "golden.npz"


@pytest.mark.parametrize("schedule", [VPCosine(), Flow()], ids=order.kind)
@pytest.mark.parametrize("name", sorted({*NAMES} - {"heun", "heun_edm"}))
def test_first_step_from_pure_noise(name, schedule):
    """At alpha = 0 a step is alpha_s D + sigma_s x / sigma_t, with nothing divided by alpha."""
    level_t, level_s = schedule(1.0), schedule(0.9)
    assert level_t.alpha == 0
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    denoise = order.MIXTURE.denoiser(schedule)
    rule = solver(name)
    x_s, _, prediction = rule.step(
        denoise, x, level_t, level_s, rule.start(x, schedule), order._no_noise
    )
    wanted = level_s.alpha * prediction.x0 + level_s.sigma * x / level_t.sigma
    torch.testing.assert_close(x_s, wanted, rtol=0, atol=1e-14)


def test_both_heuns_begin_alike_in_pure_noise():
    schedule, x = Flow(), torch.linspace(-2, 2, 9, dtype=torch.float64)
    ends = [
        solver(name).step(
            order.MIXTURE.denoiser(schedule), x, schedule(1.0), schedule(0.9), None, order._no_noise
        )[0]
        for name in ("heun", "heun_edm")
    ]
    assert torch.equal(*ends)


@pytest.mark.parametrize("grid", [uniform, karras, log_snr], ids=lambda grid: grid.__name__)
@pytest.mark.parametrize("schedule", order.SCHEDULES, ids=order.kind)
@pytest.mark.parametrize("name", NAMES)
def test_last_step_lands_on_the_denoised_image(name, schedule, grid):
    """At sigma = 0 the state is D exactly, in float32 too, and no step on the way is infinite."""
    seen = []

    def denoise(x, t):
        assert t > 0  # nothing is asked at sigma = 0
        prediction = order.MIXTURE.denoiser(schedule)(x, t)
        seen.append(prediction.x0)
        return prediction

    x = torch.linspace(-2, 2, 9) * schedule(1.0).sigma
    end = integrate(denoise, x, grid(schedule, 6), solver(name), schedule=schedule)
    assert end.dtype == torch.float32
    assert torch.isfinite(end).all()
    assert torch.equal(end, schedule(0.0).alpha.float() * seen[-1])


@pytest.mark.parametrize("name", NAMES)
def test_one_step_is_the_denoised_noise(name):
    def denoise(x, t):
        return Prediction(x, VE()(t), x / 7)

    x = torch.ones(2, 3)
    end = integrate(denoise, x, uniform(VE(), 1), solver(name), schedule=VE())
    assert torch.equal(end, x / 7)


@pytest.mark.parametrize("name", NAMES)
def test_declared_evaluations_are_those_made(name):
    """So many per inner step, and one in the last."""
    calls = []

    def denoise(x, t):
        calls.append(float(t))
        return Prediction(x, Flow()(t), x * 0.3)

    integrate(denoise, torch.ones(2, 3), karras(Flow(), 6), solver(name), schedule=Flow())
    assert len(calls) == solver(name).evaluations_per_step * 5 + 1
    assert calls == sorted(calls, reverse=True)


@pytest.mark.parametrize(
    "name", [name for name in NAMES if not isinstance(solver(name), NoiseMultistep)]
)
def test_a_replaced_state_is_kept(name):
    """What is done to the state between two steps counts: no rule goes back to its own version.

    (Multistep rules in the noise remember that of the state before, as they have to.)
    """
    schedule = VE()

    def denoise(x, t):
        return Prediction(x, schedule(t), torch.zeros_like(x))

    def put(x_s, t, s, prediction, draw):
        return torch.full_like(x_s, 5.0) if s == times[3] else x_s

    times = karras(schedule, 6)
    x = torch.ones(2, 3, dtype=torch.float64)
    rule = solver(name)
    end = integrate(denoise, x, times[:5], rule, schedule=schedule, after_step=put)
    # D is 0 everywhere: every rule shrinks the state in proportion to sigma, exactly.
    wanted = 5 * schedule(times[4]).sigma / schedule(times[3]).sigma
    torch.testing.assert_close(end, wanted.expand_as(end), rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("euler", "euler"),
        ("heun_edm", "heun"),
        ("dpm_2", "dpm_2"),
        ("dpmpp_2s", "dpmpp_2s"),
        ("dpmpp_2m", "dpmpp_2m"),
        ("dpmpp_3m_kd", "dpmpp_3m_sde_eta0"),
        ("lms", "lms"),
    ],
)
def test_trajectories_are_those_of_k_diffusion(name, theirs):
    """To rounding, after every step; its lms alone does not end on D (tests/golden/kdiffusion)."""
    with np.load(GOLDEN) as golden:
        times = torch.from_numpy(golden["sigmas"]) / 80
        wanted, x = torch.from_numpy(golden[theirs]), torch.from_numpy(golden["x"])
    states = []

    def keep(x_s, t, s, prediction, draw):
        states.append(x_s)
        return x_s

    denoise = order.MIXTURE.denoiser(VE())
    integrate(denoise, x, times, solver(name), schedule=VE(), after_step=keep)
    shared = len(states) - (name == "lms")
    assert shared >= 11
    for ours, state in zip(states[:shared], wanted[:shared], strict=True):
        torch.testing.assert_close(ours, state, rtol=1e-12, atol=1e-12 * float(state.abs().max()))
