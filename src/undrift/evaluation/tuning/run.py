"""From what a user names to samplers stored in a pipeline."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from undrift.data.findings import finding_lines
from undrift.errors import DataError, ModelFileError, UsageError
from undrift.evaluation.opening import check, open_reference
from undrift.evaluation.saving import saved_elsewhere
from undrift.evaluation.target import Target
from undrift.evaluation.tuning.calibration import JUDGED
from undrift.evaluation.tuning.cases import FINE, Source
from undrift.evaluation.tuning.likeness import MOST, Likeness
from undrift.evaluation.tuning.tune import Watcher, tune_all
from undrift.files import manifest
from undrift.files.durable import standing, write_file, write_output
from undrift.files.lock import FileLock
from undrift.files.reading import expanded, read_bytes
from undrift.limits import MOST_SAMPLES
from undrift.pipelines import DiffusionPipeline, Pipeline
from undrift.runs.directory import RunDirectory, is_pipeline, open_run
from undrift.runs.loading import configuration_of
from undrift.runs.recipes import choose_device
from undrift.version import __version__
from undrift.wording import plural

FEWEST, MOST_STEPS = 32, 50


@dataclass(frozen=True)
class TuneSampler:
    """What to tune, and how.

    Attributes:
        target: a run or a pipeline.
        steps: numbers of steps, each its own sampler.
        samples: images to tune on.
        seed: names them.
        guidance: guidance scale; None is the pipeline's.
        device: where to compute.
        aim: what the last step is fitted to: real images, where they are at hand, or nothing but
            the fine solution.
        reference: real images; None are those that a run was trained on.
        out: JSON file to write, beside the run's own.
    """

    target: str
    steps: tuple[int, ...]
    samples: int = 128
    seed: int = 0
    guidance: float | None = None
    aim: Literal["images", "solution"] = "images"
    reference: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    out: str | None = None

    def __post_init__(self) -> None:
        if not self.steps:
            raise UsageError("--steps: wanted one number of steps or more, such as 5,6,8,10")
        for count in self.steps:
            if not 1 <= count <= MOST_STEPS:
                raise UsageError(f"--steps {count}: wanted 1 to {MOST_STEPS}")
        if len(set(self.steps)) < len(self.steps):
            twice = next(count for count in self.steps if self.steps.count(count) > 1)
            raise UsageError(f"--steps: {twice} is given twice; give each number once")
        if not FEWEST <= self.samples <= MOST_SAMPLES:
            raise UsageError(
                f"--samples {self.samples}: wanted a whole number from {FEWEST} to {MOST_SAMPLES:,}"
            )
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed}: wanted at least 0")
        if self.reference is not None and self.aim == "solution":
            raise UsageError(
                f"--reference {self.reference} with --aim solution, which asks for no real images: "
                "leave one of them out"
            )


def run_tuning(asked: TuneSampler, watcher: Watcher | None = None) -> dict[str, Any]:
    """Tune, store the samplers in the pipeline, and return what they are worth.

    The pipeline is written anew and swapped in when everything has been found; until then it stays
    as it is, whatever happens.

    Raises:
        UndriftError: what cannot be opened, tuned or written.
    """
    watcher = Watcher() if watcher is None else watcher
    directory, run = _pipeline_directory(asked.target)
    whole = directory.resolve()
    bare = FileLock(whole.parent, f".{whole.name}.LOCK")  # in it, it would be replaced with it
    with bare if run is None else FileLock(run.path):
        return _tuned(asked, directory, run, watcher)


def _tuned(
    asked: TuneSampler, directory: Path, run: RunDirectory | None, watcher: Watcher
) -> dict[str, Any]:
    if run is not None:
        run.check_writable()
    device = choose_device(asked.device)
    before = _manifest(directory)
    pipeline = tunable(Pipeline.from_pretrained(directory)).to(device)
    guidance = pipeline.spec.guidance if asked.guidance is None else asked.guidance
    source = Source(pipeline, guidance, asked.seed)
    likeness, lines = likeness_of(asked, pipeline, run)
    watcher.plan(lines)
    found, rows, seconds = tune_all(source, asked.steps, asked.samples, watcher, likeness)
    pipeline.learned = {**pipeline.learned, **found}
    if _manifest(directory) != before:
        raise ModelFileError(f"{directory} has changed since the tuning began; tune again")
    pipeline.to("cpu")
    result = _result(asked, guidance, rows, seconds)
    text = (json.dumps(result, indent=1, allow_nan=False) + "\n").encode()

    def save(folder: Path) -> None:
        write_file(folder / "tune-sampler.json", text)
        pipeline.save_pretrained(folder / "pipeline")

    with saved_elsewhere(result, save):
        pipeline.save_pretrained(directory)
        if run is not None:
            run.write_bytes("evaluation/tune-sampler.json", text)
        if asked.out is not None:
            write_output(Path(asked.out), text)
    return result


def likeness_of(
    asked: TuneSampler, pipeline: DiffusionPipeline, run: RunDirectory | None
) -> tuple[Likeness | None, list[str]]:
    """The likeness to real images that the last step is fitted by, if any, and lines on it.

    Raises:
        UsageError: images that are named and do not suit the model.
        DataError: images that are named and cannot be read.
    """
    if asked.aim == "solution":
        return None, ["aiming at the fine solution alone"]
    if asked.reference is None and run is None:
        return None, [
            "aiming at the fine solution alone: the pipeline belongs to no run; name real images "
            "by --reference to fit the last step to"
        ]
    config = None if run is None else configuration_of(run)
    classes = pipeline.spec.class_names
    subject = Target(asked.target, pipeline, None, classes, run, config)
    try:
        reference = open_reference(subject, asked.reference, "train")
        check(subject, reference)
    except (DataError, UsageError) as error:
        if asked.reference is not None:
            raise
        return None, [f"aiming at the fine solution alone: {error}"]
    count = min(len(reference.images), MOST)
    lines = [f"the last step is fitted to {plural(count, 'training image')} of {reference.source}"]
    lines += [] if reference.report is None else finding_lines(reference.report)
    return Likeness.to(reference.images.images, asked.seed), lines


def tunable(pipeline: Pipeline) -> DiffusionPipeline:
    """The pipeline, made ready: its weights held still.

    Raises:
        UsageError: if it has no denoiser to ask in few or many steps.
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
    asked: TuneSampler, guidance: float, rows: list[dict[str, Any]], seconds: float
) -> dict[str, Any]:

    return {
        "version": __version__,
        "target": asked.target,
        "samples": asked.samples,
        "seed": asked.seed,
        "guidance": guidance,
        "fine": FINE,
        "error": "mean over images of the root mean square difference from the solution in "
        f"{FINE} evaluations from the same noise, in the model's space",
        "aim": asked.aim,
        "distance": "Frechet distance to training images, in random features, of "
        f"{plural(JUDGED * asked.samples, 'image')} that the last step was not fitted to",
        "seconds": round(seconds, 1),
        "threads": torch.get_num_threads(),
        "rows": rows,
    }
