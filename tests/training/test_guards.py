"""Non-finite steps are skipped, counted and logged; ten in a row end the run."""

from __future__ import annotations

import pytest
import torch

from undrift.errors import DivergedError
from undrift.training.guards import clip, gradient_norm
from undrift.training.learner import Loss, Progress
from undrift.training.loop import Trainer
from undrift.training.signals import StopSignals

from .small import ALONE, digits, learner, plan


class Notes:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def event(self, name: str, **entries: object) -> None:
        self.events.append((name, entries))

    def step(self, progress: Progress) -> None: ...

    def grid(self, progress: Progress, weights: object) -> None: ...


def trainer(poisoned: set[int], steps: int = 6) -> tuple[Trainer, Notes]:
    images = digits()
    made = learner(images)
    original, notes = made.loss, Notes()

    def loss(phase: str, batch: object, progress: Progress, draws: object) -> Loss:
        result = original(phase, batch, progress, draws)
        factor = float("nan") if progress.step in poisoned else 1.0
        return Loss(result.per_sample * factor, result.statistics)

    made.loss = loss  # type: ignore[method-assign]
    return Trainer(made, plan(steps=steps), images, world=ALONE, observer=notes), notes


def test_a_skipped_step_leaves_everything_as_it_was() -> None:
    run, notes = trainer({2})
    run.run(StopSignals(), until=2)
    before = {n: t.clone() for n, t in run.learner.networks.state_dict().items()}
    average = {n: t.clone() for n, t in run.ema.state().items()}
    run.run(StopSignals(), until=3)
    assert all(torch.equal(t, before[n]) for n, t in run.learner.networks.state_dict().items())
    assert all(torch.equal(t, average[n]) for n, t in run.ema.state().items())
    run.run(StopSignals())
    assert run.step == 6 and run.guard.skipped == 1 and run.guard.consecutive == 0
    assert any(not torch.equal(t, before[n]) for n, t in run.learner.networks.state_dict().items())
    skips = [entries for name, entries in notes.events if name == "skip"]
    assert len(skips) == 1 and skips[0]["step"] == 3 and "nan" in str(skips[0]["reason"])


def test_ten_in_a_row_end_the_run() -> None:
    run, notes = trainer(set(range(100)), steps=30)
    with pytest.raises(
        DivergedError, match="10 updates in a row .*no checkpoint from before.*lower learning_rate"
    ):
        run.run(StopSignals())
    assert sum(name == "skip" for name, _ in notes.events) == 10
    assert DivergedError.exit_code == 5


def test_nine_in_a_row_do_not() -> None:
    run, _ = trainer(set(range(9)), steps=12)
    run.run(StopSignals())
    assert run.guard.skipped == 9


def test_norm_and_clipping_are_torchs() -> None:
    module = torch.nn.Linear(7, 5)
    (module(torch.randn(3, 7)) ** 2).sum().backward()
    reference = torch.nn.Linear(7, 5)
    for ours, theirs in zip(module.parameters(), reference.parameters(), strict=True):
        theirs.grad = ours.grad.clone()
    norm = gradient_norm(module)
    wanted = torch.nn.utils.clip_grad_norm_(reference.parameters(), 0.1)
    torch.testing.assert_close(norm, wanted)
    clip(module, norm, 0.1)
    for ours, theirs in zip(module.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-7)


def test_small_gradients_are_not_enlarged() -> None:
    module = torch.nn.Linear(2, 1)
    module.weight.grad = torch.full((1, 2), 0.01)
    clip(module, gradient_norm(module), 1.0)
    torch.testing.assert_close(module.weight.grad, torch.full((1, 2), 0.01))
