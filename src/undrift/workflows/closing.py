"""What a run does once its last step is made: pipeline, samples, first metrics, report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from undrift.data import ImageSet
from undrift.data.scatter import on_plane
from undrift.errors import UsageError
from undrift.evaluation.conditions import condition_lines
from undrift.families import family_of
from undrift.families.family import Draw
from undrift.files.reading import regular_bytes
from undrift.metrics import (
    Comparison,
    Images,
    fit_seconds,
    measure,
    open_spaces,
    quick_space,
    with_sensitivity,
)
from undrift.metrics.results import Measurements
from undrift.metrics.suite import QUICK
from undrift.networks import count_parameters
from undrift.pipelines import Pipeline, Progress, Samples
from undrift.report import ReportMaterial, gather_material, write_report
from undrift.report.history import History
from undrift.report.steps import steps_table
from undrift.results.evaluation import BestResult, FirstResult, NoMetrics
from undrift.runs.activity import activity
from undrift.runs.configuration import RunConfig
from undrift.runs.directory import RunDirectory
from undrift.runs.events import read_events
from undrift.runs.log import RunLog
from undrift.runs.periodic_evaluation import best_so_far
from undrift.runs.recipes import build_learner
from undrift.runs.recorder import draw_grid, grid_file
from undrift.runs.unfinished import load_weights
from undrift.schema import to_plain
from undrift.training.signals import StopSignals
from undrift.wording import duration, plural
from undrift.workflows.given import drawing_with, given_by
from undrift.workflows.opening import OpenRun
from undrift.workflows.planning import forward_seconds
from undrift.workflows.steps import METRICS, measure_steps

PIXELS = 64_000
"""Pixels to draw for the first metrics on a CPU: 1,000 digits, or 128 images of 32 x 32."""

FEWEST, MOST = 128, 1000

POINTS = 2500
"""Toy 2-D points to draw instead, as is usual for counting modes."""

FOLLOWED_POINTS = 500
"""Toy 2-D points whose trajectories are shown."""

MOST_HELD_OUT = 10_000
"""Held-out images that samples are compared with."""

TESTING = 10.0
"""Seconds that evaluation and report usually take beside drawing and fitting."""

VIEW_BYTES = 2**29
"""Pixels of each split that metrics and report use."""


def close_run(opened: OpenRun, config: RunConfig, data: ImageSet, stop: StopSignals) -> None:
    """Write ``pipeline/``, ``grid.png``, ``evaluation/first.json`` and ``report.html``.

    Every part is written by rename, so that a run killed here does it again when resumed. A bare
    run gets the first two only.

    Args:
        opened: a run whose last checkpoint is written.
        config: its configuration.
        data: its images.
        stop: ends the work when a signal has come.
    """

    def check(*_: object) -> None:
        stop.check("stopped after the last step, before the report")

    run, log, network = opened.directory, opened.log, opened.network
    learner = build_learner(config, config.training.device, network=network)
    family = family_of(config.model)
    trained = learner.pipeline(load_weights(run, config))
    given = given_by(data.split("train"), trained.spec, (config.data.source, "train"))
    pipeline = family.finished(trained, lambda: view(data.split("train")), drawing_with(given))
    pipeline.save_pretrained(run.pipeline)
    log.say(f"saved the pipeline: {run.pipeline}")
    for sentence in History.of(read_events(run.events)).sentences:
        log.say(sentence)
    if not family.draws:
        if not opened.bare:
            log.say("writing the report")
            write_report(run.path, ReportMaterial(parameters=count_parameters(pipeline.weights)))
        return
    log.say("saving a sample grid: grid.png")
    last = run.path / grid_file(config.training.steps, "ema")
    if pipeline is trained and last.is_file():  # the last step drew it with the same weights
        run.write_bytes("grid.png", regular_bytes(last))
    else:
        teacher = family.teacher(config.model)
        run.write_bytes("grid.png", draw_grid(pipeline, data.split("validation"), teacher))
    if opened.bare:
        return

    began = time.perf_counter()
    train = view(data.split("train"))
    count = _count(config, len(train))
    log.say(f"drawing {plural(count, 'sample')} for the first metrics and the report")
    split, held_out = _held_out(data)
    given = given_by(held_out, pipeline.spec, (config.data.source, split or "train"))
    for line in condition_lines(pipeline.spec, given):
        log.say(line)
    draw = drawing_with(given)
    samples = _drawn(pipeline, count, draw, log, check)
    sampling = time.perf_counter() - began
    log.say(f"drew {plural(len(samples.images), 'sample')} in {sampling:.1f} s")

    began = time.perf_counter()
    first = _measured(samples, train, data, config, log, check)
    if isinstance(first, Measurements) and (weights := best_so_far(run)) is not None:
        log.say(f"drawing {plural(count, 'sample')} of the weights that validated best")
        chosen = Pipeline.from_pretrained(run.best, network=network)
        drawn = _drawn(chosen.to(pipeline.device), count, draw, log, check)
        found = _measured(drawn, train, data, config, log, check)
        first = FirstResult(**vars(first), best=BestResult(**vars(weights), **vars(found)))
    run.write_json("evaluation/first.json", to_plain(first))
    measuring = time.perf_counter() - began
    log.say(f"measured them in {measuring:.1f} s")
    for one in first.metrics.values():
        low, high, floor = (
            "none" if end is None else f"{end:.4g}" for end in (one.low, one.high, one.floor)
        )
        log.say(f"  {one.name}: {one.value:.4g} ({low} to {high}; real images {floor})")
    if pipeline.few_steps:
        teacher = family.teacher(config.model)
        _steps(pipeline, teacher, count, draw, train, data, opened, config, check)
    log.say("writing the report")
    seconds = {"sampling": sampling, "metrics": measuring}
    _report(run, config, train, pipeline, draw, samples, seconds)


def say_closing(opened: OpenRun, config: RunConfig, data: ImageSet) -> None:
    """Say how long `close_run` will take, where the speed of the run was measured."""
    pace, draws = config.seconds_per_step, family_of(config.model).draws
    if opened.world.first and not opened.bare and draws and pace is not None:
        after = closing_seconds(config, data, pace)
        opened.log.say(f"evaluation and report take about {duration(after)} more")


def closing_seconds(config: RunConfig, data: ImageSet, seconds_per_step: float) -> float:
    """What `close_run` is expected to take, from a few steps of what it trains on ``data``.

    Args:
        config: the run.
        data: its images.
        seconds_per_step: of an update of the run.
    """
    if not family_of(config.model).draws:
        return 0.0
    train = view(data.split("train"))
    forwards = _count(config, len(train)) * config.model.spec.steps
    expected = TESTING + forward_seconds(config, forwards, seconds_per_step)
    if (space := quick_space(train)) == "domain":
        with contextlib.suppress(UsageError):  # copies of one image: nothing is fitted
            expected += fit_seconds(train, space, device=config.training.device)
    return expected


def _drawn(
    pipeline: Pipeline, count: int, draw: Draw, log: RunLog, check: Callable[..., None]
) -> Samples:
    """``count`` samples, with progress."""
    with activity(log.console, "drawing samples") as show:

        def shown(progress: Progress) -> None:
            check()
            show(progress.done, progress.total)

        return draw(pipeline, count, on_progress=shown)


def _report(
    run: RunDirectory,
    config: RunConfig,
    train: Images,
    pipeline: Pipeline,
    draw: Draw,
    samples: Samples,
    seconds: dict[str, float],
) -> Path:
    spec = config.model.spec
    trajectory = None
    if "trajectory" in pipeline.capabilities:
        followed = FOLLOWED_POINTS if on_plane(spec.image_shape) else 1
        trajectory = draw(pipeline, followed, trajectory=followed).trajectory
    material = gather_material(
        samples.images,
        samples.labels,
        train,
        spec.class_names,
        strip=None if trajectory is None else _strip(trajectory.denoised),
        strip_levels=() if trajectory is None else np.exp(-trajectory.log_snr / 2).tolist(),
        parameters=count_parameters(pipeline.weights),
        nfe=samples.nfe,
        sampling_seconds=samples.seconds,
        sampler=pipeline.sampler_words,
        seconds=seconds,
    )
    return write_report(run.path, material)


def _count(config: RunConfig, training: int) -> int:
    """Samples for the first metrics: as many as a short wait allows, and as there are real ones.

    Real images are measured beside them, and no more of these can be than training images.
    """
    _, height, width = config.model.spec.image_shape
    if on_plane(config.model.spec.image_shape):
        return POINTS
    most = MOST if config.training.device == "cuda" else PIXELS // (height * width)
    return int(np.clip(most, FEWEST, min(MOST, max(FEWEST, training))))


def _strip(denoised: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(f, n, H, W, C) of toy 2-D points as they are, of images the first one's alone."""
    return denoised if on_plane(denoised.shape[2:]) else denoised[:, 0]


def _measured(
    samples: Samples,
    train: Images,
    data: ImageSet,
    config: RunConfig,
    log: RunLog,
    check: Callable[..., None],
) -> Measurements | NoMetrics:
    """The quick metrics against the held-out images, or all images where none are held out."""
    try:
        comparison = _comparison(samples, train, data, config, log, check)
    except UsageError as error:  # of copies of one image: the run has its report without metrics
        missing = {name: str(error) for name in QUICK}
        return NoMetrics(missing=missing, sensitivity_missing=str(error))
    log.say(f"evaluating {plural(len(samples.images), 'sample')}: {', '.join(QUICK)}")
    with activity(log.console, "evaluating samples") as show:

        def before(metric: str, done: int, total: int) -> None:
            check()
            show(done, total)

        found = measure(comparison, QUICK, before)
    log.say("testing what these metrics see on real images, corrupted in known ways")
    check()
    return with_sensitivity(found, comparison)


def _comparison(
    samples: Samples,
    train: Images,
    data: ImageSet,
    config: RunConfig,
    log: RunLog,
    check: Callable[..., None],
) -> Comparison:
    """Samples and the images that they are measured against.

    Raises:
        UsageError: for images without any difference.
    """
    split, others = _held_out(data)
    held_out = train if split is None else view(others)
    labelled = samples.labels if held_out.labels is not None else None
    log.say("fitting features to the training images, unless they are cached")
    with activity(log.console, "fitting features") as show:

        def on_fit(seen: int, total: int, left: float) -> None:
            check()
            show(seen, total)

        extractor, classifier = open_spaces(
            train, quick_space(train), device=config.training.device, on_fit=on_fit
        )
    return Comparison(
        Images(samples.images, labelled),
        held_out.draw(MOST_HELD_OUT, config.training.seed, "reference"),
        None if split is None else train,
        extractor,
        classifier,
        data.class_names,
        config.training.seed,
        split or "training",
    )


def _steps(
    pipeline: Pipeline,
    teacher: Pipeline | None,
    count: int,
    draw: Draw,
    train: Images,
    data: ImageSet,
    opened: OpenRun,
    config: RunConfig,
    check: Callable[..., None],
) -> None:
    """Write ``evaluation/steps.json`` of a student: each of its steps, and its teacher."""
    log = opened.log
    log.say("measuring each number of steps, and the teacher")
    quiet = RunLog(Console(quiet=True), None)

    def checked(one: Pipeline, n: int, **settings: Any) -> Samples:  # noqa: ANN401
        check()
        return draw(one, n, **settings)

    def measured(samples: Samples) -> Measurements:
        return measure(_comparison(samples, train, data, config, quiet, check), METRICS)

    try:
        found = measure_steps(pipeline, teacher, count, checked, measured)
    except UsageError as error:
        log.say(f"steps were not compared: {error}")
        return
    opened.directory.write_json("evaluation/steps.json", to_plain(found))
    for sentence in steps_table(found).sentences:
        log.say(sentence)


def _held_out(data: ImageSet) -> tuple[str | None, ImageSet]:
    """The split that samples are measured against; None and training images without any."""
    splits = {name: data.split(name) for name in ("test", "validation")}
    split = next((name for name, part in splits.items() if len(part) >= 2), None)
    return (None, data.split("train")) if split is None else (split, splits[split])


def view(split: ImageSet) -> Images:
    """Images of a split that fit into memory: all of them, or evenly spaced ones."""
    most = max(FEWEST, VIEW_BYTES // int(np.prod(split.shape)))
    rows = np.linspace(0, len(split) - 1, min(len(split), most)).astype(np.int64)
    return Images(split.take(rows), None if split.labels is None else split.labels[rows])
