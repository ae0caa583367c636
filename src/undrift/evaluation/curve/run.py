"""``undrift curve``: sample with many samplers from the same noise, and measure every point."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path

import torch

from undrift.advice import named
from undrift.ambient import own_settings
from undrift.arguments import keywords_of
from undrift.data.findings import finding_lines
from undrift.errors import UsageError
from undrift.evaluation.conditions import (
    Conditions,
    condition_lines,
    conditions_of,
    obedience,
    samples_of,
)
from undrift.evaluation.curve.best import (
    best_scale,
    best_within,
    scale_differences,
    with_differences,
)
from undrift.evaluation.curve.points import LEARNED, Journal, guided_points, points_of
from undrift.evaluation.drawing import OnDrawn, Sampling, draw
from undrift.evaluation.opening import check, open_reference
from undrift.evaluation.reference import Comparisons, Reference, ReferenceImages
from undrift.evaluation.saving import json_bytes
from undrift.evaluation.stored_reference import StoredReference
from undrift.evaluation.target import ImageSource, Target, open_target
from undrift.files.durable import write_output
from undrift.files.lock import FileLock
from undrift.files.ownership import check_replaceable
from undrift.metrics import Comparison, Measurements, chosen_metrics, floor_notes, measure
from undrift.metrics.catalogue import METRICS
from undrift.metrics.results import FeatureSpace, ReferenceFacts
from undrift.options import CurveOptions
from undrift.options.options import once
from undrift.pipelines import DiffusionPipeline, Samples
from undrift.report.guidance_curve import guidance_chart
from undrift.report.refresh import refresh
from undrift.report.sampler_curve import curve_chart
from undrift.results.curve import (
    Better,
    CurveFacts,
    CurvePoint,
    CurveResult,
    GuidancePoint,
    GuidanceResult,
    MeasuredPoint,
    Point,
    PointMetric,
    SkippedPoint,
)
from undrift.runs.device import choose_device
from undrift.runs.directory import make_folder
from undrift.sampling import solver
from undrift.training.distributed import World
from undrift.version import __version__
from undrift.wording import duration, plural

FILES = ("curve.png", "curve.json")
GUIDANCE_FILES = ("guidance.png", "guidance.json")

Job = tuple[float | None, Point]
"""A guidance scale, None for the model's own, and a point to measure at it."""


class CurveProgress:
    """Callbacks of a curve; an exception stops it. These do nothing."""

    def plan(self, lines: list[str], done: int, total: int) -> None:
        """Called once before the work: what it is and costs, and points that are measured."""

    def drawn(self, point: Point) -> OnDrawn | None:
        """The callback for the sampling of ``point``."""

    def point(self, point: Point, done: int, total: int, left: float) -> None:
        """Called after each point: how many are measured, and seconds left."""


@dataclass(frozen=True)
class CurveCall(CurveOptions):
    """Arguments of `curve`: the model and the real images, beside the options.

    Attributes:
        target: a run or a pipeline.
        reference: real images to compare with, or a file that ``undrift evaluate --save-reference``
            wrote; None is the held-out images of the run's own data.
    """

    target: str | os.PathLike[str]
    _: KW_ONLY
    reference: ImageSource | None = None


@own_settings()
@keywords_of(CurveCall)
def curve(call: CurveCall) -> CurveResult | GuidanceResult:
    """Measure a model with many samplers and budgets, all from the same noise.

    The arguments are the fields of `CurveCall` and `undrift.options.CurveOptions`.

    Returns:
        ``result.points``, one point per sampler and number of evaluations, with its seconds per
        image and its metrics; ``result.best["fd"]``, the best of them within each budget. With
        several scales of ``guidance`` a `GuidanceResult`: one point per scale, and the best scale.
        Of several processes only the first measures; in the others there are no points.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    return measure_curve(call.target, call, reference=call.reference)


def measure_curve(
    target: str | os.PathLike[str],
    options: CurveOptions,
    *,
    reference: ImageSource | None = None,
    progress: CurveProgress | None = None,
) -> CurveResult | GuidanceResult:
    """As `curve`, with progress; writes ``curve.json`` and ``curve.png``, or along guidance both.

    Points that were measured before, under the same protocol, are taken from the journal.
    """
    progress = CurveProgress() if progress is None else progress
    names, along = _checked_metrics(options), len(options.guidance) > 1
    rules = [name if name == LEARNED else solver(name) for name in options.samplers]
    once("samplers", options.samplers, rules)
    device = choose_device(options.device)
    model = open_target(target, ema=options.ema, weights=options.weights)
    if model.pipeline is None:
        raise UsageError(f"{model.name}: samples, not a model; a curve needs a run or a pipeline")
    pipeline = DiffusionPipeline.of(
        model.pipeline, "there are none to compare; `undrift evaluate` measures it"
    )
    folder = _folder(options, model)
    images = open_reference(model, reference, options.split)
    check(model, images)
    conditions = conditions_of(pipeline, images, options.seed)
    if along:
        labelled = ["label_accuracy"] if pipeline.spec.class_names else []
        names = tuple(dict.fromkeys((*names, *labelled, *obedience(conditions))))
    with World.join(device) as world, contextlib.ExitStack() as stack:
        pipeline.to(world.device)
        jobs, skipped = _jobs(options, pipeline)
        if not jobs:
            raise UsageError(f"no point can be had: {skipped[0].sampler}, {skipped[0].reason}")
        if world.first:
            make_folder(folder)
            stack.enter_context(FileLock(folder, ".curve.LOCK"))
        journals = {
            scale: Journal(
                folder, _depends_on(options, scale, model, images, names, device, conditions)
            )
            for scale, _ in jobs
        }
        measured = {job: found for job in jobs if (found := journals[job[0]].read(job[1]))}
        missing = [job for job in jobs if job not in measured]
        pace = _pace(pipeline, options, conditions) if missing else 0.0
        lines = _plan(model, options, jobs, skipped, missing, pace / world.size)
        lines += condition_lines(pipeline.spec, conditions)
        lines += [] if images.report is None else finding_lines(images.report)
        progress.plan(lines, len(measured), len(jobs))
        world.barrier()  # the journal is read by all before the first writes into it
        compared = None
        for place, job in enumerate(missing):
            if world.first and compared is None:
                compared = Comparisons(_in_space(images, options, device), model)
            scale, point = job
            sampling, callback = _sampling(options, scale, point), progress.drawn(point)
            drawn = draw(model, pipeline, options.n, sampling, world, callback, conditions)
            if compared is None:
                continue
            began = time.perf_counter()
            found = measure(compared.of(drawn.images), names)
            measured[job] = _measured(point, drawn.seconds / options.n, found)
            journals[scale].write(measured[job])
            rest = missing[place + 1 :]
            left = pace * options.n * sum(one.nfe for _, one in rest) / world.size
            left += (time.perf_counter() - began) * len(rest)
            progress.point(point, len(jobs) - len(rest), len(jobs), left)
        done = [(job[0], measured[job]) for job in jobs] if world.first else []
        facts = _facts(options, model, [one for _, one in done], names)
        if along:
            result: CurveResult | GuidanceResult = _along(facts, jobs[0][1], done)
        else:
            result = _result(options, facts, pipeline, [one for _, one in done], skipped)
        if not world.first:
            return result
        plain = isinstance(result, CurveResult)
        if not plain or any(best.runner_up for best in result.best[names[0]]):
            if compared is None:
                compared = Comparisons(_in_space(images, options, device), model)
            shared = (options, pipeline, compared, conditions, world)
            if plain:
                result = _with_differences(result, names[0], *shared)
            else:
                result = _with_scale_differences(result, jobs, *shared)
        _write(folder, result, owned=options.out is None)
        if model.run is not None and folder == model.run.path / "evaluation":
            refresh(model.run.path)
        return result


def _jobs(
    options: CurveOptions, pipeline: DiffusionPipeline
) -> tuple[list[Job], list[SkippedPoint]]:
    """What is to be measured, and what is impossible."""
    scales: Sequence[float | None] = options.guidance or (None,)
    if len(options.guidance) > 1:
        named_one = options.samplers[0] if len(options.samplers) == 1 else None
        return [*guided_points(pipeline, named_one, options.guidance, grid=options.grid)], []
    points, skipped = points_of(
        pipeline, options.samplers, options.nfe, guidance=scales[0], grid=options.grid
    )
    return [(scales[0], point) for point in points], skipped


def _checked_metrics(options: CurveOptions) -> tuple[str, ...]:
    names = chosen_metrics(options.metrics)
    for name in names:
        if METRICS[name].better == "neither":
            raise UsageError(
                f"{named('metrics')} {name}: it has no better and worse; choose among "
                + ", ".join(n for n, one in METRICS.items() if one.better != "neither")
            )
    return names


def _folder(options: CurveOptions, model: Target) -> Path:
    """Where the result is written, checked before work is spent on it."""
    if options.out is not None:
        folder = Path(options.out)
        for name in GUIDANCE_FILES if len(options.guidance) > 1 else FILES:
            check_replaceable(named("out"), folder / name)
        return folder
    if model.run is None:
        raise UsageError(f"{model.name}: it belongs to no run; name a folder by {named('out')}")
    model.run.check_writable(f"make room, or name another place by {named('out')}")
    return model.run.path / "evaluation"


def _in_space(images: ReferenceImages, options: CurveOptions, device: str) -> Reference:
    return images.in_space(options.n, options.seed, options, device)


def _sampling(options: CurveOptions, scale: float | None, point: Point) -> Sampling:
    grid = None if point.sampler == LEARNED else options.grid
    return Sampling(options.seed, point.steps, point.sampler, scale, grid)


def _depends_on(
    options: CurveOptions,
    scale: float | None,
    model: Target,
    images: ReferenceImages,
    names: Sequence[str],
    device: str,
    conditions: Conditions | None,
) -> dict[str, object]:
    """All that the numbers depend on, but the sampler and its steps."""
    depends: dict[str, object] = {
        "version": __version__,
        "model": model.fingerprint,
        "reference": images.fingerprint,
        "split": options.split,
        "features": [options.features or images.space, options.feature_weights],
        "n": options.n,
        "metrics": list(names),
        "seed": options.seed,
        "guidance": scale,
        "grid": options.grid,
        "device": device,
        "threads": torch.get_num_threads(),
    }
    if conditions is not None:
        depends["conditions"] = conditions.key
    if isinstance(images, StoredReference):
        depends["images"] = images.header.images
    return depends


def _pace(
    pipeline: DiffusionPipeline, options: CurveOptions, conditions: Conditions | None
) -> float:
    """Seconds per network forward of one image, measured on one batch."""
    count = min(pipeline.batch_size, options.n)

    guidance = options.guidance[-1] if options.guidance else None

    def timed(n: int, steps: int) -> Samples:
        shared = {"sampler": "euler", "grid": options.grid, "guidance": guidance}
        return samples_of(pipeline, n, 0, conditions, steps=steps, **shared)

    timed(1, 1)
    samples = timed(count, 2)
    return samples.seconds / (samples.nfe * count)


def _plan(
    model: Target,
    options: CurveOptions,
    jobs: Sequence[Job],
    skipped: Sequence[SkippedPoint],
    missing: Sequence[Job],
    pace: float,
) -> list[str]:
    names = list(dict.fromkeys(point.sampler for _, point in jobs))
    lines = [
        f"{model.name}: {plural(len(jobs), 'point')} of {plural(options.n, 'sample')}, "
        f"{', '.join(names)}"
    ]
    if len(missing) < len(jobs):
        lines.append(f"{len(jobs) - len(missing)} of them were measured before")
    for sampler in dict.fromkeys(one.sampler for one in skipped):
        without = [one for one in skipped if one.sampler == sampler]
        budgets = ", ".join(str(one.nfe) for one in without)
        lines.append(f"no {sampler} at {budgets} evaluations: {without[0].reason}")
    forwards = options.n * sum(point.nfe for _, point in missing)
    if missing:
        lines.append(
            f"{plural(forwards, 'network evaluation')} to make, about "
            f"{duration(forwards * pace)}, and the measuring"
        )
    return lines


def _measured(point: Point, seconds: float, found: Measurements) -> MeasuredPoint:
    return MeasuredPoint(**vars(point), seconds=seconds, **vars(found))


def _facts(
    options: CurveOptions, model: Target, measured: Sequence[MeasuredPoint], names: Sequence[str]
) -> CurveFacts:
    """What all points have in common."""
    first = measured[0] if measured else None
    metrics = {} if first is None else first.metrics
    better: dict[str, Better] = {}
    for name in names:
        better[name] = "higher" if METRICS[name].better == "higher" else "lower"
    grid = options.grid
    if grid is None and model.pipeline is not None:
        grid = model.pipeline.spec.grid
    return CurveFacts(
        version=__version__,
        target=model.name,
        n=options.n,
        seed=options.seed,
        grid=grid,
        metrics=tuple(name for name in names if name in metrics),
        missing={} if first is None else first.missing,
        titles={name: one.name for name, one in metrics.items()},
        better=better,
        floors={name: one.floor for name, one in metrics.items()},
        floors_missing=tuple(
            floor_notes({name: one.floor_missing for name, one in metrics.items()})
        ),
        features=FeatureSpace("", "") if first is None else first.features,
        reference=ReferenceFacts("", 0) if first is None else first.reference,
        protocol="" if first is None else first.protocol,
        threads=torch.get_num_threads(),
    )


def _metrics(one: MeasuredPoint) -> dict[str, PointMetric]:
    return {
        name: PointMetric(metric.value, metric.low, metric.high, metric.name)
        for name, metric in one.metrics.items()
    }


def _result(
    options: CurveOptions,
    facts: CurveFacts,
    pipeline: DiffusionPipeline,
    measured: Sequence[MeasuredPoint],
    skipped: Sequence[SkippedPoint],
) -> CurveResult:
    """The result of all points; without differences between the best ones."""
    points = tuple(
        CurvePoint(one.sampler, one.nfe, one.steps, seconds=one.seconds, metrics=_metrics(one))
        for one in measured
    )
    return CurveResult(
        **vars(facts),
        guidance=options.guidance[0] if options.guidance else pipeline.spec.guidance,
        points=points,
        skipped=tuple(skipped),
        best={
            name: best_within(points, name, facts.better[name], options.nfe)
            for name in facts.better
        },
    )


def _along(
    facts: CurveFacts, point: Point, measured: Sequence[tuple[float | None, MeasuredPoint]]
) -> GuidanceResult:
    """The result of the points along guidance."""
    points = tuple(
        GuidancePoint(guidance=scale, nfe=one.nfe, seconds=one.seconds, metrics=_metrics(one))
        for scale, one in measured
        if scale is not None
    )
    best = {name: best_scale(points, name, facts.better[name]) for name in facts.metrics}
    return GuidanceResult(
        **vars(facts),
        sampler=point.sampler,
        steps=point.steps,
        points=points,
        best={name: one for name, one in best.items() if one is not None},
    )


def _with_scale_differences(
    result: GuidanceResult,
    jobs: Sequence[Job],
    options: CurveOptions,
    pipeline: DiffusionPipeline,
    compared: Comparisons,
    conditions: Conditions | None,
    world: World,
) -> GuidanceResult:
    """Compare the best scale with the others, image by image; the samples are cached."""
    found = {
        scale: _again(scale, point, options, pipeline, compared, conditions, world)
        for scale, point in jobs
        if scale is not None
    }
    return replace(result, best=scale_differences(result.best, found))


def _again(
    scale: float | None,
    point: Point,
    options: CurveOptions,
    pipeline: DiffusionPipeline,
    compared: Comparisons,
    conditions: Conditions | None,
    world: World,
) -> Comparison:
    """A point's samples once more, from the cache, compared with the real images."""
    alone, sampling = World(0, 1, world.local_rank, world.device), _sampling(options, scale, point)
    drawn = draw(compared.target, pipeline, options.n, sampling, alone, None, conditions)
    return compared.of(drawn.images)


def _with_differences(
    result: CurveResult,
    metric: str,
    options: CurveOptions,
    pipeline: DiffusionPipeline,
    compared: Comparisons,
    conditions: Conditions | None,
    world: World,
) -> CurveResult:
    """Compare each best point with its runner-up, image by image; the samples are cached."""
    scale = options.guidance[0] if options.guidance else None

    def comparison(point: Point) -> Comparison:
        return _again(scale, point, options, pipeline, compared, conditions, world)

    best = with_differences(result.best[metric], metric, comparison)
    return replace(result, best={**result.best, metric: best})


def _write(folder: Path, result: CurveResult | GuidanceResult, *, owned: bool) -> None:
    """Write the picture and the numbers into ``folder``.

    Args:
        folder: where to write.
        result: what was measured.
        owned: the folder is a run's; in another one only files that undrift wrote are replaced.

    Raises:
        UsageError: a file cannot be written.
    """
    if isinstance(result, GuidanceResult):
        chart, files = guidance_chart(result), GUIDANCE_FILES
    else:
        chart, files = curve_chart(result), FILES
    for name, data in zip(files, (chart.png(dpi=160), json_bytes(result)), strict=True):
        write_output(folder / name, data, owned=owned)
