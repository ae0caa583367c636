"""Steps along an estimate: DDIM with the denoiser, the exact map with the exact end."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, Flow, GaussianMixture, VPCosine
from undrift.distillation import carried, few_step_times, noised
from undrift.distillation import carry as module
from undrift.sampling import solver

SCHEDULES = [VE(10.0), VPCosine(), Flow()]
X = torch.tensor([[0.3, -1.2], [2.0, 0.1]], dtype=torch.float64)


def time(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.kind)
def test_a_step_along_the_denoiser_is_one_of_ddim(schedule):
    t, s = time(0.8), time(0.3)
    denoise = GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], [0.3, 0.4]).denoiser(schedule)
    rule = solver("ddim")
    level_t, level_s = schedule(t), schedule(s)
    wanted = rule.step(denoise, X, level_t, level_s, rule.start(X, schedule), None)[0]
    torch.testing.assert_close(carried(denoise(X, t).x0, X, t, s, schedule), wanted)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.kind)
def test_no_step_changes_nothing_bit_by_bit(schedule):
    for value in (0.0, 1 / 3, 1.0):
        moved = carried(X + 0.1, X, time(value), time(value), schedule)
        assert torch.equal(moved, X)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.kind)
def test_the_end_of_a_path_is_its_data_and_maps_compose(schedule):
    """On the path of one image and one noise, its exact estimate is the image itself."""
    noise = torch.tensor([[1.0, -0.4], [0.2, 0.7]], dtype=torch.float64)
    t, s, r = time(0.9), time(0.5), time(0.1)
    x_t = noised(X, noise, t, schedule)
    torch.testing.assert_close(carried(X, x_t, t, time(0.0), schedule), X)
    between = carried(X, x_t, t, s, schedule)
    torch.testing.assert_close(between, noised(X, noise, s, schedule))
    twice = carried(X, between, s, r, schedule)
    torch.testing.assert_close(twice, carried(X, x_t, t, r, schedule))


@pytest.mark.parametrize(
    ("old", "new"),
    [("x_t - level.alpha", "x_t + level.alpha"), ("end.sigma / sigma", "sigma / end.sigma")],
)
def test_mutants_do_not_compose(old, new):
    broken, schedule = mutated(module, old, new), VPCosine()
    noise, t, s = torch.ones_like(X), time(0.9), time(0.5)
    moved = broken.carried(X, noised(X, noise, t, schedule), t, s, schedule)
    assert not torch.allclose(moved, noised(X, noise, s, schedule))


def test_steps_fall_from_noise_around_the_level_of_two():
    schedule = VE(100.0)
    ratios = {n: schedule(few_step_times(n, 1.6, schedule)).ratio.tolist() for n in (1, 2, 4, 20)}
    assert ratios[1] == [100.0]
    assert ratios[2] == pytest.approx([100.0, 1.6])
    assert ratios[4] == pytest.approx([100.0, 6.4, 1.6, 0.4])
    assert len(ratios[20]) == 20 and ratios[20] == sorted(ratios[20], reverse=True)
    assert ratios[20][1] == pytest.approx(25.6) and ratios[20][-1] == pytest.approx(0.1)
