"""From a folder of images to a trained, sampled and reported model: ``undrift train``."""

from __future__ import annotations

import contextlib
import copy
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from undrift.advice import possible
from undrift.codec import build_codec
from undrift.data import ImageSet
from undrift.data.findings import finding_lines
from undrift.data.loader import as_batch
from undrift.errors import (
    DivergedError,
    InterruptedRunError,
    TerminatedError,
    UsageError,
    one_line,
)
from undrift.families import family_of, family_of_method
from undrift.files.lock import FileLock
from undrift.names import printable
from undrift.options.train import TrainOptions
from undrift.runs import configuration
from undrift.runs.configuration import RunConfig
from undrift.runs.directory import RunDirectory, new_directory, point_latest
from undrift.runs.environment import describe_environment
from undrift.runs.events import EventLog
from undrift.runs.expectation import expectation_of
from undrift.runs.images import changed_since, load_images
from undrift.runs.judge import Judge
from undrift.runs.loading import configuration_of, load_pipeline
from undrift.runs.log import RunLog
from undrift.runs.progress import OnTraining
from undrift.runs.recipes import build_learner, choose_device, resolve
from undrift.runs.recorder import Recorder
from undrift.runs.training_facts import training_facts
from undrift.training.checkpoint import Checkpoint, CheckpointStore
from undrift.training.compiling import is_from_compiler
from undrift.training.distributed import World
from undrift.training.gaussian import spectrum
from undrift.training.learner import Learner
from undrift.training.loop import Trainer
from undrift.training.memory import is_out_of_memory
from undrift.training.signals import StopSignals
from undrift.training.snapshots import SnapshotStore
from undrift.wording import duration, plural
from undrift.workflows.closing import close_run, closing_seconds
from undrift.workflows.pacing import BudgetPacing
from undrift.workflows.planning import (
    Start,
    check_longer,
    find_start,
    fit_to_machine,
    is_finished,
    late_look_seconds,
    plan_run,
    resume_command,
    stored_device,
)

SPECTRUM_IMAGES = 20_000
SPECTRUM_CHUNK = 64
"""Training images that the reference curve is made from, and how many are in memory at once."""


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

    def __repr__(self) -> str:
        return f"<Run {self.directory}: {'trained' if self.trained else 'was finished before'}>"


def train_with(
    source: str | os.PathLike[str] | None,
    settings: TrainOptions,
    *,
    out: str | os.PathLike[str] | None,
    config: str | os.PathLike[str] | None,
    network: nn.Module | None,
    console: Console,
    resume: str | os.PathLike[str] | None = None,
    callback: OnTraining | None = None,
) -> Run:
    """``undrift.train`` with its settings in one piece.

    Args:
        source: ``digits``, or a folder, zip, npz, npy or idx data set; None with ``config``. A run
            is resumed.
        settings: what to ask for; the recipe chooses the rest.
        out: the run's directory; a free one in ``runs/`` by default.
        config: a ``config.yaml`` to repeat, in place of ``source`` and ``settings``; a run's own,
            without ``out``, resumes that run.
        network: the user's own network in place of the recipe's.
        console: where to show progress.
        callback: told of every update.
        resume: a run to go on with; ``source`` then says where its images lie, if they were moved.

    Raises:
        UsageError: settings that cannot be, or an ``out`` that holds something else.
        DataError: images that are missing, empty or too broken.
        ModelFileError: a damaged checkpoint.
        DivergedError: training that cannot go on.
        TerminatedError: after SIGTERM; the message says how to go on.
        InterruptedRunError: after Ctrl-C; the message says how to go on.
    """
    family_of_method(settings.method)
    name = None if source is None else os.fspath(source)
    try:
        (name or "").encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{printable(name or '')}: a name that is not UTF-8 "
            "cannot be stored in the run; rename the folder"
        ) from error
    start = find_start(name, settings, _text(out), _text(config), _text(resume))
    return train_from(
        start,
        settings,
        origin=_text(resume) or _text(config),
        network=network,
        console=console,
        callback=callback,
    )


def train_from(
    start: Start,
    settings: TrainOptions,
    *,
    origin: str | None,
    network: nn.Module | None,
    console: Console,
    callback: OnTraining | None = None,
) -> Run:
    """Train what ``start`` names; see `train_with`.

    Args:
        start: the run, its images and its configuration, if it has one.
        settings: what to ask for; with a configuration, only how to carry it out.
        origin: run or ``config.yaml`` that the configuration is of; None: of ``start.run``.
        network: the user's own network in place of the recipe's.
        console: where to show progress.
        callback: told of every update.
    """
    named, given = start.run, start.config
    if named is not None:
        named.check()
        if given is not None and named.is_run and given == configuration_of(named):
            if is_finished(named, given):
                RunLog(console, None).say(f"{named.path} is finished; nothing to do")
                return Run(named.path, named.pipeline, named.report, trained=False)
    device = choose_device(settings.device) if given is None else stored_device(given)
    threads = torch.get_num_threads()
    with World.join(device) as world, torch.random.fork_rng(), StopSignals() as stop:

        def check(*_: object) -> None:
            if stop.received is not None:
                raise stop.error("stopped while decoding; nothing was written")

        data = load_images(start.source, settings if given is None else given.data, check)
        own = network is not None
        asked = given or resolve(start.source, settings, data, device=device, own_network=own)
        if asked.data.fingerprint != data.fingerprint:
            whose = Path(origin or (named.path if named else ""))
            beside = whose.parent if whose.is_file() else whose
            raise UsageError(
                f"{start.source}: not the images that {whose} was made for "
                f"({changed_since(beside, data.report)}); start a new run with `undrift train DATA`"
            )
        made = str(new_directory(start.source).path) if named is None and world.first else ""
        run = named or RunDirectory(world.broadcast_text(made))
        lock = FileLock(run.path)
        if world.first:
            run.make()
            lock.acquire()
        world.barrier()
        try:
            shown = console if world.first else Console(quiet=True)
            journey = _Journey(run, shown, network, world, lock, stop, callback)
            return journey.go(data, asked, settings)
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, RuntimeError) and not is_out_of_memory(error):
                if not is_from_compiler(error):
                    raise
                raise UsageError(
                    f"--compile: the compiler failed ({one_line(error)}); leave it out, or set "
                    "TORCH_LOGS=dynamo to see all of it"
                ) from error
            hint = possible(
                "give a smaller --micro-batch, --batch-size or --size", "use a device with more"
            )
            raise UsageError(f"the training step does not fit into memory; {hint}") from error
        finally:
            lock.release()
            if made:
                with contextlib.suppress(OSError):  # only an empty one goes
                    os.rmdir(made)
            torch.set_num_threads(threads)


def _text(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)


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
        callback: OnTraining | None,
    ) -> None:
        self._run = run
        self._callback = callback
        self._stop = stop
        self._lock = lock
        self._log = RunLog(console, run.path / "log.txt" if world.first else None)
        self._network = network
        self._world = world
        self._probe_seconds = 0.0
        self._steps = 0

    def go(self, data: ImageSet, asked: RunConfig, settings: TrainOptions) -> Run:
        stored = configuration_of(self._run) if self._run.is_run else None
        finished = stored is not None and is_finished(self._run, stored)
        self._world.barrier()  # every rank has read before the first one writes
        config = plan_run(self._run.path, stored, asked, settings, finished, data)
        if stored is not None and asked.data.path not in (None, stored.data.path):
            self._log.say(f"the images of {self._run.path} lie at {asked.data.path}")
            stored, config = replace(stored, data=asked.data), replace(config, data=asked.data)
            if self._world.first:
                self._run.write_text("config.yaml", configuration.dump(stored))
        if finished and config == stored:
            RunLog(self._log.console, None).say(f"{self._run.path} is finished; nothing to do")
            return self._result(trained=False)
        torch.set_num_threads(config.training.threads)
        if config != stored:
            self._initial(config, self._learner(config, copy.deepcopy(self._network)))
            config = self._measured(config, data, bare=settings.bare)
            if stored is not None:
                check_longer(stored, config)
            if self._stop.received is not None:
                raise self._stop.error("stopped before the first step; nothing was written")
            self._begin(config, data, resume_command(self._run, bare=settings.bare))
        self._steps = config.training.steps
        try:
            config = self._train(config, data)
            if self._world.first:
                self._close(config, data, bare=settings.bare)
        except (TerminatedError, InterruptedRunError) as error:
            self._end("interrupted")
            again = resume_command(self._run, bare=settings.bare)
            raise type(error)(f"{error}; to go on: {again}") from error
        except DivergedError as error:
            self._end("failed")
            if self._world.first:
                self._note("verdict", state="not_finite", verdict=str(error))
            raise
        except BaseException:
            self._end("interrupted")
            raise
        return self._result(trained=True)

    def _close(self, config: RunConfig, data: ImageSet, *, bare: bool) -> None:
        def check(*_: object) -> None:
            if self._stop.received is not None:
                raise self._stop.error("stopped after the last step, before the report")

        close_run(self._run, config, data, self._log, self._network, check, bare=bare)
        plan = config.training
        self._note("done", step=plan.steps, images=plan.steps * plan.batch_size)
        self._run.write_status("done", plan.steps, plan.steps)

    def _measured(self, config: RunConfig, data: ImageSet, *, bare: bool) -> RunConfig:
        """Fill in what only the machine knows, unless it is known."""
        if config.seconds_per_step is not None:
            return config

        def fresh() -> Learner:
            return self._learner(config, copy.deepcopy(self._network))

        began = time.perf_counter()
        measured = fit_to_machine(config, data, fresh, self._world, self._stop, self._log)
        if self._world.first and not bare and measured.seconds_per_step is not None:
            after = closing_seconds(measured, data, measured.seconds_per_step)
            self._log.say(f"evaluation and report take about {duration(after)} more")
        self._probe_seconds = time.perf_counter() - began
        return measured

    def _initial(self, config: RunConfig, learner: Learner) -> None:
        """Copy the weights that ``--init`` names into ``learner``."""
        if config.init is None:
            return
        source = load_pipeline(config.init, network=copy.deepcopy(self._network))
        fresh = family_of(config.model).copy_weights(source, learner)
        self._log.say(f"starting from {config.init}; new classes: {', '.join(fresh) or 'none'}")

    def _begin(self, config: RunConfig, data: ImageSet, again: str) -> None:
        """Write what start-up writes; the configuration last."""
        if not self._world.first:
            return
        self._run.write_json("environment.json", describe_environment(config.training.device))
        self._run.write_json("data.json", data.report.to_json())
        for line in finding_lines(data.report, training=True):
            self._log.say(line)
        text = config.model.spec.text
        captions = [one for several in data.captions or () for one in several]
        if text is not None and (cut := text.cut(captions)):
            self._log.say(
                f"{plural(cut, 'caption')} of more than {plural(text.length, 'token')}: only "
                "these are read"
            )
        expected = expectation_of(config, data.split("train"), config.seconds_per_step)
        if expected is not None:
            self._log.say(expected.sentence)
            self._note("expectation", **asdict(expected))
        self._run.write_text("config.yaml", configuration.dump(config))
        self._run.write_status("running", 0, config.training.steps)
        if not point_latest(self._run):
            self._log.say("runs/latest is not a link; it stays as it is")
        self._log.say(f"run {self._run.path}; to resume it: {again}")

    def _train(self, config: RunConfig, data: ImageSet) -> RunConfig:
        """Train to the end; returns the configuration, whose steps may have changed."""
        train, validation = data.split("train"), data.split("validation")
        learner = self._learner(config, self._network, self._eigenvalues(config, train))
        store = CheckpointStore(self._run.checkpoints)
        snapshots = SnapshotStore(self._run.snapshots)
        if self._world.first:
            self._run.sweep()
            store.sweep(self._lock)
            snapshots.sweep(self._lock)
        checkpoint = self._newest(store)
        if checkpoint is None:
            self._initial(config, learner)
        judge = self._judge(config, data)
        events = EventLog(self._run.events) if self._world.first else None
        recorder = None
        if events is not None:
            held_out = validation if len(validation) else None
            recorder = Recorder(
                self._run,
                events,
                learner,
                self._log,
                judge,
                self._callback,
                held_out,
                family_of(config.model).teacher(config.model),
            )
        spent = self._probe_seconds + training_facts(self._run.path).seconds
        pacing = BudgetPacing(self._run, config, self._world, self._log, events, spent)
        trainer = Trainer(
            learner,
            config.training,
            train,
            validation=validation if len(validation) else None,
            world=self._world,
            observer=recorder,
            store=store if self._world.first else None,
            snapshots=snapshots if self._world.first else None,
            look_seconds=late_look_seconds(config),
            pacing=pacing,
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
            self._steps = pacing.config.training.steps
            if events is not None:
                events.close()
        return pacing.finish()

    def _judge(self, config: RunConfig, data: ImageSet) -> Judge | None:
        if config.training.evaluate_every is None:
            return None
        train, validation = data.split("train"), data.split("validation")
        plan = config.training
        return Judge(self._run, train, validation, plan.device, plan.evaluate_samples)

    def _newest(self, store: CheckpointStore) -> Checkpoint | None:
        checkpoint = store.newest()
        for skip in checkpoint.skipped if checkpoint is not None else ():
            self._log.say(f"passed over checkpoint {skip.step}: {skip.reason}")
        return checkpoint

    def _learner(
        self, config: RunConfig, network: nn.Module | None, eigenvalues: Tensor | None = None
    ) -> Learner:
        return build_learner(config, self._world.device, network=network, eigenvalues=eigenvalues)

    def _eigenvalues(self, config: RunConfig, train: ImageSet) -> Tensor | None:
        if not family_of(config.model).reference_curve:
            return None
        codec = build_codec(config.model.codec)
        count = min(len(train), SPECTRUM_IMAGES)
        rows = np.linspace(0, len(train) - 1, count).astype(np.int64)
        return spectrum(
            codec.encode(as_batch(train.take(part)))
            for part in np.array_split(rows, max(1, count // SPECTRUM_CHUNK))
        )

    def _note(self, event: str, **entries: Any) -> None:
        log = EventLog(self._run.events)
        log.write(event, **entries)
        log.close()

    def _end(self, state: str) -> None:
        if self._world.first:
            steps = CheckpointStore(self._run.checkpoints).steps()
            self._run.write_status(state, max(steps, default=0), self._steps)

    def _result(self, *, trained: bool) -> Run:
        return Run(self._run.path, self._run.pipeline, self._run.report, trained)
