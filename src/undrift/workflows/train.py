"""``undrift train``: from images to a trained, sampled and reported model.

`train_run` is the whole run, from top to bottom. What it calls: `planning` says whether a run
starts, resumes or grows, and for how many steps; `opening` locks its directory and writes its first
files; `undrift.training.loop` trains, `pacing` keeps the budget, and `undrift.runs.recorder` writes
events and sample grids; `closing` saves the pipeline, samples, evaluates and reports.
"""

from __future__ import annotations

import contextlib
import functools
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from torch import nn

from undrift.data import ImageSet
from undrift.families import family_of
from undrift.options.train import TrainOptions
from undrift.runs import EventLog, RunDirectory
from undrift.runs.configuration import RunConfig
from undrift.runs.images import load_images
from undrift.runs.log import RunLog
from undrift.runs.periodic_evaluation import PeriodicEvaluation
from undrift.runs.progress import OnTraining
from undrift.runs.recipes import build_learner, resolve
from undrift.runs.recorder import Recorder
from undrift.runs.training_facts import training_facts
from undrift.runs.unfinished import configuration_of
from undrift.training import StopSignals, Trainer, World
from undrift.workflows import opening, planning
from undrift.workflows.closing import close_run, say_closing
from undrift.workflows.opening import OpenRun
from undrift.workflows.pacing import BudgetPacing
from undrift.workflows.planning import Start


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        directory: of the run.
        pipeline: what ``Pipeline.from_pretrained`` loads.
        report: the HTML report, which a bare run does not have.
        trained: False if the run had finished before and nothing was changed.
    """

    directory: Path
    pipeline: Path
    report: Path
    trained: bool = True

    @property
    def summary(self) -> str:
        """The line that names the report, or the pipeline of a run without one."""
        return f"report  {self.report}" if self.report.exists() else f"pipeline  {self.pipeline}"

    def __repr__(self) -> str:
        return f"<Run {self.directory}: {'trained' if self.trained else 'was finished before'}>"


def train_run(
    start: Start,
    options: TrainOptions,
    *,
    network: nn.Module | None = None,
    console: Console,
    callback: OnTraining | None = None,
) -> Run:
    """Start, resume or lengthen a run.

    Args:
        start: the run, its images and its configuration if it has one; see `find_start`.
        options: of a new run, where None is the recipe's choice.
        network: the user's own network in place of the recipe's.
        console: where to show progress.
        callback: called after every update.

    Raises:
        UsageError: options that cannot be, or a directory that holds something else.
        DataError: images that are missing, empty or too broken.
        ModelFileError: a damaged checkpoint.
        DivergedError: training that cannot go on.
        TerminatedError: after SIGTERM; the message says how to resume.
        InterruptedRunError: after Ctrl-C; the message says how to resume.
    """
    if start.run is not None and start.is_finished():
        return _finished(start.run, console)
    device = planning.device_of(start, options)
    with World.join(device) as world, torch.random.fork_rng(), StopSignals() as stop:
        # The images, and the whole configuration: stored, given, or chosen by the recipe.
        data = load_images(
            start.source,
            options if start.config is None else start.config.data,
            lambda *_: stop.check("stopped while decoding; nothing was written"),
        )
        requested = start.config
        if requested is None:
            own = network is not None
            requested = resolve(start.source, options, data, device=device, own_network=own)
        planning.check_images(start, requested, data)
        with opening.opened(start, world, console, network, bare=options.bare) as run:
            # It starts, resumes or grows; every rank has read before the first one writes.
            directory = run.directory
            stored = configuration_of(directory) if directory.is_run else None
            finished = stored is not None and planning.is_finished(directory, stored)
            world.barrier()
            config = planning.plan_run(directory.path, stored, requested, options, finished, data)
            if stored is not None and requested.data.path not in (None, stored.data.path):
                stored, config = (replace(one, data=requested.data) for one in (stored, config))
                opening.store_place(run, stored)
            if finished and config == stored:
                return _finished(directory, run.log.console)
            torch.set_num_threads(config.training.threads)
            opening.encode_captions(run, config, data)

            # A run that starts or grows: its length, measured if a budget says it; its first files.
            probe_seconds = 0.0
            if config != stored:
                opening.copy_initial_weights(run, config, run.fresh_learner(config))  # or refuse
                if config.seconds_per_step is None:
                    began = time.perf_counter()
                    fresh = functools.partial(run.fresh_learner, config)
                    config = planning.fit_to_machine(config, data, fresh, world, stop, run.log)
                    say_closing(run, config, data)
                    probe_seconds = time.perf_counter() - began
                if stored is not None:
                    planning.check_longer(stored, config)
                stop.check("stopped before the first step; nothing was written")
                opening.begin_run(run, config, data)

            # Training; then the pipeline, samples, first metrics and the report.
            with opening.final_status(run):
                config = _train(run, config, data, probe_seconds, stop, callback)
                if world.first:
                    close_run(run, config, data, stop)
    return Run(directory.path, directory.pipeline, directory.report)


def _train(
    run: OpenRun,
    config: RunConfig,
    data: ImageSet,
    probe_seconds: float,
    stop: StopSignals,
    callback: OnTraining | None,
) -> RunConfig:
    """Train to the last step; returns the configuration, whose steps a budget may have changed."""
    first, directory, plan = run.world.first, run.directory, config.training
    train, held_out = data.split("train"), data.split("validation")
    validation = held_out if len(held_out) else None
    known = opening.reference_eigenvalues(config, train)
    learner = build_learner(config, run.world.device, network=run.network, eigenvalues=known)
    store, snapshots, checkpoint = opening.stores(run)
    if checkpoint is None:
        opening.copy_initial_weights(run, config, learner)
    evaluation = None
    if plan.evaluate_every is not None:
        evaluation = PeriodicEvaluation(
            directory, train, held_out, plan.device, plan.evaluate_samples
        )
    with contextlib.ExitStack() as stack:
        events = recorder = None
        if first:
            events = stack.enter_context(contextlib.closing(EventLog(directory.events)))
            teacher = family_of(config.model).teacher(config.model)
            recorder = Recorder(
                directory, events, learner, run.log, evaluation, callback, validation, teacher
            )
        spent = probe_seconds + training_facts(directory.path).seconds
        pacing = BudgetPacing(directory, config, run.world, run.log, events, spent)
        trainer = Trainer(
            learner,
            plan,
            train,
            validation=validation,
            world=run.world,
            observer=recorder,
            store=store if first else None,
            snapshots=snapshots if first else None,
            first_validation_seconds=planning.late_validation_seconds(config),
            pacing=pacing,
        )
        if checkpoint is not None:
            trainer.restore(checkpoint)
        if recorder is not None:
            recorder.start(trainer.step, config.seconds_per_step, plan.steps, probe_seconds)
            stack.enter_context(recorder)
        trainer.run(stop)
    return pacing.finish()


def _finished(run: RunDirectory, console: Console) -> Run:
    RunLog(console, None).say(f"{run.path} is finished; nothing to do")
    return Run(run.path, run.pipeline, run.report, trained=False)
