"""Whether a run starts, goes on or grows, and how many steps it gets."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from undrift.advice import named, possible
from undrift.data import ImageSet
from undrift.errors import UsageError
from undrift.families import Recipe, family_of, family_of_method
from undrift.names import printable
from undrift.options.from_run import FromRunOptions
from undrift.options.options import PathLike
from undrift.options.train import LENGTHS, TrainOptions, changed, seconds
from undrift.runs import configuration
from undrift.runs.configuration import (
    FINGERPRINT,
    DataConfig,
    RunConfig,
    absolute,
    first_difference,
)
from undrift.runs.device import choose_device
from undrift.runs.directory import LATEST, RunDirectory, open_run
from undrift.runs.images import changed_since, find_images
from undrift.runs.log import RunLog
from undrift.runs.recipes import resolve
from undrift.runs.recorder import grid_shape
from undrift.runs.unfinished import configuration_of
from undrift.training.distributed import World
from undrift.training.learner import Learner
from undrift.training.plan import TrainingPlan
from undrift.training.probe import MOST_SECONDS, SHARE, fit_micro_batch, measure
from undrift.training.signals import StopSignals
from undrift.wording import plural

RESERVE = 0.06
"""Share of a budget kept for validation, grids and checkpoints during training."""

SLOW = 2.0
"""Seconds that a validation and a grid may always take and still come early in a run."""

EARLY_SHARE = 0.1
"""Share of a run that the early ones may take: the first grid is worth more than its images."""

AT_ONCE = 64
"""Images of a validation that are taken at once, at least."""

FEW = 50
"""Steps below which a budget is called short."""


def config_from_run(
    options: FromRunOptions, data: DataConfig, recipe: Recipe, *, balance: bool
) -> RunConfig:
    """The configuration of a run that begins with a finished one.

    Args:
        options: of the command; what they leave open is the recipe's.
        data: images to train on.
        recipe: made for the finished run.
        balance: whether classes are drawn equally often.
    """
    batch = options.batch_size or recipe.batch_size
    images = options.images or recipe.images
    return RunConfig(
        data=data,
        model=recipe.model,
        training=TrainingPlan(
            steps=1 if options.budget is not None else max(1, images // batch),
            batch_size=batch,
            seed=options.seed,
            balance=balance,
            learning_rate=recipe.learning_rate,
            clip=recipe.clip,
            device="cuda" if choose_device(options.device) == "cuda" else "cpu",
            threads=options.threads or torch.get_num_threads(),
            checkpoint_every=options.checkpoint_every,
            evaluate_every=options.evaluate_every,
            evaluate_samples=options.evaluate_samples,
        ),
        budget=options.budget,
    )


@dataclass(frozen=True)
class Start:
    """What a command starts or goes on with.

    Attributes:
        run: its directory; None is a new one in ``runs/``.
        source: where its images lie.
        config: the configuration that it has, or that it repeats; None chooses one.
        origin: run or ``config.yaml`` that this configuration is of; None is ``run``.
    """

    run: RunDirectory | None
    source: str
    config: RunConfig | None = None
    origin: str | None = None

    def is_finished(self) -> bool:
        """Whether the run is there and done, and nothing is to be changed.

        Raises:
            UsageError: its directory holds something else.
        """
        if self.run is None:
            return False
        self.run.check()
        stored = configuration_of(self.run) if self.run.is_run and self.config else None
        return stored is not None and stored == self.config and is_finished(self.run, stored)


def find_start(
    source: PathLike | None,
    settings: TrainOptions,
    out: PathLike | None = None,
    config: PathLike | None = None,
    resume: PathLike | None = None,
) -> Start:
    """The run that a command means.

    One rule: whatever names a run resumes that run. ``resume`` names one, ``source`` may, and
    ``config`` does without ``out``; beside ``resume`` ``source`` says where the run's images lie.

    Args:
        source: ``digits``, or a folder, zip, npz, npy or idx data set; or a run, to resume it.
        settings: of the run.
        out: the run's directory; a free one in ``runs/`` by default.
        config: a ``config.yaml`` to repeat, in place of ``source`` and ``settings``.
        resume: a run.

    Raises:
        UsageError: words that contradict each other, or settings for a run that has its own.
        ModelFileError: ``resume`` is no run, or its configuration is damaged.
        DataError: the images of a run are gone.
    """
    family_of_method(settings.method)
    source, out, config, resume = (
        None if path is None else os.fspath(path) for path in (source, out, config, resume)
    )
    try:
        (source or "").encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{printable(source or '')}: a name that is not UTF-8 cannot be stored in the run; "
            "rename the folder"
        ) from error
    if resume is None and source is not None and RunDirectory(source).was_started:
        resume, source = source, None
    if resume is None and config is not None:
        folder = RunDirectory(Path(config).parent)
        itself = folder.was_started and Path(config).name == folder.config.name
        if itself and (out is None or Path(out).resolve() == folder.path.resolve()):
            resume, out, config = str(folder.path), None, None
    if resume is not None:
        return _resumed(resume, source, settings, out, config)
    if config is not None:
        given = replace(configuration.load(config), replan=False)
        where = find_images(given.data, Path(config).parent)
        return Start(RunDirectory(out) if out else None, where, given, config)
    if not source:
        raise UsageError("no data given; name a folder of images, or try `undrift train digits`")
    return Start(RunDirectory(out) if out else None, source)


def _resumed(
    resume: str, source: str | None, settings: TrainOptions, out: str | None, config: str | None
) -> Start:
    """The run ``resume``, with a greater length if `extend` says so."""
    for name, value in (("out", out), ("config", config)):
        if value is not None:
            raise UsageError(
                f"{named(name)} {value} and the run {resume} exclude each other: it is resumed "
                "where it "
                f"is; repeat it by undrift train --config {resume}/config.yaml --out OTHER"
            )
    free = {"bare", "extend", *(LENGTHS if settings.extend else ())}
    clashing = [named(name) for name in changed(settings) if name not in free]
    if clashing:
        raise UsageError(
            f"{resume} is a run and resumes with its own settings: leave out "
            f"{', '.join(clashing)}, or train DATA with another {named('out')}"
        )
    run = open_run(resume)
    if run.path.name == LATEST and run.path.is_symlink():
        run = RunDirectory(run.path.parent / run.path.readlink())
    stored = configuration_of(run)
    wanted = stored if not settings.extend else _with_length(stored, settings)
    place = source
    if source is not None:
        data = replace(stored.data, source=source, path=absolute(source))
        wanted = replace(wanted, data=data)
    elif not is_finished(run, stored) or wanted != stored:
        place = find_images(stored.data, run.path)
    return Start(run, place or stored.data.source, wanted, resume)


def check_images(start: Start, config: RunConfig, data: ImageSet) -> None:
    """Refuse images that are not those of ``config``.

    Raises:
        UsageError: with what differs.
    """
    if config.data.fingerprint == data.fingerprint:
        return
    whose = Path(start.origin or (start.run.path if start.run else ""))
    beside = whose.parent if whose.is_file() else whose
    raise UsageError(
        f"{start.source}: not the images that {whose} was made for "
        f"({changed_since(beside, data.report)}); start a new run with `undrift train DATA`"
    )


def is_finished(run: RunDirectory, stored: RunConfig) -> bool:
    """Whether ``run`` is done.

    An extension writes its configuration first: a status of fewer steps is out of date.
    """
    status = run.status()
    return status.state == "done" and status.steps == stored.training.steps


def device_of(start: Start, options: TrainOptions) -> str:
    """``cpu`` or ``cuda``: of the configuration that there is, or of the options.

    Raises:
        UsageError: CUDA, and there is none here.
    """
    if start.config is None:
        return choose_device(options.device)
    device = start.config.training.device
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "the run was configured for a CUDA device, and torch sees none here: resume it where "
            "there is one, or set device: cpu in a copy of its config.yaml, and undrift train "
            "--config COPY --out OTHER"
        )
    return device


def _with_length(stored: RunConfig, settings: TrainOptions) -> RunConfig:
    """``stored`` with the length of ``settings``; steps under a budget are not measured yet."""
    plan = stored.training
    if settings.budget is not None:
        return replace(stored, budget=settings.budget)
    if settings.steps is None and settings.images is None:
        raise UsageError(
            f"{named('extend')}: to what length? give {named('steps')}, {named('images')} or "
            f"{named('budget')}"
        )
    steps = settings.steps or max(1, (settings.images or 0) // plan.batch_size)
    return replace(stored, budget=None, training=replace(plan, steps=steps, replans=()))


def plan_run(
    path: Path,
    stored: RunConfig | None,
    requested: RunConfig,
    settings: TrainOptions,
    finished: bool,
    data: ImageSet,
) -> RunConfig:
    """The configuration to train with: ``stored`` to resume, another to start or to lengthen.

    Args:
        path: the run's directory.
        stored: the configuration of the run that is there, if any.
        requested: the configuration that the options resolve to.
        settings: options that the user gave.
        finished: whether that run is finished.
        data: the images.

    Raises:
        UsageError: if what is there is another run, or cannot be lengthened.
    """
    if stored is None:
        if settings.extend:
            raise UsageError(
                f"{named('extend')}: {path} holds no run to lengthen; leave {named('extend')} out"
            )
        return requested
    if settings.threads is None:
        threads = stored.training.threads
        requested = replace(requested, training=replace(requested.training, threads=threads))
    difference = _difference(path, stored, requested, data)
    if difference is None and not (finished and settings.extend):
        return stored
    if not settings.extend:
        longer = possible("; {extend} lengthens a finished run", "")
        hint = longer if _is_length(difference) else ""
        raise UsageError(
            f"{named('out')} {path}: it holds a run with other settings: {difference}; "
            f"name another folder{hint}"
        )
    if not finished:
        raise UsageError(
            f"{named('extend')}: {path} is not finished; finish it first with its own settings"
        )
    return _longer(path, stored, requested, settings, data)


def _difference(path: Path, stored: RunConfig, requested: RunConfig, data: ImageSet) -> str | None:
    """`first_difference`, with what changed in the images of the run at ``path``, if they did."""
    difference = first_difference(stored, requested)
    if difference is not None and difference.startswith(FINGERPRINT):
        return f"the images are others ({changed_since(path, data.report)})"
    return difference


def _longer(
    path: Path, stored: RunConfig, requested: RunConfig, settings: TrainOptions, data: ImageSet
) -> RunConfig:
    """``stored`` with the length of ``requested``; a recipe that depends on the budget stays."""
    plan = replace(requested.training, steps=stored.training.steps)
    if first_difference(stored, replace(requested, budget=stored.budget, training=plan)):
        same = replace(settings, budget=stored.budget, images=None, steps=None)
        device = stored.training.device
        own = stored.model.network is None
        before = resolve(stored.data.source, same, data, device=device, own_network=own)
        threads = requested.training.threads
        plan = replace(before.training, steps=stored.training.steps, threads=threads)
        if difference := _difference(path, stored, replace(before, training=plan), data):
            raise UsageError(
                f"{named('extend')}: only the length may change, but {difference}; repeat the "
                "run's settings"
            )
    if requested.budget is None:
        check_longer(stored, requested)
    return replace(
        stored,
        budget=requested.budget,
        seconds_per_step=None,
        training=replace(stored.training, steps=requested.training.steps, replans=()),
        replan=False,
    )


def check_longer(stored: RunConfig, config: RunConfig) -> None:
    """Refuse an extension that is none.

    Raises:
        UsageError: if ``config`` has no more steps than ``stored``.
    """
    if config.training.steps <= stored.training.steps:
        raise UsageError(
            f"{named('extend')}: {plural(config.training.steps, 'step')}: no more than the "
            f"{stored.training.steps} made; give more"
        )


def fit_to_machine(
    config: RunConfig,
    data: ImageSet,
    make_learner: Callable[[], Learner],
    world: World,
    stop: StopSignals,
    log: RunLog,
) -> RunConfig:
    """Fill in what only the machine knows: the micro-batch and, under a budget, the steps.

    Raises:
        UsageError: if the budget is too short for one step.
    """
    train = data.split("train")
    began = time.perf_counter()
    micro = config.training.micro_batch
    if config.training.device == "cuda":
        micro = fit_micro_batch(make_learner, config.training, train, world)
    plan = replace(config.training, micro_batch=micro)
    if config.budget is None:
        return replace(config, training=plan)
    allowed = seconds(config.budget)
    pace = measure(make_learner, plan, train, world, min(MOST_SECONDS, SHARE * allowed), stop)
    config = replace(config, training=plan, seconds_per_step=pace)
    # The last validation and the last grid are made whatever they cost.
    kept = RESERVE * allowed + validation_seconds(config)
    left = allowed - kept - (time.perf_counter() - began)
    steps = torch.tensor(int(left / (pace + evaluation_seconds(config))))
    steps = steps.to(world.device)
    world.broadcast([steps])
    if int(steps) < (fewest := family_of(config.model).fewest_steps(config.model)):
        wanted = plural(fewest, "step")
        hint = possible("give more, or a smaller {size} or {batch_size}", "give more")
        raise UsageError(
            f"{named('budget')} {config.budget}: too short for {wanted} of {pace:.3g} s, a grid "
            f"and a validation of {validation_seconds(config):.1f} s together; {hint}"
        )
    log.say(
        f"probe: {plan.batch_size / pace:.0f} images/s, so {plural(int(steps), 'step')} of "
        f"{plural(plan.batch_size, 'image')} fit into {config.budget}"
    )
    if int(steps) < FEW:
        log.say(
            f"only {plural(int(steps), 'step')}: the model will be undertrained; "
            f"give a longer {named('budget')}"
        )
    return replace(config, training=replace(plan, steps=int(steps)), replan=True)


def validation_seconds(config: RunConfig) -> float:
    """What one validation and one grid, with both sets of weights, are expected to take."""
    if config.seconds_per_step is None:
        return 0.0
    spec = config.model.spec
    columns, rows = grid_shape(spec)
    passes = family_of(config.model).validation_passes(config.model)
    forwards = 2 * (columns * rows * spec.steps + passes)
    return forward_seconds(config, forwards, config.seconds_per_step)


def forward_seconds(config: RunConfig, forwards: int, seconds_per_step: float) -> float:
    """What ``forwards`` passes of single images take where an update takes ``seconds_per_step``.

    A forward pass is about a third of an update, and half of one where updates are in bfloat16.
    Updates of few images pay for their calls; validations take many images at once.
    """
    return forwards * seconds_per_step / max(config.training.batch_size, AT_ONCE) / 2


def late_validation_seconds(config: RunConfig) -> float:
    """`validation_seconds` where that is too much early in the run, and 0 elsewhere."""
    cost = validation_seconds(config)
    run = config.training.steps * (config.seconds_per_step or 0.0)
    return cost if cost > max(SLOW, EARLY_SHARE * run) else 0.0


def evaluation_seconds(config: RunConfig) -> float:
    """What periodic evaluations of samples are expected to take, per update."""
    every = config.training.evaluate_every
    if every is None or config.seconds_per_step is None:
        return 0.0
    forwards = config.training.evaluate_samples * config.model.spec.steps
    return forwards * config.seconds_per_step / config.training.batch_size / 2 / every


def _is_length(difference: str | None) -> bool:
    return difference is not None and difference.startswith(("training.steps", "budget"))
