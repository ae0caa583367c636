"""Self-calibration passes the exact posterior sampler and rejects wrong ones."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.gaussian import Gaussian
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, Prediction
from undrift.errors import UsageError
from undrift.randomness import generator
from undrift.sampling import Heun, integrate, karras
from undrift.sampling.inverse import (
    Downsample,
    PosteriorDenoiser,
    ranks,
    self_calibration,
    uniformity,
)

SHAPE, SIZE, IMAGES, EACH, NOISE = (1, 4, 4), 16, 120, 19, 0.3
PRIOR = Gaussian.correlated(SIZE, seed=3)
OPERATOR = Downsample(2)
VALUES = 4
"""Measured values of an image: conjugate gradients are exact after as many iterations."""

SCHEDULE = VE(sigma_max=40.0)


def denoise(x, t):
    made = PRIOR.denoiser(SCHEDULE)(x.flatten(1), t)
    return Prediction(x, made.level, made.x0.reshape(x.shape))


def calibrated(steps=30, **settings):
    """Test the posterior samples of a rule: one p-value for the mean, one for the variation."""
    draws = generator("calibration", 5)
    root = torch.linalg.cholesky(PRIOR.covariance)
    z = torch.randn(IMAGES, SIZE, generator=draws, dtype=torch.float64)
    x = (PRIOR.mean + z @ root.T).reshape(-1, *SHAPE)
    y = OPERATOR.apply(x)
    y = y + NOISE * torch.randn(y.shape, generator=draws, dtype=torch.float64)
    times = karras(SCHEDULE, steps)
    begin = torch.randn(IMAGES * EACH, *SHAPE, generator=draws, dtype=torch.float64)
    posterior = PosteriorDenoiser(
        denoise, OPERATOR, y.repeat_interleave(EACH, 0), NOISE, **settings
    )
    level = SCHEDULE(times[0])
    made = integrate(posterior, begin * level.sigma, times, Heun(), schedule=SCHEDULE)
    return {
        name: uniformity(ranks(f(x), f(made).reshape(IMAGES, EACH)), EACH)
        for name, f in (
            ("mean", lambda images: images.flatten(1).mean(1)),
            ("norm", lambda images: images.flatten(1).square().sum(1)),
            ("residual", lambda images: _residual(images, y)),
        )
    }


def _residual(images, y):
    again = OPERATOR.apply(images)
    return (again - y.repeat_interleave(len(images) // len(y), 0)).flatten(1).square().sum(1)


def test_the_exact_sampler_passes():
    for found in calibrated(iterations=VALUES).values():
        assert found.p_value > 0.01 and abs(found.spread) < 3


@pytest.mark.parametrize(
    "settings",
    [{"rule": "ddnm"}, {"rule": "diffpir"}, {"rule": "pigdm", "deviation": 0.3}],
    ids=lambda settings: settings["rule"],
)
def test_wrong_samplers_are_rejected(settings):
    found = calibrated(**settings)
    assert min(one.p_value for one in found.values()) < 1e-4
    if settings["rule"] == "ddnm":  # noise is taken for signal: the residual is 0 in every sample
        assert found["residual"].shift > 5


def test_too_few_steps_are_rejected():
    assert min(one.p_value for one in calibrated(3, iterations=VALUES).values()) < 1e-3


def uniform(count=4000, most=9):
    draws = generator("uniform ranks", 0)
    return torch.randint(0, most + 1, (count,), generator=draws)


@pytest.mark.parametrize("most", [3, 9, 19])
def test_p_values_of_uniform_ranks_are_uniform(most):
    parts = uniform(40_000, most).split(40)
    p_values = torch.tensor([uniformity(part, most).p_value for part in parts])
    for share in (0.05, 0.25, 0.5):
        found = float((p_values < share).double().mean())
        assert found == pytest.approx(share, abs=4.5 * (share / 1000) ** 0.5)


def test_signs_say_what_is_wrong():
    draws = generator("signs", 0)
    truth = torch.randn(400, generator=draws)
    samples = torch.randn(400, 19, generator=draws)
    assert uniformity(ranks(truth, samples), 19).p_value > 0.01
    narrow = uniformity(ranks(truth, 0.6 * samples), 19)
    wide = uniformity(ranks(truth, 1.6 * samples), 19)
    low = uniformity(ranks(truth, samples - 0.5), 19)
    assert narrow.spread > 4 and wide.spread < -4 and low.shift > 4
    assert max(one.p_value for one in (narrow, wide, low)) < 1e-4


def test_ties_are_broken_evenly():
    same = torch.zeros(4000)
    found = ranks(same, torch.zeros(4000, 9))
    assert uniformity(found, 9).p_value > 0.01
    assert torch.equal(found, ranks(same, torch.zeros(4000, 9)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(same + 1)).long()", "same).long()"),
        ("below + (shares", "(shares"),
        ("len(found) ** 0.5", "len(found)"),
    ],
)
def test_mutants_are_caught(old, new):
    changed = mutated(self_calibration, old, new)
    draws = generator("mutants", 0)
    truth = torch.randint(0, 3, (400,), generator=draws).float()
    samples = 0.0 + torch.randint(0, 3, (400, 9), generator=draws).float()
    wrong = torch.cat([samples[:, :3], samples[:, :1].expand(-1, 6)], 1)
    real = [uniformity(ranks(truth, one), 9).p_value for one in (samples, wrong)]
    found = [changed.uniformity(changed.ranks(truth, one), 9).p_value for one in (samples, wrong)]
    assert real[0] > 0.01 > real[1]
    assert not (found[0] > 0.01 > found[1])


def test_what_cannot_be_tested():
    for found, most in ((uniform(19), 9), (uniform(40), 2), (uniform(40, 12), 9)):
        with pytest.raises(UsageError, match="self-calibration"):
            uniformity(found, most)
