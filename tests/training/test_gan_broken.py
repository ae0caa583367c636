"""GANs with numbers that are not finite: a skipped update leaves nothing behind."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from undrift.data.loader import Batch
from undrift.errors import DivergedError
from undrift.randomness import Draws
from undrift.training.learner import Loss, Progress
from undrift.training.learners.gan import GANLearner
from undrift.training.loop import Trainer
from undrift.training.signals import StopSignals

from .games import GAMES, IMAGES, state, trainer


def test_a_generator_that_stays_broken_ends_the_run() -> None:
    run = trainer(GAMES["dcgan"], steps=30)
    original = run.learner.loss

    def loss(phase: str, rows: Batch, progress: Progress, draws: Draws) -> Loss:
        found = original(phase, rows, progress, draws)
        factor = float("nan") if phase == "generator" else 1.0
        return Loss(found.per_sample * factor, found.statistics)

    run.learner.loss = loss  # type: ignore[method-assign]
    with pytest.raises(DivergedError, match="10 updates in a row"):
        run.run(StopSignals())


def poisoned(name: str, call: int) -> Trainer:
    """A run whose generator is given an infinite number when it is called for the n-th time."""
    run, calls = trainer(GAMES[name], steps=9), itertools.count(1)

    def poison(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        z = given[0].clone()
        z[0, 0] = float("inf") if next(calls) == call else z[0, 0]
        return z, *given[1:]

    run.learner.networks["network"].register_forward_pre_hook(poison)
    return run


@pytest.mark.parametrize("name", ["dcgan", "sngan", "wgan_gp"])
def test_one_infinite_number_is_skipped_and_leaves_nothing_in_batch_norms(name: str) -> None:
    """It reaches their averages before anybody knows; generated images would be lost for ever."""
    run = poisoned(name, 3)
    run.run(StopSignals())
    assert run.guard.skipped == 1 and run.guard.consecutive == 0
    assert all(tensor.isfinite().all() for tensor in state(run).values())


def test_a_skipped_update_leaves_the_buffers_as_they_were() -> None:
    run = poisoned("dcgan", 6)  # two calls a step: the generator's own update of step 3
    floats = {n: b for n, b in run.learner.networks.named_buffers() if b.is_floating_point()}
    judged: list[dict[str, Tensor]] = []
    accept = run.guard.accept

    def noted(finite: bool, phase: str) -> bool:
        judged.append({name: buffer.clone() for name, buffer in floats.items()})
        return accept(finite, phase)

    run.guard.accept = noted  # type: ignore[method-assign]
    run.run(StopSignals(), until=3)
    assert run.guard.skipped == 1
    after_the_judges_update, when_refused = judged[-2:]
    assert any(not torch.equal(when_refused[name], floats[name]) for name in floats)
    assert all(torch.equal(after_the_judges_update[name], floats[name]) for name in floats)


def test_a_penalty_that_breaks_once_does_not_hold_up_the_average() -> None:
    """It is taken on every third step: the average goes on with the next step, not after three."""
    run, broken = trainer(GAMES["stylegan2"]), []
    original = run.learner.loss

    def loss(phase: str, rows: Batch, progress: Progress, draws: Draws) -> Loss:
        found = original(phase, rows, progress, draws)
        factor = float("nan") if phase == "r1" and progress.step == 0 else 1.0
        return Loss(found.per_sample * factor, found.statistics)

    run.learner.loss = loss  # type: ignore[method-assign]
    for steps, images in ((1, 0), (2, 16), (3, 24)):
        run.run(StopSignals(), until=steps)
        broken.append(run.guard.consecutive)
        assert run.ema.images == images
    assert broken == [1, 1, 1]  # checkpoints wait for the penalty to be well again


def test_what_is_generated_without_end_is_watched_without_diversity() -> None:
    learner = GANLearner(GAMES["dcgan"], seed=0)
    with torch.no_grad():
        for parameter in learner.networks["network"].parameters():
            parameter.fill_(float("inf"))
    found = learner.validate(learner.pipeline(), IMAGES.images, IMAGES.condition())
    assert found["fake_logit"] is None and "diversity" not in found
