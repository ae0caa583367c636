"""The training loop: one for every learner.

State is a pure function of (seed, step): data order, noise, label drops and dropout are all drawn
by name, so N steps are the same as k steps, a kill, and N - k more. Side tasks
(checkpoints, grids, validation, logs) draw under names of their own and change nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from undrift.advice import named
from undrift.data.loader import Batch, BatchSource, HeldOut
from undrift.data.order import Order
from undrift.errors import ModelFileError, UsageError
from undrift.json_types import JsonValue
from undrift.pipelines import Pipeline
from undrift.randomness import Draws, key
from undrift.schema import from_plain, to_plain
from undrift.training.cadence import Cadence
from undrift.training.checkpoint import Checkpoint, CheckpointStore
from undrift.training.distributed import World
from undrift.training.ema import PowerEMA
from undrift.training.guards import BufferSnapshot, NonFiniteGuard, clip, gradient_norm
from undrift.training.learner import Learner, Phase, Progress
from undrift.training.losses import LossLog
from undrift.training.optimizers import (
    build_optimizers,
    load_optimizer_tensors,
    optimizer_tensors,
    set_learning_rate,
)
from undrift.training.pacing import Pace, Pacing
from undrift.training.plan import TrainingPlan
from undrift.training.signals import StopSignals
from undrift.training.snapshots import SnapshotStore, snapshot_due


class Observer(Protocol):
    """Callbacks of the loop; only the first rank has one."""

    def event(self, name: str, **entries: JsonValue) -> None:
        """Record an event of the run."""
        ...

    def step(self, progress: Progress) -> None:
        """Called after every update."""
        ...

    def grid(self, progress: Progress, pipelines: Mapping[str, Pipeline]) -> None:
        """Draw a sample grid with each pipeline: ``ema``, the averaged weights, and ``raw``."""
        ...

    def evaluate(self, progress: Progress, pipeline: Pipeline) -> None:
        """Measure samples of the averaged weights."""
        ...


@dataclass(frozen=True)
class LoopState:
    """What a checkpoint holds of the loop beside tensors.

    Attributes:
        images: real images seen.
        consecutive: steps skipped as non-finite, one after another, just before.
        skipped: all steps skipped.
    """

    images: int
    consecutive: int
    skipped: int


class Trainer:
    """Trains a learner according to a plan.

    Args:
        learner: what to train.
        plan: how.
        images: makes the batches; usually the training split.
        validation: held-out images, if any.
        world: this process among the ranks.
        observer: receives events and pipelines; None on all ranks but the first, and in probes.
        store: where checkpoints go; None: nowhere.
        snapshots: where EMA snapshots go; None: nowhere.
        first_validation_seconds: cost of a validation and a grid: the first come when that is
            a small share of the time; 0: early in the run.
        pacing: changes the length of the run to keep a time budget; None: it stays.
    """

    def __init__(
        self,
        learner: Learner,
        plan: TrainingPlan,
        images: BatchSource,
        *,
        validation: HeldOut | None = None,
        world: World,
        observer: Observer | None = None,
        store: CheckpointStore | None = None,
        snapshots: SnapshotStore | None = None,
        first_validation_seconds: float = 0.0,
        pacing: Pacing | None = None,
    ) -> None:
        self.learner = learner
        self.plan = plan
        self.images = images
        self.step = 0
        self.guard = NonFiniteGuard()
        self._buffers = BufferSnapshot(learner.networks)
        self._made: dict[str, Pipeline] = {}
        self._validation = validation
        self._world = world
        self._observer = observer
        self._store = store
        self._snapshots = snapshots
        self._pacing = pacing
        self._pace = Pace()
        self._rows = world.rows(plan.batch_size)
        self._optimizers: dict[str, list[Optimizer]] = {
            group.name: build_optimizers(group.module.named_parameters(), group.optimizer)
            for group in learner.groups
        }
        self.ema = PowerEMA(averaged_tensors(learner), plan.ema)
        world.broadcast(tensor for tensor in learner.networks.state_dict().values())
        self._log = LossLog(learner.phases[0].name)
        self._checkpointing = Cadence(plan.checkpoint_every, interval=30)
        self._drawing = Cadence(
            plan.grid_every, interval=6, growth=1.5, most=1800, cost=first_validation_seconds
        )
        self._validating = Cadence(
            plan.validate_every, interval=4, growth=1.15, most=600, cost=first_validation_seconds
        )
        self._logging = Cadence(None, interval=1, growth=1.02, most=30)

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        plan = self.plan
        images = self.step * plan.batch_size
        return Progress(self.step, plan.steps, images, plan.progress(self.step))

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint.

        Raises:
            ModelFileError: if it belongs to another network or optimiser, or its state is damaged.
        """
        try:
            self.learner.networks.load_state_dict(checkpoint.tensors["network"])
            self.learner.buffers.load_state_dict(checkpoint.tensors["buffers"])
        except RuntimeError as error:
            raise ModelFileError(
                f"checkpoint {checkpoint.step}: it was saved by a run with another network "
                f"({str(error).splitlines()[0]}); start anew with another {named('out')}"
            ) from error
        self.ema.load_state(checkpoint.tensors["ema"])
        for group in self.learner.groups:
            load_optimizer_tensors(
                self._optimizers[group.name],
                group.module.named_parameters(),
                _with_prefix(checkpoint.tensors["optimizer"], group.name),
            )
        try:
            state = from_plain(LoopState, checkpoint.state, f"checkpoint {checkpoint.step}: state")
        except UsageError as error:
            raise ModelFileError(f"{error}; delete this checkpoint to use an older one") from error
        self.guard = NonFiniteGuard(state.consecutive, state.skipped)
        self.step = checkpoint.step

    def run(self, stop: StopSignals, until: int | None = None) -> None:
        """Train to the end of the plan, or to update ``until``.

        Args:
            stop: read between updates; a received signal saves a checkpoint and raises.
            until: number of updates to have made in all.

        Raises:
            DivergedError: after too many non-finite updates in a row.
            TerminatedError: after SIGTERM.
            InterruptedRunError: after Ctrl-C.
        """
        if self.step < (self.plan.steps if until is None else until):
            for step in self.updates(stop):
                if step >= (self.plan.steps if until is None else until):
                    break

    def updates(self, stop: StopSignals) -> Iterator[int]:
        """Make one update after another for ever, yielding their number; ``run`` says more."""
        self.learner.networks.train()
        order = Order(self.plan.seed, self.plan.batch_size, self.plan.balance)
        rows, device = slice(*self._rows), self._world.device
        with self.images.batches(order, rows=rows, device=device, start_step=self.step) as batches:
            for batch in batches:
                self._update(batch)
                self._replan()
                self._side_tasks(batches.waited)
                self._stop_if_signalled(stop)
                yield self.step

    def _update(self, batch: Batch) -> None:
        """One step: every phase that is due."""
        skipped = self.guard.skipped
        for phase in self.learner.phases:
            if phase.due(self.step):
                self._phase(phase, batch)
        self.step += 1
        if self.guard.skipped == skipped:
            self.ema.update(self.progress.images)
        if self._snapshots is not None:
            if snapshot_due(self.plan.progress(self.step - 1), self.plan.progress(self.step)):
                self._snapshots.save(self.step, self.ema)
        self._pace.add()

    def _phase(self, phase: Phase, batch: Batch) -> None:
        group = next(g for g in self.learner.groups if g.name == phase.group)
        optimizers = self._optimizers[group.name]
        rate = set_learning_rate(
            optimizers,
            self.plan.learning_rate.factor(self.plan.progress(self.step + 0.5)),
            self.progress.fraction,
        )
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        self._buffers.take()
        total, statistics = self._backward(phase, batch)
        self._world.sum_gradients(group.module.parameters())
        norm = gradient_norm(group.module)
        # One transfer says whether both are finite; ranks agree, or their weights would part.
        loss, size = torch.stack([total, norm.to(total.device)]).tolist()
        broken = self._world.any([not (_finite(loss) and _finite(size))])[0]
        if self.guard.accept(not broken, phase.name):
            clip(group.module, norm, self.plan.clip)
            for optimizer in optimizers:
                optimizer.step()
            self.learner.after_step(phase.name, statistics)
            self._log.add(phase.name, size, rate)
        else:
            self._buffers.restore()
            self._log.discard()
            self._event("skip", step=self.step + 1, reason=f"loss {loss}, gradient norm {size}")
            self.guard.check(self.step + 1, self._newest())

    def _backward(self, phase: Phase, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Accumulate gradients over micro-batches.

        Returns:
            This rank's sum of losses, and the statistics of the whole global batch.
        """
        start, stop = self._rows
        size = self.plan.micro_batch or stop - start
        total = torch.zeros((), device=self._world.device)
        precision = torch.autocast(
            self._world.device.type,
            dtype=torch.bfloat16,
            enabled=self.plan.precision == "bfloat16",
        )
        plan, device = self.plan, self._world.device
        draws = Draws(plan.seed, self.step, plan.batch_size, start, stop, device)
        statistics: dict[str, list[Tensor]] = {}
        for number, first in enumerate(range(start, stop, size)):
            end = min(first + size, stop)
            rows = slice(first - start, end - start)
            part = batch[rows]
            # Dropout inside networks draws from the global stream; naming it makes resumes exact.
            torch.manual_seed(
                key(self.plan.seed, "dropout", phase.name, self.step, self._world.rank, number)
            )
            with precision:
                loss = self.learner.loss(phase.name, part, self.progress, draws.part(first, end))
            (loss.per_sample.sum() / self.plan.batch_size).backward()
            total += loss.per_sample.detach().sum()
            self._log.collect(loss)
            for name, values in loss.statistics.items():
                statistics.setdefault(name, []).append(values)
        return total, {n: self._world.gather(torch.cat(v)) for n, v in statistics.items()}

    def _side_tasks(self, waited: float) -> None:
        """Side tasks, which do not change what is trained."""
        final = self.step == self.plan.steps
        if self._observer is None:
            return
        self._observer.step(self.progress)
        if (self._logging.due(self.step) or final or self.step == 1) and self._log.steps:
            self._observer.event(
                "train",
                step=self.step,
                images=self.progress.images,
                skipped=self.guard.skipped,
                **self._log.summary(self.plan.batch_size, waited, len(self.learner.phases)),
            )
            self._logging.done(0)
        if self._validation is not None and (self._validating.due(self.step) or final):
            self._validating.done(self._timed(self._validate))
        if self._drawing.due(self.step) or final:
            self._drawing.done(self._timed(self._draw))
        every = self.plan.evaluate_every
        if every is not None and (self.step % every == 0 or final):
            self._timed(self._evaluate)
        self._made.clear()
        # The weights of a failing run must not push out good ones.
        healthy = self.guard.consecutive == 0
        if self._store is not None and (final or (healthy and self._checkpointing.due(self.step))):
            self._checkpointing.done(self._timed(self.save))

    def _timed(self, task: Callable[[], None]) -> float:
        """Seconds that ``task()`` takes; they are not charged to the training rate."""
        before = time.perf_counter()
        task()
        seconds = time.perf_counter() - before
        self._log.exclude(seconds)
        self._pace.exclude(seconds)
        return seconds

    def _replan(self) -> None:
        """Change the length of the run where its pacing does so, on all ranks alike."""
        if self._pacing is not None:
            self.plan = self._pacing.replan(self.plan, self.step, self._pace)

    def _validate(self) -> None:
        if self._validation is None:
            return
        for name, pipeline in self._pipelines():
            before = time.perf_counter()
            entries = self.learner.validate(
                pipeline, self._validation.images, self._validation.condition()
            )
            if entries:
                self._event(
                    "validation",
                    step=self.step,
                    images=self.progress.images,
                    weights=name,
                    seconds=time.perf_counter() - before,
                    **entries,
                )

    def _draw(self) -> None:
        if self._observer is not None:
            self._observer.grid(self.progress, dict(self._pipelines()))

    def _evaluate(self) -> None:
        if self._observer is not None:
            _, averaged = next(self._pipelines())
            self._observer.evaluate(self.progress, averaged)

    def _pipelines(self) -> Iterator[tuple[str, Pipeline]]:
        """Pipelines of the averaged weights and of the raw ones, each made once in a step."""
        for name in ("ema", "raw"):
            if name not in self._made:
                raw = averaged_tensors(self.learner)
                weights = self.ema.weights(self.plan.ema[0]) if name == "ema" else raw
                self._made[name] = self.learner.pipeline(weights)
            yield name, self._made[name]

    def save(self) -> None:
        """Write a checkpoint of this step, then drop the oldest."""
        if self._store is None:
            return
        before = time.perf_counter()
        written = self._store.save(
            self.step,
            {
                "network": self.learner.networks.state_dict(),
                "buffers": self.learner.buffers.state_dict(),
                "ema": self.ema.state(),
                "optimizer": self._optimizer_state(),
            },
            to_plain(LoopState(self.progress.images, self.guard.consecutive, self.guard.skipped)),
        )
        self._store.prune(self.plan.keep)
        seconds = time.perf_counter() - before
        self._event("checkpoint", step=self.step, seconds=seconds, bytes=written)

    def _optimizer_state(self) -> dict[str, Tensor]:
        return {
            f"{group.name}.{name}": tensor
            for group in self.learner.groups
            for name, tensor in optimizer_tensors(
                self._optimizers[group.name], group.module.named_parameters()
            ).items()
        }

    def _newest(self) -> int | None:
        steps = self._store.steps() if self._store is not None else []
        return max(steps) if steps else None

    def _stop_if_signalled(self, stop: StopSignals) -> None:
        stopping = self._world.any([stop.received is not None])[0]
        if not stopping or self.step == self.plan.steps:
            return
        if self._observer is not None and self._newest() != self.step:
            self.save()
        raise stop.error(f"stopped after step {self.step} of {self.plan.steps}, checkpoint saved")

    def _event(self, name: str, **entries: JsonValue) -> None:
        if self._observer is not None:
            self._observer.event(name, **entries)


def averaged_tensors(learner: Learner) -> dict[str, Tensor]:
    """Parameters and buffers of the averaged networks, by ``<network>.<name>``; not copies."""
    return {
        f"{name}.{entry}": tensor
        for name, module in learner.averaged.items()
        for entry, tensor in module.state_dict().items()
    }


def _with_prefix(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    prefix = f"{group}."
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _finite(value: float) -> bool:
    return value - value == 0
