"""The grids of time travel, and what is put where after a step."""

from __future__ import annotations

import pytest
import torch
from tests.oracle.mutation import mutated

from undrift.diffusion import VE, Flow, GaussianMixture, VPCosine
from undrift.errors import UsageError
from undrift.sampling import DDPM, SAMPLERS, ImageNoise, integrate, karras, solver
from undrift.sampling.inverse import Measurement, MomentMatched, RePaint, repaint, time_travel

SHAPE = (1, 2, 3)
MIXTURE = GaussianMixture(
    torch.stack([torch.full(SHAPE, -1.0), torch.full(SHAPE, 1.0)]), [0.3, 0.4]
)
HIDDEN = torch.tensor([[False, True, True], [False, False, True]])


def times(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("steps", "jump", "resample", "wanted"),
    [
        (4, 1, 1, [4, 3, 2, 1, 0]),
        (4, 9, 1, [4, 3, 2, 1, 0]),
        (4, 2, 2, [4, 3, 2, 1, 0, 2, 1, 0]),
        (4, 1, 2, [4, 3, 2, 3, 2, 1, 2, 1, 0, 1, 0]),
        (5, 2, 3, [5, 4, 3, 2, 4, 3, 2, 4, 3, 2, 1, 0, 2, 1, 0, 2, 1, 0]),
        (4, 3, 2, [4, 3, 2, 1, 0, 3, 2, 1, 0]),
    ],
)
def test_runs_are_walked_again_but_the_first(steps, jump, resample, wanted):
    grid = torch.arange(steps, -1, -1, dtype=torch.float64) / steps
    assert (time_travel(grid, jump, resample) * steps).round().int().tolist() == wanted


@pytest.mark.parametrize(
    ("jump", "resample", "message"),
    [(0, 2, "jump 0"), (1, 0, "resample 0"), (4, 2, "less than 4")],
)
def test_numbers_that_no_travel_can_have(jump, resample, message):
    with pytest.raises(UsageError, match=message):
        time_travel(times(1, 0.75, 0.5, 0.25, 0), jump, resample)


def after_a_step(schedule, rule=RePaint):
    """The state after a step from 0.8 to 0.3, what it should be, and what noise was asked for."""
    y = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(1, *SHAPE)
    x = torch.full((1, *SHAPE), 7.0, dtype=torch.float64)
    asked = []

    def draw(purpose):
        asked.append(purpose)
        return torch.full_like(x, 0.5)

    t, s = times(0.8, 0.3)
    prediction = MIXTURE.denoiser(schedule)(x, t)
    made = rule(Measurement(y, ~HIDDEN), schedule)(x, t, s, prediction, draw)
    level = schedule(s)
    return made, torch.where(HIDDEN, x, level.alpha * y + level.sigma * 0.5), asked


@pytest.mark.parametrize("schedule", [VE(), VPCosine(), Flow()], ids=lambda s: s.kind)
def test_known_values_get_the_noise_of_the_level_that_is_reached(schedule):
    made, wanted, asked = after_a_step(schedule)
    torch.testing.assert_close(made, wanted)
    assert asked == ["known"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.schedule(s)", "self.schedule(t)"),  # the level that the step began at
        ("over(x_s, known)", "over(x_s)"),  # measured values without noise
        ("over(x_s, known)", "over(known, x_s)"),  # the mask the wrong way round
    ],
)
def test_mutants_of_the_step_are_caught(old, new):
    made, wanted, _ = after_a_step(VPCosine(), mutated(repaint, old, new).RePaint)
    assert (made - wanted).abs().max() > 0.1


def fill(name, indices, way):
    """Hidden pixels of images 0 to 4 that are all the same, under one sampler."""
    schedule = VPCosine()
    y = torch.linspace(-1, 1, 6).reshape(1, *SHAPE).expand(len(indices), *SHAPE)
    measured = Measurement(y, ~HIDDEN)
    denoise, after, grid = MIXTURE.denoiser(schedule), None, karras(schedule, 5)
    if way == "repaint":
        after, grid = RePaint(measured, schedule), time_travel(grid, 2, 2)
    else:
        denoise = MomentMatched(denoise, measured, 2)
    noise = ImageNoise(3, indices)
    x = noise.initial(SHAPE) * schedule(grid[0]).sigma
    return y, integrate(
        denoise, x, grid, solver(name), schedule=schedule, noise=noise, after_step=after
    )


@pytest.mark.parametrize("way", ["repaint", "moments"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_solver_fills_and_keeps_what_is_known(name, way):
    y, x = fill(name, [0, 1, 2], way)
    assert torch.isfinite(x).all()
    torch.testing.assert_close(x[:, ~HIDDEN[None]], y[:, ~HIDDEN[None]], rtol=0, atol=1e-6)
    assert (x[0] - x[1])[HIDDEN[None]].abs().max() > 1e-3


@pytest.mark.parametrize("way", ["repaint", "moments"])
def test_an_image_does_not_depend_on_its_batch(way):
    _, whole = fill("ddpm", [0, 1, 2, 3, 4], way)
    _, part = fill("ddpm", [3, 1], way)
    torch.testing.assert_close(part, whole[[3, 1]], rtol=0, atol=1e-6)


def test_a_rise_needs_noise():
    schedule = VPCosine()
    with pytest.raises(UsageError, match="noise=ImageNoise"):
        integrate(
            MIXTURE.denoiser(schedule),
            torch.zeros(1, *SHAPE),
            time_travel(karras(schedule, 4), 1, 2),
            DDPM(),
            schedule=schedule,
        )


@pytest.mark.parametrize(
    ("known", "noise", "message"),
    [
        (torch.ones(2, 3), 0.0, "float32: give bool"),
        (torch.ones(4, 2, 3, dtype=torch.bool), 0.0, r"\(4, 2, 3\)"),
        (torch.ones(9, 1, 2, 3, dtype=torch.bool), 0.0, "one mark for each"),
        (HIDDEN, -1.0, "measurement noise -1"),
        (HIDDEN, float("nan"), "measurement noise nan"),
    ],
)
def test_measurements_that_do_not_fit(known, noise, message):
    with pytest.raises(UsageError, match=message):
        Measurement(torch.zeros(1, *SHAPE), known, noise)


def test_fewer_than_one_iteration_is_refused():
    with pytest.raises(UsageError, match="iterations 0"):
        MomentMatched(
            MIXTURE.denoiser(Flow()), Measurement(torch.zeros(1, *SHAPE), HIDDEN), iterations=0
        )
