"""Students of an exact teacher on a mixture of the plane draw what it draws.

The maximum mean discrepancy of their samples to 2,000 exact ones has to lie within the bootstrap
interval of the teacher's own, at 18 NFE. All begin with the weights of one small network that was
fitted to the teacher, and are trained for a second or two.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from tests.oracle.mutation import mutated
from torch import Tensor, nn

from undrift.diffusion import VE, Denoiser, DenoisingObjective, GaussianMixture, LogNormal, edm
from undrift.distillation import (
    AdversarialFlowConfig,
    ConsistencyConfig,
    FlowMapConfig,
    MeanFlowConfig,
    ProgressiveConfig,
    adversarial,
    carried,
    consistency,
    few_step_times,
    flow_map_losses,
    matching,
    mean_flow,
    noised,
    progressive,
    reflow,
    teachers_images,
    with_gradient_size,
)
from undrift.metrics.kernel import gaussian_distance
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
FLOW_MAP = FlowMapConfig(levels=LEVELS, closest=0.03, huber=1.0, direction="teacher")
MEAN_FLOW = MeanFlowConfig(levels=LEVELS, huber=1.0, direction="teacher")
ADVERSARIAL, GAMMA = AdversarialFlowConfig(), 0.5
COUNT, BATCH = 2000, 256
ONE, ZERO = torch.ones(BATCH, dtype=torch.float64), torch.zeros(BATCH, dtype=torch.float64)


class Network(nn.Module):
    """Four linear layers; the ``context`` is one number of each sample."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in (inputs, 64, 64):
            layers += [nn.Linear(width, 64), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(64, outputs))

    def forward(self, x: Tensor, c_noise: Tensor | None = None, context: Tensor | None = None):
        parts = [x.flatten(1)]
        if c_noise is not None and context is not None:
            parts += [c_noise.to(x.dtype).reshape(-1, 1).expand(len(x), 1), context]
        made = self.layers(torch.cat(parts, 1))
        return made.flatten() if made.shape[1] == 1 else made.reshape(x.shape)


class Student:
    """A small network with the interface of a student; ``end``: it is told where a step ends."""

    def __init__(self, start: Student | None = None, *, end: bool = False) -> None:
        self.end = end
        if start is None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                self.network = Network(4, 2)
        else:
            self.network = copy.deepcopy(start.network)
        self.denoiser = Denoiser(self.network, SCHEDULE, edm(1.2))

    def __call__(self, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        told = SCHEDULE(s).log_snr.clamp(-20, 20) / 8 if self.end else torch.zeros(1)
        context = told.float().reshape(-1, 1).expand(len(x_t), 1)
        found = self.denoiser(x_t, t, context)  # type: ignore[arg-type] - what this network takes
        return torch.where(found.level.like(x_t).sigma == 0, found.x_t, found.x0)

    @torch.no_grad()
    def draw(self, steps: int) -> np.ndarray:
        times = few_step_times(steps, 0.8, SCHEDULE)
        x0 = x_t = start() * 20
        for k, t in enumerate(times):
            s = times[k + 1] if k + 1 < steps else torch.zeros_like(t)
            if self.end:
                x0 = x_t = carried(self(x_t, t, s), x_t, t, s, SCHEDULE)
                continue
            if k:
                noise = torch.randn(x0.shape, generator=generator(7, k))
                x_t = noised(x0, noise, t, SCHEDULE)
            x0 = self(x_t, t, torch.zeros_like(t))
        return x0.flatten(1).double().numpy()


@dataclass(frozen=True)
class Drawn:
    """What a training step draws.

    Attributes:
        quantiles: of the levels t, (B,) float64.
        x0: images.
        noise: of x0's shape.
        z: further noise.
        made: generator of what else there is to draw.
    """

    quantiles: Tensor
    x0: Tensor
    noise: Tensor
    z: Tensor
    made: torch.Generator

    @property
    def t(self) -> Tensor:
        return DenoisingObjective(LEVELS).times_at(SCHEDULE, self.quantiles)


@cache
def images() -> Tensor:
    return MIXTURE.sample(20_000, generator(5)).float().reshape(-1, 2, 1, 1)


def drawn(step: int) -> Drawn:
    made = generator(1, step)
    quantiles = torch.randperm(BATCH, generator=made) + torch.rand(BATCH, generator=made)
    x0 = images()[torch.randint(len(images()), (BATCH,), generator=made)]
    noise, z = torch.randn(2, *x0.shape, generator=made)
    return Drawn(quantiles.double() / BATCH, x0, noise, z, made)


Losses = Callable[[Drawn, float, int], tuple[nn.Module, Tensor]]


def train(rates: dict[nn.Module, float], updates: int, losses: Losses, beta: float = 0.9) -> None:
    """Adam, whose rates fall in the second half; ``losses`` also says whose update it is."""
    adams = {
        network: torch.optim.Adam(network.parameters(), lr=rate, betas=(beta, 0.99), fused=True)
        for network, rate in rates.items()
    }
    for step in range(updates):
        share = step / updates
        network, loss = losses(drawn(step), share, step)
        adams[network].param_groups[0]["lr"] = rates[network] * min(1.0, 2 * (1 - share))
        adams[network].zero_grad()
        loss.mean().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0 if beta else float("inf"))
        adams[network].step()


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


@cache
def fitted() -> Student:
    """A network whose estimates are about the teacher's, as those of a student at its start."""
    student = Student()

    def losses(batch: Drawn, share: float, step: int) -> tuple[nn.Module, Tensor]:
        x_t = noised(batch.x0, batch.noise, batch.t, SCHEDULE)
        error = student(x_t, batch.t, ZERO) - taught(x_t, batch.t)
        return student.network, denoising(error, batch.t)

    train({student.network: 5e-3}, 250, losses)
    return student


def denoising(error: Tensor, t: Tensor) -> Tensor:
    """Weighted squared errors, (B,)."""
    return error.square().flatten(1).mean(1) * (1 + SCHEDULE(t).ratio ** -2).float()


def tuned(
    module=consistency, config: ConsistencyConfig = CONSISTENCY, updates: int = 500
) -> Student:
    student = Student(fitted())

    def losses(batch: Drawn, share: float, step: int) -> tuple[nn.Module, Tensor]:
        t, r = batch.t, config.lower_time(batch.t, share, SCHEDULE)
        x_t = noised(batch.x0, batch.noise, t, SCHEDULE)
        x_r = carried(taught(x_t, t), x_t, t, r, SCHEDULE)
        loss = module.consistency_losses(student, x_t, x_r, t, r, SCHEDULE, config.huber)
        return student.network, loss

    train({student.network: 5e-3}, updates, losses)
    return student


@cache
def mapped() -> Student:
    student, config = Student(fitted(), end=True), FLOW_MAP

    def losses(batch: Drawn, share: float, step: int) -> tuple[nn.Module, Tensor]:
        t, choice = batch.t, torch.rand(BATCH, generator=batch.made, dtype=torch.float64)
        s = torch.minimum(config.ends(batch.quantiles, choice, SCHEDULE), 0.99 * t)
        middle = config.between(t, s, share, SCHEDULE)
        x_t = noised(batch.x0, batch.noise, t, SCHEDULE)
        along = taught(x_t, t)
        x_l = carried(along, x_t, t, middle, SCHEDULE)
        times = (t, middle, s)
        loss = flow_map_losses(student, x_t, x_l, along, times, SCHEDULE, config.huber)
        return student.network, loss

    train({student.network: 8e-3}, 900, losses)
    return student


def mean_flowed(module=mean_flow, updates: int = 500) -> Student:
    student, config = Student(fitted(), end=True), MEAN_FLOW

    def losses(batch: Drawn, share: float, step: int) -> tuple[nn.Module, Tensor]:
        t, choice = batch.t, torch.rand(BATCH, generator=batch.made, dtype=torch.float64)
        s = torch.minimum(config.ends(batch.quantiles, choice, SCHEDULE), 0.99 * t)
        x_t = noised(batch.x0, batch.noise, t, SCHEDULE)
        along = taught(x_t, t)
        noise = (x_t - along) / SCHEDULE(t).like(x_t).sigma
        loss = module.mean_flow_losses(student, along, noise, (t, s), SCHEDULE, config)
        return student.network, loss

    train({student.network: 5e-3}, updates, losses)
    return student


@cache
def pairs() -> tuple[Tensor, Tensor]:
    """Noise, and what the teacher draws from it."""
    noise = torch.randn(8192, 2, 1, 1, generator=generator(11))
    return noise, teachers_images(lambda x, t, s: taught(x, t), noise, 24, SCHEDULE)


def reflowed(module=reflow, updates: int = 900) -> Student:
    student, (noise, ends) = Student(fitted(), end=True), pairs()

    def losses(batch: Drawn, share: float, step: int) -> tuple[nn.Module, Tensor]:
        rows = torch.randint(len(noise), (BATCH,), generator=batch.made)
        t = torch.where(batch.quantiles < 0.5, batch.t, ONE)
        loss = module.reflow_losses(student, ends[rows], noise[rows], (t, ZERO), SCHEDULE)
        return student.network, loss

    train({student.network: 5e-3}, updates, losses)
    return student


def halved(module=progressive, updates: int = 800) -> Student:
    """From 16 steps of the teacher to two, in three stages."""
    student, config = Student(fitted(), end=True), ProgressiveConfig(first=16)
    last, before = few_step_times(2, 0.8, SCHEDULE), [student]

    def losses(batch: Drawn, share: float, step: int) -> tuple[nn.Module, Tensor]:
        stage = config.stage(share, 2)
        if len(before) == stage:
            before.append(Student(student, end=True))
        grid = config.grid(stage, last, SCHEDULE)
        first = 2 * (batch.quantiles * (len(grid) // 2)).long()
        times = [grid[first + k] for k in range(3)]
        x_t = noised(batch.x0, batch.noise, times[0], SCHEDULE)
        earlier = before[stage] if stage else lambda x, t, s: taught(x, t)
        with torch.no_grad():
            target = module.joined_steps(earlier, x_t, times, SCHEDULE)
        ends = (times[0], times[2])
        return student.network, module.progressive_losses(student, target, x_t, ends, SCHEDULE)

    train({student.network: 5e-3}, updates, losses)
    return student


def matched(module=matching, updates: int = 600) -> Student:
    """Fake score and student take turns."""
    student, fake = Student(fitted()), Student(fitted())

    def losses(batch: Drawn, share: float, step: int) -> tuple[nn.Module, Tensor]:
        t, mine = batch.t, bool(step % 2)
        with torch.set_grad_enabled(mine):
            x = student(20 * batch.z, ONE, ZERO)
        x_t = noised(x.detach(), batch.noise, t, SCHEDULE)
        if not mine:
            return fake.network, denoising(fake(x_t, t, ZERO) - x, t)
        with torch.no_grad():
            estimate = fake(x_t, t, ZERO)
        return student.network, module.matching_losses(x, taught(x_t, t), estimate)

    train({student.network: 4e-3, fake.network: 4e-3}, updates, losses, beta=0.0)
    return student


def opposed(module=adversarial, updates: int = 540) -> Student:
    """Discriminator and generator take turns."""
    student = Student(fitted())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        critic = Network(2, 1)

    def losses(batch: Drawn, share: float, step: int) -> tuple[nn.Module, Tensor]:
        x, mine, shift = batch.x0, bool(step % 2), ADVERSARIAL.shift
        with torch.set_grad_enabled(mine):
            fake = student(20 * batch.z, ONE, ZERO)
        shown = with_gradient_size(fake, 1 / (2 * BATCH)) if mine else fake
        real_logit, fake_logit = critic(torch.cat([x, shown])).chunk(2)
        if mine:
            weight = ADVERSARIAL.transport_weight(share)
            moved = fake - batch.z
            loss = module.generator_losses(real_logit, fake_logit, moved, weight)
            return student.network, loss
        near = critic(torch.cat([x, fake]) + shift * torch.cat([batch.noise] * 2))
        loss = module.discriminator_losses(real_logit, fake_logit, ADVERSARIAL.centring)
        for logit, close in zip((real_logit, fake_logit), near.chunk(2), strict=True):
            loss = loss + GAMMA * module.difference_penalty(logit, close, shift)
        return critic, loss

    train({student.network: 3e-3, critic: 5e-3}, updates, losses, beta=0.0)
    return student


def test_a_consistency_student_draws_what_its_teacher_does():
    student = tuned()
    assert distance(student.draw(1)) < largest()
    assert distance(student.draw(2)) < largest()


def test_a_flow_map_draws_what_its_teacher_does_in_any_steps():
    student = mapped()
    found = {steps: distance(student.draw(steps)) for steps in (1, 2, 4, 8)}
    assert all(value < largest() for value in found.values()), found


@pytest.mark.parametrize("made", [mean_flowed, halved])
def test_a_student_of_two_steps_draws_what_its_teacher_does(made: Callable):
    assert distance(made().draw(2)) < largest()


def test_a_student_of_pairs_draws_what_its_teacher_does():
    assert distance(reflowed().draw(1)) < largest()


@pytest.mark.parametrize("made", [matched, opposed])
def test_a_student_beside_a_second_network_draws_what_its_teacher_does(made: Callable):
    assert distance(fitted().draw(1)) > 50 * largest()
    assert distance(made().draw(1)) < largest()


def test_a_flow_map_composes():
    """Going at once and by way of a middle level ends nearly at the same place."""
    t, s, r = (torch.tensor(v / 20, dtype=torch.float64) for v in (3.0, 0.8, 0.1))
    x_t = noised(images()[:COUNT], start(), t, SCHEDULE)
    students, apart = (mapped(), fitted()), []
    with torch.no_grad():
        for student in students:
            x_s = carried(student(x_t, t, s), x_t, t, s, SCHEDULE)
            twice = carried(student(x_s, s, r), x_s, s, r, SCHEDULE)
            once = carried(student(x_t, t, r), x_t, t, r, SCHEDULE)
            apart.append(float((once - twice).square().mean().sqrt()))
    assert apart[0] < 0.15 and apart[1] > 4 * apart[0], apart


def test_a_gap_that_opens_over_the_run_is_seen():
    opening = mutated(consistency, "self.stages * fraction", "self.stages * (1 - fraction)")
    config = opening.ConsistencyConfig(levels=LEVELS, stages=5.0, huber=1.0, direction="teacher")
    assert distance(tuned(opening, config, 250).draw(1)) > 10 * largest()


@pytest.mark.parametrize(
    ("made", "module", "old", "new"),
    [
        (mean_flowed, mean_flow, "- _like(u - w, x0) * slope", "+ _like(u - w, x0) * slope"),
        (reflowed, reflow, "t, s) - x\n", "t, s) + x\n"),
        (halved, progressive, "(x_s - r * x_t) / (last", "(x_s + r * x_t) / (last"),
        (matched, matching, "(fake - real)", "(real - fake)"),
        (matched, matching, "(x - gradient).detach()", "(x - gradient)"),
        (opposed, adversarial, "generator(real, fake)", "generator(fake, real)"),
        (opposed, adversarial, "discriminator(real, fake)", "discriminator(fake, real)"),
    ],
)
def test_mutants_do_not(made: Callable, module, old: str, new: str):
    steps = 2 if made is halved else 1
    assert not distance(made(mutated(module, old, new), 150).draw(steps)) < 30 * largest()
