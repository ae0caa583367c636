"""Five views of one prediction against the closed forms of a mixture, to 1e-12 in float64.

Every schedule and parameterization starts from the network output that the parameterization asks
for; x_0, epsilon, score, v and velocity then have to be those of the mixture, each computed here
from another closed form: the posterior mean, the score, and the drift and diffusion of the SDE.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from tests.diffusion.cases import EVERY_PAIR, exact_output, float64, name, numbers_mixture
from torch import nn

from undrift.diffusion import SDE, X0, Denoiser, Prediction

VIEWS = ("x0", "epsilon", "score", "v", "velocity")
LOG_SNR = torch.linspace(-6, 8, 57, dtype=torch.float64)
MIXTURE = numbers_mixture()


class Told(nn.Module):
    """A network that has been told the answer."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x, c_noise, context=None):
        return self.answer


def noisy(schedule):
    t = schedule.time_at(LOG_SNR)
    level = schedule(t).like(torch.empty(len(t), 1, dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    x0 = MIXTURE.sample(len(t), generator)
    noise = torch.randn(x0.shape, generator=generator, dtype=torch.float64)
    return level.alpha * x0 + level.sigma * noise, t


def closed_forms(schedule, x_t, t):
    level = schedule(t).like(x_t)
    score = MIXTURE.score(x_t, schedule(t))
    x0 = MIXTURE.posterior_mean(x_t, schedule(t))
    sde = SDE(schedule)
    g = sde.diffusion(t)[:, None]
    return {
        "x0": x0,
        "epsilon": -level.sigma * score,
        "score": score,
        "v": -level.alpha * level.sigma * score - level.sigma * x0,
        "velocity": sde.drift(x_t, t) - g**2 / 2 * score,
    }


def disagreement(seen: Prediction, wanted) -> dict[str, float]:
    """Per view, the largest gap in units of 1 + |value|."""
    return {
        view: float(((getattr(seen, view) - wanted[view]).abs() / (1 + wanted[view].abs())).max())
        for view in VIEWS
    }


@pytest.mark.parametrize(("schedule", "kind"), EVERY_PAIR, ids=name)
def test_five_views_are_the_mixtures(schedule, kind):
    x_t, t = noisy(schedule)
    network = Told(exact_output(MIXTURE, schedule, kind, x_t, t))
    seen = Denoiser(network, schedule, kind)(x_t, t)
    for view, gap in disagreement(seen, closed_forms(schedule, x_t, t)).items():
        assert gap < 1e-12, view


@pytest.mark.parametrize(("schedule", "kind"), EVERY_PAIR, ids=name)
def test_every_view_gives_the_data_back(schedule, kind):
    x_t, t = noisy(schedule)
    network = Told(exact_output(MIXTURE, schedule, kind, x_t, t))
    seen = Denoiser(network, schedule, kind)(x_t, t)
    level = schedule(t).like(x_t)
    a, s, a_dot, s_dot = level.alpha, level.sigma, level.alpha_dot, level.sigma_dot
    back = {
        "epsilon": (x_t - s * seen.epsilon) / a,
        "score": (x_t + s**2 * seen.score) / a,
        "v": (a * x_t - s * seen.v) / (a**2 + s**2),
        "velocity": (s * seen.velocity - s_dot * x_t) / (s * a_dot - s_dot * a),
    }
    for view, x0 in back.items():
        gap = (x0 - seen.x0).abs() / (1 + level.ratio)  # the noise that has to cancel
        assert float(gap.max()) < 1e-12, view


@dataclass(frozen=True)
class Slips(Prediction):
    """Slips that the tests above have to notice, each in one view."""

    @property
    def epsilon(self):
        level = self.level.like(self.x_t)
        return (self.x_t - self.x0) / level.sigma + 1e-9  # alpha forgotten, or a small offset

    @property
    def score(self):
        return super().score * (1 + 1e-11)

    @property
    def v(self):
        level = self.level.like(self.x_t)
        return level.sigma * self.x0 - level.alpha * super().epsilon

    @property
    def velocity(self):
        level = self.level.like(self.x_t)
        return level.sigma_dot * self.x0 + level.alpha_dot * super().epsilon


@pytest.mark.parametrize(("schedule", "kind"), EVERY_PAIR, ids=name)
def test_slips_are_noticed(schedule, kind):
    x_t, t = noisy(schedule)
    output = exact_output(MIXTURE, schedule, kind, x_t, t)
    wanted = closed_forms(schedule, x_t, t)
    seen = Slips(x_t, schedule(t), kind.to_x0(x_t, output, schedule(t)))
    gaps = disagreement(seen, wanted)
    assert min(gaps[view] for view in VIEWS[1:]) > 1e-12
    # A network read as if it were another kind, or with its sign turned.
    turned = Denoiser(Told(-output), schedule, kind)(x_t, t)
    assert min(disagreement(turned, wanted).values()) > 1e-2
    if kind is not X0:
        other = Denoiser(Told(output), schedule, X0)(x_t, t)
        assert min(disagreement(other, wanted).values()) > 1e-2


def test_the_grid_reaches_both_sides():
    assert float(LOG_SNR.min()) < -5 < 5 < float(LOG_SNR.max())
    assert float64(0.0) in LOG_SNR
