"""N steps are k steps, a new process' worth of objects, and N - k more: bit by bit."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from undrift import randomness
from undrift.conditioning import Condition
from undrift.data import ImageSet, load
from undrift.data.loader import Batch
from undrift.data.order import EpochStream, Order
from undrift.errors import ModelFileError
from undrift.pipelines import Pipeline
from undrift.training import loop
from undrift.training.checkpoint import CheckpointStore
from undrift.training.ema import PowerEMA
from undrift.training.learner import Learner, Progress
from undrift.training.loop import Trainer
from undrift.training.optimizers import MuonConfig
from undrift.training.signals import StopSignals

from .small import ALONE, digits, learner, plan

CUTS = [int(k) for k in np.random.default_rng(7).choice(np.arange(1, 8), size=3, replace=False)]


class Watcher:
    """An observer that draws with every pipeline."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def event(self, name: str, **entries: object) -> None:
        self.seen.append(name)

    def step(self, progress: Progress) -> None: ...

    def grid(self, progress: Progress, pipelines: dict[str, Pipeline]) -> None:
        self.seen.append("drawn")
        for pipeline in pipelines.values():
            pipeline(2, steps=2)
        torch.rand(3)


def trainer(store: CheckpointStore | None, *, watched: bool = False, **changes: object) -> Trainer:
    images = digits()
    made = learner(images)
    return Trainer(
        made,
        plan(checkpoint_every=1, keep=100, grid_every=1, validate_every=1, **changes),
        images,
        validation=load("digits").split("validation") if watched else None,
        world=ALONE,
        observer=Watcher() if watched else Quiet() if store else None,
        store=store,
    )


class Quiet(Watcher):
    def grid(self, progress: Progress, pipelines: object) -> None: ...


def state(done: Trainer) -> dict[str, Tensor]:
    return {
        **{f"network/{n}": t for n, t in done.learner.networks.state_dict().items()},
        **{f"ema/{n}": t for n, t in done.ema.state().items()},
        **{f"optimizer/{n}": t for n, t in done._optimizer_state().items()},
    }


def differences(a: Trainer, b: Trainer) -> list[str]:
    ours, theirs = state(a), state(b)
    assert ours.keys() == theirs.keys()
    return [name for name in ours if not torch.equal(ours[name], theirs[name])]


def resumed(make: Callable[[], Learner], images: ImageSet, folder: Path) -> Trainer:
    """Check that four steps are the same with a stop after two; returns the uninterrupted run."""

    def trainer(store: CheckpointStore | None) -> Trainer:
        settings, watcher = plan(steps=4, checkpoint_every=1), Quiet() if store else None
        return Trainer(make(), settings, images, world=ALONE, observer=watcher, store=store)

    whole = trainer(None)
    whole.run(StopSignals())
    first = trainer(CheckpointStore(folder))
    first.run(StopSignals(), until=2)
    second = trainer(CheckpointStore(folder))
    checkpoint = CheckpointStore(folder).newest()
    assert checkpoint is not None and checkpoint.step == 2
    second.restore(checkpoint)
    second.run(StopSignals())
    assert differences(whole, second) == []
    assert differences(whole, first) != []
    return whole


def whole(**changes: object) -> Trainer:
    straight = trainer(None, **changes)
    straight.run(StopSignals())
    return straight


@functools.cache
def undisturbed(micro_batch: int | None = None) -> Trainer:
    return whole(micro_batch=micro_batch)


def cut(
    directory: Path,
    k: int,
    *,
    watched: bool = False,
    drop: tuple[str, ...] = (),
    new_process: Callable[[], object] = lambda: None,
    **changes: object,
) -> Trainer:
    """Train k steps with checkpoints, then everything anew from the newest one to the end."""
    first = trainer(CheckpointStore(directory), watched=watched, **changes)
    if not watched:
        first._observer = Quiet()
    first.run(StopSignals(), until=k)
    checkpoint = CheckpointStore(directory).newest()
    assert checkpoint is not None and checkpoint.step == k
    new_process()
    second = trainer(CheckpointStore(directory), watched=watched, **changes)
    if not watched:
        second._observer = Quiet()
    untouched = {name: tensor.clone() for name, tensor in second.ema.state().items()}
    second.restore(checkpoint)
    if "ema" in drop:
        second.ema.load_state(untouched)
        second.ema.images = checkpoint.state["images"]
    if "optimizer" in drop:
        for optimizers in second._optimizers.values():
            for optimizer in optimizers:
                optimizer.state.clear()
    second.run(StopSignals())
    return second


@pytest.mark.parametrize("k", CUTS)
@pytest.mark.parametrize("micro_batch", [None, 5])
def test_resume_is_bit_equal(tmp_path: Path, k: int, micro_batch: int | None) -> None:
    second = cut(tmp_path, k, micro_batch=micro_batch)
    assert differences(undisturbed(micro_batch), second) == []


def test_looking_changes_nothing(tmp_path: Path) -> None:
    watched = cut(tmp_path, 3, watched=True)
    assert {"drawn", "validation", "checkpoint", "train"} <= set(watched._observer.seen)
    assert differences(undisturbed(), watched) == []


def test_muon_resumes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from . import small

    original = small.model
    monkeypatch.setattr(
        small, "model", lambda images, **c: original(images, optimizer=MuonConfig(), **c)
    )
    assert differences(whole(), cut(tmp_path, 4)) == []


@pytest.mark.parametrize("dropped", ["ema", "optimizer"])
def test_a_checkpoint_without_it_fails(tmp_path: Path, dropped: str) -> None:
    wrong = differences(undisturbed(), cut(tmp_path, 3, drop=(dropped,)))
    assert any(name.startswith(f"{dropped}/") for name in wrong)


def test_a_step_left_out_of_a_key_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a count of calls for the step, which a new process starts at 0, a resume differs."""
    calls = [0]

    def forgetful(self: randomness.Draws, purpose: str) -> torch.Generator:
        calls[0] += 1
        return randomness.generator(self.seed, purpose, calls[0], device=self.device)

    monkeypatch.setattr(randomness.Draws, "_generator", forgetful)
    straight = whole()
    calls[0] = 0
    twice = whole()
    assert differences(straight, twice) == []  # the mutant itself is deterministic
    calls[0] = 0
    assert (
        differences(straight, cut(tmp_path, 3, new_process=lambda: calls.__setitem__(0, 0))) != []
    )


def test_an_unnamed_dropout_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = torch.manual_seed
    monkeypatch.setattr(loop.torch, "manual_seed", lambda _: None)
    seed(0)
    straight = whole()
    seed(0)
    assert differences(straight, whole()) == []
    seed(0)
    assert differences(straight, cut(tmp_path, 3, new_process=lambda: seed(0))) != []


def test_data_order_is_a_function_of_the_step() -> None:
    straight = [EpochStream(50, 1, 16).indices(step) for step in range(12)]
    again = EpochStream(50, 1, 16)
    for step in (11, 3, 7):
        np.testing.assert_array_equal(again.indices(step), straight[step])


def test_micro_batches_see_what_one_batch_sees() -> None:
    """The same losses, so the same gradients to float tolerance; dropout is off for that."""
    from undrift.networks import UNetConfig

    images = digits()
    network = UNetConfig(width=8, multipliers=(1, 2), blocks=1)
    finals = []
    for micro in (None, 4):
        made = learner(images, network=network)
        done = Trainer(made, plan(micro_batch=micro, steps=3), images, world=ALONE)
        done.run(StopSignals())
        finals.append(state(done))
    for name, tensor in finals[0].items():
        torch.testing.assert_close(finals[1][name], tensor, rtol=1e-3, atol=2e-5, msg=name)


def test_the_ema_is_not_the_network() -> None:
    done = undisturbed()
    raw = loop.averaged_tensors(done.learner)
    average: PowerEMA = done.ema
    assert any(not torch.equal(t, raw[n]) for n, t in average.weights(0.05).items())


@pytest.mark.parametrize(
    "state", [{"images": 64}, {"images": 64, "consecutive": "1", "skipped": 0}]
)
def test_a_damaged_state_is_refused_by_name(tmp_path: Path, state: dict[str, object]) -> None:
    first = trainer(CheckpointStore(tmp_path))
    first._observer = Quiet()
    first.run(StopSignals(), until=1)
    checkpoint = CheckpointStore(tmp_path).newest()
    assert checkpoint is not None
    with pytest.raises(ModelFileError, match=r"checkpoint 1: state: .*consecutive.*older one"):
        trainer(None).restore(replace(checkpoint, state=state))


class Stripes:
    """Batches that no data set holds: images made for the step that trains on them."""

    waited = 0.0

    def batches(self, order: Order, *, rows: slice, device: torch.device, start_step: int):
        made = Stripes()
        made.order, made.rows, made.step = order, rows, start_step
        return made

    def __enter__(self) -> Stripes:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Iterator[Batch]:
        for step in itertools.count(self.step):
            draws = torch.Generator().manual_seed(1000 * self.order.seed + step)
            tones = torch.randint(0, 256, (self.order.batch, 1, 1, 8), generator=draws)
            images = tones.to(torch.uint8).expand(-1, -1, 8, -1).contiguous()
            labels = torch.zeros(self.order.batch, dtype=torch.int64)
            yield Batch(images, Condition({"labels": labels}))[self.rows]


def test_batches_may_come_from_any_source_and_resumes_are_exact(tmp_path):
    def made(store: CheckpointStore | None) -> Trainer:
        watcher = Quiet() if store else None
        settings = plan(steps=4, checkpoint_every=1)
        return Trainer(
            learner(digits()), settings, Stripes(), world=ALONE, observer=watcher, store=store
        )

    whole = made(None)
    whole.run(StopSignals())
    first = made(CheckpointStore(tmp_path))
    first.run(StopSignals(), until=2)
    second = made(CheckpointStore(tmp_path))
    second.restore(CheckpointStore(tmp_path).newest())
    second.run(StopSignals())
    for name, tensor in state(whole).items():
        assert torch.equal(tensor, state(second)[name]), name
