"""The loop: grids that rise, the after-step seam, progress and cancellation."""

from __future__ import annotations

import pytest
import torch

from undrift.diffusion import VE, Flow, GaussianMixture, VPCosine
from undrift.errors import UsageError
from undrift.randomness import generator
from undrift.sampling import DDPM, DPMpp2M, Euler, ImageNoise, integrate, karras

MIXTURE = GaussianMixture([-1.0, 1.0], [0.2, 0.4])


def times(*values):
    return torch.tensor(values, dtype=torch.float64)


def run(x, grid, solver=None, **keywords):
    schedule = keywords.pop("schedule", Flow())
    return integrate(
        MIXTURE.denoiser(schedule), x, grid, solver or Euler(), schedule=schedule, **keywords
    )


class BatchNoise:
    def __init__(self, scale=1.0):
        self.scale = scale

    def step(self, k, shape, purpose):
        made = generator("noise", k, purpose)
        return self.scale * torch.randn(4000, *shape, generator=made, dtype=torch.float64)


def law_after_rising(scale):
    """Kolmogorov-Smirnov's sqrt(N) D of points carried from t = 0.2 up to 0.7."""
    schedule = VPCosine()
    low, high = schedule(0.2), schedule(0.7)
    x = MIXTURE.sample(4000, generator(1)) * low.alpha
    x = x + low.sigma * torch.randn(4000, generator=generator(2), dtype=torch.float64)
    x = run(x, times(0.2, 0.7), schedule=schedule, noise=BatchNoise(scale))
    below = MIXTURE.cdf(x.sort().values, high)
    rank = torch.arange(1, 4001, dtype=torch.float64) / 4000
    return float((rank - below).abs().max()) * 4000**0.5


def test_a_rising_grid_adds_the_exact_noise():
    assert law_after_rising(1.0) < 1.95
    assert law_after_rising(0.5) > 4  # the test can fail


def test_a_rise_makes_the_solver_forget_its_history():
    """Going up and down again with DPM++ 2M is two runs of it."""
    x = torch.linspace(-1, 1, 5, dtype=torch.float64)

    class Noise:
        def step(self, k, shape, purpose):
            return torch.full((5,), 0.3, dtype=torch.float64)

    grid = times(0.9, 0.6, 0.3, 0.8, 0.5, 0.2)
    whole = run(x, grid, DPMpp2M(), noise=Noise())
    middle = run(x, grid[:4], DPMpp2M(), noise=Noise())
    assert torch.equal(run(middle, grid[3:], DPMpp2M()), whole)


def test_after_step_sees_every_step_and_replaces_the_state():
    seen = []

    def after_step(x_s, t, s, prediction, draw):
        seen.append((float(t), float(s)))
        torch.testing.assert_close(prediction.level.t, t)
        assert torch.equal(draw("mask"), draw("mask"))
        assert not torch.equal(draw("mask"), draw("other"))
        return torch.zeros_like(x_s) + len(seen)

    x = torch.ones(2)
    grid = times(1.0, 0.5, 0.25)
    end = run(x, grid, noise=ImageNoise(0, [0, 1]), after_step=after_step)
    assert seen == [(1.0, 0.5), (0.5, 0.25)]
    assert torch.equal(end, torch.full_like(x, 2))


def test_progress_is_told_and_may_cancel():
    told = []
    end = run(torch.ones(3), karras(Flow(), 4), on_progress=told.append)
    assert [(step.done, step.total) for step in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    first = MIXTURE.denoiser(Flow())(torch.ones(3), karras(Flow(), 4)[0]).x0
    assert torch.equal(told[0].x0, first)
    assert torch.equal(told[-1].x0, end) and not torch.equal(told[-2].x0, end)

    class Cancelled(Exception):
        pass

    def cancel(step):
        told.append(step)
        if step.done == 2:
            raise Cancelled

    told.clear()
    with pytest.raises(Cancelled):
        run(torch.ones(3), karras(Flow(), 4), on_progress=cancel)
    assert len(told) == 2


def test_a_grid_that_only_rises_has_no_clean_images_yet():
    told = []
    x = torch.ones(4000, 1, dtype=torch.float64)
    run(x, times(0.2, 0.7), noise=BatchNoise(), on_progress=told.append)
    assert told[0].x0 is None


def test_gradients_flow_through():
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    run(x, karras(VE(), 5), schedule=VE()).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all() and (x.grad != 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    x = torch.ones(3, 1, 2, 2, dtype=dtype)
    mixture = GaussianMixture(torch.zeros(1, 1, 2, 2), [1.0])
    for solver in (Euler(), DPMpp2M(), DDPM()):
        end = integrate(
            mixture.denoiser(Flow()),
            x,
            karras(Flow(), 3),
            solver,
            schedule=Flow(),
            noise=ImageNoise(0, range(3)),
        )
        assert end.dtype == dtype


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (times(1.0), "two or more"),
        (torch.tensor([1.0, 0.0]), "float64"),
        (times(1.0, 0.5, 0.5), "stands still"),
        (times(1.5, 0.0), r"\[0, 1\]"),
        (times(1.0, float("nan")), r"\[0, 1\]"),
    ],
)
def test_bad_grids_are_refused(grid, message):
    with pytest.raises(UsageError, match=message):
        run(torch.ones(3), grid)


def test_missing_and_misfitting_noise_are_refused():
    x = torch.ones(3, 2)
    with pytest.raises(UsageError, match="noise=ImageNoise"):
        run(x[:, 0], times(1.0, 0.5), DDPM())
    mixture = GaussianMixture(torch.zeros(1, 2), [1.0])
    with pytest.raises(UsageError, match="one index per image"):
        integrate(
            mixture.denoiser(Flow()),
            x,
            times(1.0, 0.5),
            DDPM(),
            schedule=Flow(),
            noise=ImageNoise(0, range(2)),
        )
