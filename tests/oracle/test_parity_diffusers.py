"""One denoiser, one grid: the solvers that diffusers has as well give what its schedulers give.

An optional group: `pip install -e '.[diffusers]'` makes it run. Every scheduler is handed our
noise levels in place of its own, so that the rules alone are compared.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from tests.oracle import order

from undrift.diffusion import VPLinear
from undrift.sampling import integrate, karras, solver
from undrift.sampling.solvers import DPMpp3MKD, UniPC2, UniPC3
from undrift.sampling.solvers.deis import DEISLogRho

diffusers = pytest.importorskip(
    "diffusers", reason="no parity with diffusers is tested: the extra `diffusers` is not installed"
)

SCHEDULE = VPLinear()
DENOISE = order.MIXTURE.denoiser(SCHEDULE)
STEPS = 20  # from 15 on diffusers keeps its order in the last steps
START = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
TO_ZERO = karras(SCHEDULE, STEPS)
ABOVE_ZERO = karras(SCHEDULE, STEPS + 1)[:-1]


class TwoTerms(DEISLogRho):
    terms = 2


def ours(rule, times):
    # a column, because diffusers' UniPC wants a dimension beside the batch's
    def denoise(x, t):
        prediction = DENOISE(x[:, 0], t)
        return type(prediction)(x, prediction.level, prediction.x0[:, None])

    return integrate(denoise, START, times, rule, schedule=SCHEDULE)


def theirs(name, times, **settings):
    """Run a scheduler of diffusers on our noise levels, with the exact noise for its network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = getattr(diffusers, name)(**settings)
        scheduler.set_timesteps(STEPS)
    levels = SCHEDULE(times)
    scheduler.sigmas = levels.sigma / levels.alpha
    x = START
    for k, timestep in enumerate(scheduler.timesteps):
        x0 = DENOISE(x[:, 0], times[k]).x0[:, None]
        noise = (x - levels.alpha[k] * x0) / levels.sigma[k]
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            x = scheduler.step(noise, timestep, x).prev_sample
    return x


def check(mine, other, tolerance=1e-9):
    torch.testing.assert_close(mine, other.double(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("variant", ["bh1", "bh2"])
@pytest.mark.parametrize(("rule", "count"), [(UniPC2, 2), (UniPC3, 3)])
def test_unipc(rule, count, variant):
    settings = {"solver_order": count, "solver_type": variant, "lower_order_final": False}
    other = theirs("UniPCMultistepScheduler", ABOVE_ZERO, **settings)
    check(ours(rule(variant), ABOVE_ZERO), other)


def test_unipc_as_diffusers_comes():
    """Its defaults: two terms, bh2, and a last step that lands on D."""
    other = theirs("UniPCMultistepScheduler", TO_ZERO)
    check(ours(solver("UniPCMultistepScheduler"), TO_ZERO), other)


@pytest.mark.parametrize(("rule", "count"), [(TwoTerms(), 2), (DEISLogRho(), 3)])
def test_deis_logrho(rule, count):
    check(ours(rule, ABOVE_ZERO), theirs("DEISMultistepScheduler", ABOVE_ZERO, solver_order=count))


def test_dpmpp_2m():
    """It computes in float32 whatever it is given."""
    check(ours(solver("dpmpp_2m"), TO_ZERO), theirs("DPMSolverMultistepScheduler", TO_ZERO), 1e-5)


def test_dpmpp_3m_kd_is_what_diffusers_has_too():
    other = theirs("DPMSolverMultistepScheduler", TO_ZERO, solver_order=3)
    check(ours(DPMpp3MKD(), TO_ZERO), other, 1e-5)
    assert float((ours(solver("dpmpp_3m"), TO_ZERO) - other).abs().max()) > 1e-3


def test_ddim():
    """It reads its levels off a table of alpha^2, one per training step."""
    scheduler = diffusers.DDIMScheduler(num_train_timesteps=STEPS, clip_sample=False)
    scheduler.set_timesteps(STEPS)
    levels = SCHEDULE(TO_ZERO)
    scheduler.alphas_cumprod = levels.alpha[:-1].flip(0) ** 2
    x = START
    for k, timestep in enumerate(scheduler.timesteps):
        x0 = DENOISE(x[:, 0], TO_ZERO[k]).x0[:, None]
        noise = (x - levels.alpha[k] * x0) / levels.sigma[k]
        x = scheduler.step(noise, timestep, x).prev_sample
    check(ours(solver("euler"), TO_ZERO), x)


def test_a_term_less_is_noticed():
    """The comparisons above can fail."""
    other = theirs("DEISMultistepScheduler", ABOVE_ZERO, solver_order=3)
    assert float((ours(TwoTerms(), ABOVE_ZERO) - other).abs().max()) > 1e-3
