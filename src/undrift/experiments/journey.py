"""From a folder of images to a trained, sampled and reported model: ``undrift train``."""

from __future__ import annotations

import contextlib
import copy
import os
import shlex
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from undrift.codec import build_codec
from undrift.data import ImageSet
from undrift.errors import (
    DivergedError,
    InterruptedRunError,
    TerminatedError,
    UsageError,
)
from undrift.experiments.closing import close_run
from undrift.runs import configuration
from undrift.runs.configuration import RunConfig, first_difference
from undrift.runs.directory import RunDirectory, new_directory, point_latest
from undrift.runs.environment import describe_environment
from undrift.runs.events import EventLog
from undrift.runs.images import load_images
from undrift.runs.initial import copy_weights
from undrift.runs.loading import configuration_of, load_pipeline
from undrift.runs.log import RunLog
from undrift.runs.recipes import choose_device, resolve
from undrift.runs.recorder import Recorder
from undrift.runs.settings import TrainSettings, seconds
from undrift.training.checkpoint import Checkpoint, CheckpointStore
from undrift.training.distributed import World
from undrift.training.gaussian import spectrum
from undrift.training.learners.diffusion import DiffusionLearner
from undrift.training.lock import FileLock
from undrift.training.loop import Trainer
from undrift.training.memory import is_out_of_memory
from undrift.training.probe import MOST_SECONDS, SHARE, fit_micro_batch, measure
from undrift.training.signals import StopSignals
from undrift.training.snapshots import SnapshotStore

RESERVE = 0.06
"""Share of a budget kept for looking: validation, grids, checkpoints and the last of each."""

SPECTRUM_IMAGES = 2048


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        directory: where everything is.
        pipeline: what ``Pipeline.from_pretrained`` loads.
        report: the page to look at.
        trained: False if the run had finished before and nothing was changed.
    """

    directory: Path
    pipeline: Path
    report: Path
    trained: bool = True


def train_with(
    source: str | os.PathLike[str] | None,
    settings: TrainSettings,
    *,
    out: str | os.PathLike[str] | None,
    config: str | os.PathLike[str] | None,
    network: nn.Module | None,
    console: Console,
) -> Run:
    """``undrift.train`` with its settings in one piece.

    Args:
        source: ``digits``, or a folder, zip, npz, npy or idx data set; None with ``config``.
        settings: what to ask for; the recipe chooses the rest.
        out: the run's directory; a free one in ``runs/`` by default.
        config: a ``config.yaml`` to repeat, in place of ``source`` and ``settings``.
        network: the user's own network in place of the recipe's.
        console: where to show progress.

    Raises:
        UsageError: settings that cannot be, or an ``out`` that holds something else.
        DataError: images that are missing, empty or too broken.
        ModelFileError: a damaged checkpoint.
        DivergedError: training that cannot go on.
        TerminatedError: after SIGTERM; the same call resumes.
        InterruptedRunError: after Ctrl-C; the same call resumes.
    """
    given = None if config is None else configuration.load(config)
    name = os.fspath(source) if source is not None else (given.data.source if given else "")
    if not name:
        raise UsageError("no data given; name a folder of images, or try `undrift train digits`")
    run = RunDirectory(out) if out is not None else new_directory(name)
    device = choose_device(given.training.device if given else settings.device)
    with World.join(device) as world, torch.random.fork_rng():
        if world.first:
            run.prepare()
        world.barrier()
        lock, threads = FileLock(run.path), torch.get_num_threads()
        if world.first:
            lock.acquire()
        try:
            with StopSignals() as stop:
                journey = _Journey(run, console, network, world, lock, stop)
                return journey.go(name, settings, given, device)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise UsageError(
                "the training step does not fit into memory; give a smaller --micro-batch, "
                "--batch-size or --size"
            ) from error
        finally:
            lock.release()
            torch.set_num_threads(threads)


class _Journey:
    """One run, while it is locked."""

    def __init__(
        self,
        run: RunDirectory,
        console: Console,
        network: nn.Module | None,
        world: World,
        lock: FileLock,
        stop: StopSignals,
    ) -> None:
        self._run = run
        self._stop = stop
        self._lock = lock
        self._log = RunLog(console, run.path / "log.txt" if world.first else None)
        self._network = network
        self._world = world
        self._probe_seconds = 0.0

    def go(self, source: str, settings: TrainSettings, given: RunConfig | None, device: str) -> Run:
        stored = configuration_of(self._run) if self._run.is_run else None
        data = load_images(source, settings if given is None else given.data)
        asked = given or resolve(
            source, settings, data, device=device, own_network=self._network is not None
        )
        if given is not None and given.data.fingerprint != data.fingerprint:
            raise UsageError(
                f"--config: {source} does not hold the images that it was made for; "
                "start a new run with `undrift train DATA`"
            )
        status = self._run.status()
        # An extension writes its configuration first: a status of fewer steps is out of date.
        finished = (
            stored is not None
            and status.get("state") == "done"
            and status.get("steps") == stored.training.steps
        )
        self._world.barrier()  # every rank has read before the first one writes
        if stored is not None and not (finished and settings.extend):
            asked = self._agreed(stored, asked, settings)
            if finished:
                self._log.console.print(f"{self._run.path} is finished; nothing to do")
                return self._result(trained=False)
        elif stored is not None:
            self._check_extension(stored, asked)
        torch.set_num_threads(asked.training.threads)
        if stored is None or finished:
            asked = self._measured(asked, data)
            if finished and stored is not None and asked.training.steps <= stored.training.steps:
                raise UsageError(
                    f"--extend: {asked.training.steps} steps are no more than the "
                    f"{stored.training.steps} made; ask for more"
                )
            self._check_stop("before the first step")
            self._begin(asked, data)
        try:
            self._train(asked, data)
            if self._world.first:
                self._close(asked, data)
        except (TerminatedError, InterruptedRunError) as error:
            self._end("interrupted", asked)
            config, out = str(self._run.config), str(self._run.path)
            resume = shlex.join(["undrift", "train", "--config", config, "--out", out])
            raise type(error)(f"{error}; to go on: {resume}") from error
        except DivergedError:
            self._end("failed", asked)
            raise
        except BaseException:
            self._end("interrupted", asked)
            raise
        return self._result(trained=True)

    def _close(self, config: RunConfig, data: ImageSet) -> None:
        def check(*_: int) -> None:
            self._check_stop("after the last step, before the report")

        close_run(self._run, config, data, self._log, self._network, check)
        plan = config.training
        self._note("done", step=plan.steps, images=plan.steps * plan.batch_size)
        self._run.write_status("done", plan.steps, plan.steps)

    def _check_stop(self, where: str) -> None:
        if self._stop.received is not None:
            raise self._stop.error(f"stopped {where}")

    def _agreed(self, stored: RunConfig, asked: RunConfig, settings: TrainSettings) -> RunConfig:
        if settings.threads is None:
            threads = stored.training.threads
            asked = replace(asked, training=replace(asked.training, threads=threads))
        if difference := first_difference(stored, asked):
            raise UsageError(
                f"--out {self._run.path}: it holds a run with other settings: {difference}; "
                "name another folder"
            )
        return stored

    def _check_extension(self, stored: RunConfig, asked: RunConfig) -> None:
        """Only the length may differ."""
        same = replace(
            asked,
            budget=stored.budget,
            training=replace(
                asked.training, steps=stored.training.steps, threads=stored.training.threads
            ),
        )
        if difference := first_difference(stored, same):
            raise UsageError(
                f"--extend: only the length may change, but {difference}; repeat the run's settings"
            )

    def _measured(self, config: RunConfig, data: ImageSet) -> RunConfig:
        """Fill in what only the machine knows: the micro-batch and, under a budget, the steps."""
        train = data.split("train")
        began = time.perf_counter()

        def fresh() -> DiffusionLearner:
            return self._learner(config, copy.deepcopy(self._network))

        micro = config.training.micro_batch
        if config.training.device == "cuda":
            micro = fit_micro_batch(fresh, config.training, train, self._world)
        plan = replace(config.training, micro_batch=micro)
        if config.budget is None:
            return replace(config, training=plan)
        allowed = seconds(config.budget)
        pace = measure(fresh, plan, train, self._world, min(MOST_SECONDS, SHARE * allowed))
        left = allowed * (1 - RESERVE) - (time.perf_counter() - began)
        steps = torch.tensor(max(1, int(left / pace)), device=self._world.device)
        self._world.broadcast([steps])
        self._log.say(
            f"probe: {plan.batch_size / pace:.0f} images/s, so {int(steps)} steps of "
            f"{plan.batch_size} images fit into {config.budget}"
        )
        self._probe_seconds = time.perf_counter() - began
        return replace(config, training=replace(plan, steps=int(steps)), seconds_per_step=pace)

    def _begin(self, config: RunConfig, data: ImageSet) -> None:
        """Write what start-up writes; the configuration last."""
        if not self._world.first:
            return
        self._run.write_json("environment.json", describe_environment(config.training.device))
        self._run.write_json("data.json", data.report.to_json())
        self._run.write_text("config.yaml", configuration.dump(config))
        self._run.write_status("running", 0, config.training.steps)
        point_latest(self._run)

    def _train(self, config: RunConfig, data: ImageSet) -> None:
        train, validation = data.split("train"), data.split("validation")
        learner = self._learner(config, self._network, self._eigenvalues(config, train))
        store = CheckpointStore(self._run.checkpoints)
        snapshots = SnapshotStore(self._run.snapshots)
        if self._world.first:
            store.sweep(self._lock)
            snapshots.sweep(self._lock)
        checkpoint = self._newest(store)
        if config.init is not None and checkpoint is None:
            fresh = copy_weights(load_pipeline(config.init, network=self._network), learner)
            self._log.say(f"started from {config.init}; new classes: {', '.join(fresh) or 'none'}")
        events = EventLog(self._run.events) if self._world.first else None
        recorder = None
        if events is not None:
            recorder = Recorder(self._run, events, learner, self._log)
        trainer = Trainer(
            learner,
            config.training,
            train,
            validation=validation if len(validation) else None,
            world=self._world,
            observer=recorder,
            store=store if self._world.first else None,
            snapshots=snapshots if self._world.first else None,
        )
        if checkpoint is not None:
            trainer.restore(checkpoint)
        if events is not None:
            events.write("start", step=trainer.step)
            if config.seconds_per_step is not None and trainer.step == 0:
                events.write(
                    "probe",
                    seconds_per_step=config.seconds_per_step,
                    steps=config.training.steps,
                    seconds=self._probe_seconds,
                )
        try:
            with recorder or contextlib.nullcontext():
                trainer.run(self._stop)
        finally:
            if events is not None:
                events.close()

    def _newest(self, store: CheckpointStore) -> Checkpoint | None:
        checkpoint = store.newest()
        for skip in checkpoint.skipped if checkpoint is not None else ():
            self._log.say(f"passed over checkpoint {skip.step}: {skip.reason}")
        return checkpoint

    def _learner(
        self, config: RunConfig, network: nn.Module | None, eigenvalues: Tensor | None = None
    ) -> DiffusionLearner:
        return DiffusionLearner(
            config.model,
            config.training.seed,
            self._world.device,
            network=network,
            eigenvalues=eigenvalues,
        )

    def _eigenvalues(self, config: RunConfig, train: ImageSet) -> Tensor:
        count = min(len(train), SPECTRUM_IMAGES)
        rows = np.linspace(0, len(train) - 1, count).astype(np.int64)
        pixels = torch.from_numpy(train.take(rows).transpose(0, 3, 1, 2).copy())
        return spectrum(build_codec(config.model.codec).encode(pixels))

    def _note(self, event: str, **entries: Any) -> None:
        log = EventLog(self._run.events)
        log.write(event, **entries)
        log.close()

    def _end(self, state: str, config: RunConfig) -> None:
        if self._world.first:
            steps = CheckpointStore(self._run.checkpoints).steps()
            self._run.write_status(state, max(steps, default=0), config.training.steps)

    def _result(self, *, trained: bool) -> Run:
        return Run(self._run.path, self._run.pipeline, self._run.report, trained)
