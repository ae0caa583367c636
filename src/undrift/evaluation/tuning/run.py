"""``undrift tune-sampler``: optimise few-step samplers and store them in the pipeline."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from undrift.advice import named
from undrift.ambient import own_settings
from undrift.arguments import keywords_of
from undrift.data.findings import finding_lines
from undrift.errors import DataError, ModelFileError, UsageError
from undrift.evaluation.conditions import Conditions, condition_lines, conditions_of
from undrift.evaluation.opening import check, open_reference
from undrift.evaluation.saving import json_bytes, saved_elsewhere
from undrift.evaluation.target import Target
from undrift.evaluation.tuning.calibration import TESTED
from undrift.evaluation.tuning.cases import FINE, Source
from undrift.evaluation.tuning.likeness import MOST, Likeness
from undrift.evaluation.tuning.tune import TuningProgress, tune_all
from undrift.files import manifest
from undrift.files.durable import standing, write_file, write_output
from undrift.files.lock import FileLock
from undrift.files.reading import expanded, read_bytes
from undrift.options import TuningOptions
from undrift.options.options import Options
from undrift.pipelines import DiffusionPipeline, Pipeline
from undrift.results.tuning import TunedSampler, TuningResult
from undrift.runs.device import choose_device
from undrift.runs.directory import RunDirectory, is_pipeline, open_run
from undrift.runs.unfinished import configuration_of
from undrift.version import __version__
from undrift.wording import plural


@dataclass(frozen=True)
class TuningTarget(Options):
    """The model.

    Attributes:
        target: a run or a pipeline.
    """

    target: str | os.PathLike[str]


@dataclass(frozen=True)
class TuningCall(TuningOptions, TuningTarget):
    """Arguments of `tune_sampler`: the model and the options."""


@own_settings()
@keywords_of(TuningCall)
def tune_sampler(call: TuningCall) -> TuningResult:
    """Optimise a sampler for each number of steps, and store them in the pipeline.

    The arguments are the fields of `TuningCall` and `undrift.options.TuningOptions`.

    Returns:
        ``result.rows``: for each number of steps ``error``, ``fixed`` (the best classical sampler
        and its error), ``reduction`` with ``low`` and ``high`` (95 %), and ``distance`` to the data
        ``before`` and ``after`` the last step was fitted to them, or None.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    return tune_target(call.target, call)


def tune_target(
    target: str | os.PathLike[str],
    options: TuningOptions,
    progress: TuningProgress | None = None,
) -> TuningResult:
    """As `tune_sampler`, with progress.

    The pipeline is written anew and swapped in when all samplers are found; until then it stays as
    it is.
    """
    progress = TuningProgress() if progress is None else progress
    name = os.fspath(target)
    directory, run = _pipeline_directory(name)
    whole = directory.resolve()
    bare = FileLock(whole.parent, f".{whole.name}.LOCK")  # in it, it would be replaced with it
    with bare if run is None else FileLock(run.path):
        return _tuned(name, options, directory, run, progress)


def _tuned(
    target: str,
    options: TuningOptions,
    directory: Path,
    run: RunDirectory | None,
    progress: TuningProgress,
) -> TuningResult:
    if run is not None:
        run.check_writable()
    device = choose_device(options.device)
    before = _manifest(directory)
    pipeline = tunable(Pipeline.from_pretrained(directory)).to(device)
    guidance = pipeline.spec.guidance if options.guidance is None else options.guidance
    likeness, lines = likeness_of(target, options, pipeline, run)
    conditions = _conditions(target, options, pipeline, run)
    source = Source(pipeline, guidance, options.seed, conditions)
    progress.plan(lines + condition_lines(pipeline.spec, conditions))
    found, rows, seconds = tune_all(source, options.steps, options.samples, progress, likeness)
    pipeline.learned = {**pipeline.learned, **found}
    if _manifest(directory) != before:
        raise ModelFileError(f"{directory} has changed since the tuning began; tune again")
    pipeline.to("cpu")
    result = _result(target, options, guidance, rows, seconds)
    text = json_bytes(result)

    def save(folder: Path) -> None:
        write_file(folder / "tune-sampler.json", text)
        pipeline.save_pretrained(folder / "pipeline")

    with saved_elsewhere(result, save):
        pipeline.save_pretrained(directory)
        if run is not None:
            run.write_bytes("evaluation/tune-sampler.json", text)
        if options.out is not None:
            write_output(Path(options.out), text)
    return result


def _conditions(
    target: str, options: TuningOptions, pipeline: DiffusionPipeline, run: RunDirectory | None
) -> Conditions | None:
    """Captions and numbers of the training images; None of a model that takes none, or no data."""
    spec = pipeline.spec
    if (spec.text is None and not spec.numbers) or (options.reference is None and run is None):
        return None
    config = None if run is None else configuration_of(run)
    model = Target(target, pipeline, None, spec.class_names, run, config)
    try:
        reference = open_reference(model, options.reference, "train")
    except (DataError, UsageError):  # data that is gone: `condition_lines` says that all is open
        return None
    return conditions_of(pipeline, reference, options.seed)


def likeness_of(
    target: str, options: TuningOptions, pipeline: DiffusionPipeline, run: RunDirectory | None
) -> tuple[Likeness | None, list[str]]:
    """The likeness to real images that the last step is fitted by, if any, and lines on it.

    Raises:
        UsageError: images that are named and do not suit the model.
        DataError: images that are named and cannot be read.
    """
    if options.aim == "solution":
        return None, ["aiming at the fine solution alone"]
    if options.reference is None and run is None:
        return None, [
            "aiming at the fine solution alone: the pipeline belongs to no run; name real images "
            f"by {named('reference')} to fit the last step to"
        ]
    config = None if run is None else configuration_of(run)
    classes = pipeline.spec.class_names
    model = Target(target, pipeline, None, classes, run, config)
    try:
        reference = open_reference(model, options.reference, "train")
        check(model, reference)
    except (DataError, UsageError) as error:
        if options.reference is not None:
            raise
        return None, [f"aiming at the fine solution alone: {error}"]
    count = min(len(reference.images), MOST)
    lines = [f"the last step is fitted to {plural(count, 'training image')} of {reference.source}"]
    lines += [] if reference.report is None else finding_lines(reference.report)
    return Likeness.to(reference.images.images, options.seed), lines


def tunable(pipeline: Pipeline) -> DiffusionPipeline:
    """The pipeline, made ready: its weights held still.

    Raises:
        UsageError: if it has no denoiser to evaluate in few or many steps.
    """
    solved = DiffusionPipeline.of(pipeline, "only diffusion pipelines can be tuned")
    solved.weights.requires_grad_(False)
    return solved


def _pipeline_directory(target: str) -> tuple[Path, RunDirectory | None]:
    path = expanded(target, ModelFileError)
    if is_pipeline(path):
        parent = RunDirectory(path.resolve().parent)
        return path, parent if parent.is_run else None
    run = open_run(path)
    if not standing(run.pipeline).is_dir():
        raise ModelFileError(f"{path}: it has no pipeline yet; finish its training first")
    return run.pipeline, run


def _manifest(directory: Path) -> bytes:
    return read_bytes(
        standing(directory) / manifest.NAME, ModelFileError, "save the pipeline again"
    )


def _result(
    target: str,
    options: TuningOptions,
    guidance: float,
    rows: tuple[TunedSampler, ...],
    seconds: float,
) -> TuningResult:
    return TuningResult(
        version=__version__,
        target=target,
        samples=options.samples,
        seed=options.seed,
        guidance=guidance,
        fine=FINE,
        error="mean over images of the root mean square difference from the solution in "
        f"{FINE} evaluations from the same noise, in the model's space",
        aim=options.aim,
        distance="Frechet distance to training images, in random features, of "
        f"{plural(TESTED * options.samples, 'image')} that the last step was not fitted to",
        seconds=round(seconds, 1),
        threads=torch.get_num_threads(),
        rows=rows,
    )
