"""Students of an exact teacher on a mixture of the plane draw what it draws.

Seconds each: a small network is trained from its initial weights. The maximum mean discrepancy to
2,000 exact samples has to lie within the bootstrap interval of the teacher's own, at 18 NFE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from tests.oracle.mutation import mutated
from torch import Tensor

from undrift.conditioning import Condition, ConditionEncoder, ConditionSpec
from undrift.diffusion import VE, Denoiser, DenoisingObjective, GaussianMixture, LogNormal, edm
from undrift.distillation import (
    ConsistencyConfig,
    Estimate,
    FlowMapConfig,
    StudentInputs,
    carried,
    consistency,
    few_step_times,
    flow_map_losses,
    noised,
)
from undrift.metrics.kernel import gaussian_distance
from undrift.networks import MLPConfig, build_network
from undrift.pipelines.student.model import bound_estimate
from undrift.randomness import generator
from undrift.sampling import integrate, solver

pytestmark = pytest.mark.slow

SCHEDULE = VE(20.0)
MIXTURE = GaussianMixture(
    [[-1.5, 0.0], [1.0, 1.2], [0.8, -1.3]], [0.25, 0.35, 0.2], [0.3, 0.3, 0.4]
)
TEACHER = MIXTURE.denoiser(SCHEDULE)
LEVELS = LogNormal(mean=0.0, std=1.5)
CONSISTENCY = ConsistencyConfig(levels=LEVELS, stages=5.0, huber=1.0, direction="teacher")
FLOW_MAP = FlowMapConfig(levels=LEVELS, closest=0.05, huber=1.0, direction="teacher")
COUNT, BATCH, UPDATES = 2000, 256, 1500


@dataclass
class Student:
    """A small network with the interface of a student."""

    inputs: StudentInputs

    def __post_init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.encoder = ConditionEncoder(ConditionSpec(numbers=self.inputs.numbers), 16)
            context = self.encoder.context_spec
            config = MLPConfig(width=64, blocks=3)
            self.network = build_network(config, channels=2, size=(1, 1), context=context)
        self.denoiser = Denoiser(self.network, SCHEDULE, edm(1.2))

    def estimate(self, count: int) -> Estimate:
        return bound_estimate(self.denoiser, self.encoder, self.inputs, 0, Condition(), count, None)

    def train(self, losses: Callable[[Estimate, Tensor, Tensor, float, int], Tensor]) -> Student:
        parameters = [*self.network.parameters(), *self.encoder.parameters()]
        adam = torch.optim.Adam(parameters, lr=3e-3)
        objective = DenoisingObjective(LEVELS)
        for step in range(UPDATES):
            share = step / UPDATES
            adam.param_groups[0]["lr"] = 3e-3 * min(1.0, 2 * (1 - share))
            made = generator(1, step)
            quantiles = torch.randperm(BATCH, generator=made)
            quantiles = (quantiles + torch.rand(BATCH, generator=made)).double() / BATCH
            t = objective.times_at(SCHEDULE, quantiles)
            x0 = MIXTURE.sample(BATCH, made).float().reshape(BATCH, 2, 1, 1)
            x_t = noised(x0, torch.randn(x0.shape, generator=made), t, SCHEDULE)
            loss = losses(self.estimate(BATCH), x_t, quantiles, share, step).mean()
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            adam.step()
        return self

    @torch.no_grad()
    def draw(self, steps: int) -> np.ndarray:
        times, estimate = few_step_times(steps, 0.8, SCHEDULE), self.estimate(COUNT)
        zero = torch.zeros((), dtype=torch.float64)
        x_t = start() * 20
        x0 = x_t
        for k, t in enumerate(times):
            if self.inputs.end:
                s = times[k + 1] if k + 1 < steps else zero
                x0 = x_t = carried(estimate(x_t, t, s), x_t, t, s, SCHEDULE)
                continue
            if k:
                noise = torch.randn(x0.shape, generator=generator(7, k))
                x_t = noised(x0, noise, t, SCHEDULE)
            x0 = estimate(x_t, t, zero)
        return x0.flatten(1).double().numpy()


def start() -> Tensor:
    return torch.randn(COUNT, 2, 1, 1, generator=generator(8))


def taught(x_t: Tensor, t: Tensor) -> Tensor:
    """The exact teacher's estimates, of x_t's shape."""
    return TEACHER(x_t.flatten(1).double(), t).x0.float().reshape(x_t.shape)


def distance(points: np.ndarray) -> float:
    real = MIXTURE.sample(COUNT, generator(9)).numpy()
    return gaussian_distance(points, real, bandwidth=1.0).value


@cache
def largest() -> float:
    """Upper end of the interval of the teacher's discrepancy, 18 steps of DPM-Solver++(2M)."""
    ratios = torch.logspace(1.3, -1.6, 18, dtype=torch.float64)
    grid = torch.cat([SCHEDULE.time_at(-2 * ratios.log()), torch.zeros(1, dtype=torch.float64)])
    x = start().flatten(1).double() * 20
    points = integrate(TEACHER, x, grid, solver("dpmpp_2m"), schedule=SCHEDULE, noise=None)
    real = MIXTURE.sample(COUNT, generator(9)).numpy()
    return gaussian_distance(points.numpy(), real, bandwidth=1.0).high


def tuned(module=consistency, config: ConsistencyConfig = CONSISTENCY) -> Student:
    def losses(estimate, x_t, quantiles, share, step):
        t = DenoisingObjective(config.levels).times_at(SCHEDULE, quantiles)
        r = config.lower_time(t, share, SCHEDULE)
        x_r = carried(taught(x_t, t), x_t, t, r, SCHEDULE)
        return module.consistency_losses(estimate, x_t, x_r, t, r, SCHEDULE, config.huber)

    return Student(StudentInputs()).train(losses)


@cache
def mapped() -> Student:
    config = FLOW_MAP

    def losses(estimate, x_t, quantiles, share, step):
        t = DenoisingObjective(config.levels).times_at(SCHEDULE, quantiles)
        choice = torch.rand(BATCH, generator=generator(2, step), dtype=torch.float64)
        s = torch.minimum(config.ends(quantiles, choice, SCHEDULE), 0.99 * t)
        middle = config.between(t, s, share, SCHEDULE)
        along = taught(x_t, t)
        x_l = carried(along, x_t, t, middle, SCHEDULE)
        times = (t, middle, s)
        return flow_map_losses(estimate, x_t, x_l, along, times, SCHEDULE, config.huber)

    return Student(StudentInputs(end=True)).train(losses)


def test_a_consistency_student_draws_what_its_teacher_does():
    student = tuned()
    assert distance(student.draw(1)) < largest()
    assert distance(student.draw(2)) < largest()


def test_a_flow_map_draws_what_its_teacher_does_in_any_steps():
    student = mapped()
    found = {steps: distance(student.draw(steps)) for steps in (1, 2, 4, 8)}
    assert all(value < largest() for value in found.values()), found


def test_a_flow_map_composes():
    """Going at once and by way of a middle level ends nearly at the same place."""
    estimate = mapped().estimate(COUNT)
    t, s, r = (torch.tensor(v / 20, dtype=torch.float64) for v in (3.0, 0.8, 0.1))
    with torch.no_grad():
        x0 = MIXTURE.sample(COUNT, generator(3)).float().reshape(COUNT, 2, 1, 1)
        x_t = noised(x0, start(), t, SCHEDULE)
        x_s = carried(estimate(x_t, t, s), x_t, t, s, SCHEDULE)
        twice = carried(estimate(x_s, s, r), x_s, s, r, SCHEDULE)
        once = carried(estimate(x_t, t, r), x_t, t, r, SCHEDULE)
    assert float((once - twice).square().mean().sqrt()) < 0.1


def test_a_gap_that_opens_over_the_run_is_seen():
    opening = mutated(consistency, "self.stages * fraction", "self.stages * (1 - fraction)")
    config = opening.ConsistencyConfig(levels=LEVELS, stages=5.0, huber=1.0, direction="teacher")
    assert distance(tuned(opening, config).draw(1)) > 10 * largest()
