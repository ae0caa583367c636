"""The target of an evaluation: a model (run or saved pipeline) or a set of samples."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

import undrift.data
from undrift.advice import named
from undrift.arguments import shown
from undrift.data import DataReport, ImageSet
from undrift.data.sources.arrays import npz
from undrift.errors import DataError, ModelFileError, UsageError, one_line
from undrift.files.reading import expanded, read_mapping
from undrift.metrics import Images
from undrift.options import Split
from undrift.pipelines import Pipeline, Samples
from undrift.pipelines.folder import RECORD, names_in, recorded
from undrift.pipelines.png import read_png
from undrift.runs.configuration import RunConfig
from undrift.runs.directory import RunDirectory, is_pipeline
from undrift.runs.images import load_own, refuse_runs
from undrift.runs.loading import load_pipeline
from undrift.runs.unfinished import configuration_of
from undrift.wording import dimensions

Evaluable: TypeAlias = str | os.PathLike[str] | Pipeline | Samples | NDArray[np.uint8]
"""What can be evaluated: a path, a model, or images, uint8 (N, H, W, C) or grayscale (N, H, W)."""

ImageSource: TypeAlias = str | os.PathLike[str] | Samples | NDArray[np.uint8]
"""Images: a path, or in memory."""


@dataclass(frozen=True, eq=False)
class Target:
    """A model, or a set of samples; one of ``pipeline`` and ``given`` is there.

    Attributes:
        name: as the user gave it.
        pipeline: the model.
        given: the samples.
        classes: names of the samples' labels; empty where they have none or no names.
        run: the run that it belongs to.
        config: that run's configuration.
        report: what loading the samples found, where they are a data set.
    """

    name: str
    pipeline: Pipeline | None = None
    given: Images | None = None
    classes: tuple[str, ...] = ()
    run: RunDirectory | None = None
    config: RunConfig | None = None
    report: DataReport | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the samples."""
        if self.pipeline is not None:
            channels, height, width = self.pipeline.spec.image_shape
            return height, width, channels
        height, width, channels = self.samples.images.shape[1:]
        return height, width, channels

    @property
    def home(self) -> Path:
        """The folder of the run, for messages; without a run, the path that the user gave."""
        return Path(self.name) if self.run is None else self.run.path

    def writable_run(self, out: str | os.PathLike[str] | None) -> RunDirectory | None:
        """The run that a result is written into, checked before work is spent on it.

        Args:
            out: the other place that the result is written to.

        Returns:
            None where there is no run, or only ``out`` can be written, as with a shared model.

        Raises:
            UsageError: the run cannot be written and there is no ``out``.
        """
        if self.run is None:
            return None
        try:
            self.run.check_writable(f"make room, or name another place by {named('out')}")
        except UsageError:
            if out is None:
                raise
            return None
        return self.run

    def unwritable_lines(
        self, writable: RunDirectory | None, out: str | os.PathLike[str] | None
    ) -> list[str]:
        """A line if the run is not ``writable``, so that only ``out`` gets the result."""
        if self.run is None or writable is not None:
            return []
        return [f"{self.run.path} cannot be written: the result goes to {out} alone"]

    @property
    def labelled(self) -> bool:
        """Whether samples have labels."""
        return bool(self.classes) if self.given is None else self.given.labels is not None

    @property
    def fingerprint(self) -> str:
        """Hexadecimal hash of the weights and their settings, or of the samples."""
        if self.pipeline is None:
            return content_hash(self.samples.images)
        return self.pipeline.fingerprint

    @property
    def samples(self) -> Images:
        """The samples of a set; a pipeline has none yet.

        Raises:
            UsageError: there are none.
        """
        if self.given is None:
            raise UsageError(f"{self.name}: neither a pipeline nor samples")
        return self.given


def open_target(
    source: Evaluable | Target,
    *,
    parameter: str = "target",
    ema: float | None = None,
    weights: Literal["ema", "raw"] = "ema",
) -> Target:
    """Open what ``source`` names or holds.

    Args:
        source: a target, which is returned; a model or images in memory; or the path of a run, a
            pipeline, a folder that ``undrift sample`` wrote, an ``.npz`` with ``images`` and
            perhaps ``labels``, or any folder or file that `undrift.data.load` reads.
        parameter: name of ``source`` in errors.
        ema: length of the weight average, of a run.
        weights: averaged or raw, of a run.

    Raises:
        ModelFileError: a damaged run or pipeline, or nothing there.
        DataError: no images there, or no such file.
        UsageError: flags of runs for what is none.
    """
    if not isinstance(source, str | os.PathLike):
        target = source if isinstance(source, Target) else _in_memory(parameter, source)
        if ema is not None or weights == "raw":
            raise UsageError(
                f"{target.name}: no run; {named('ema')} and {named('weights')} need one"
            )
        return target
    target = os.fspath(source)
    path = expanded(target, ModelFileError)
    run = RunDirectory(path)
    if run.is_run or is_pipeline(path):
        pipeline = load_pipeline(path, ema=ema, weights=weights)
        pipeline.check_draws()
        if not run.is_run and RunDirectory(path.resolve().parent).is_run:
            run = RunDirectory(path.resolve().parent)
        if not run.is_run:
            return Target(target, pipeline, classes=pipeline.spec.class_names)
        config = configuration_of(run)
        return Target(target, pipeline, None, pipeline.spec.class_names, run, config)
    if ema is not None or weights == "raw":
        raise UsageError(
            f"{named('ema')} and {named('weights')} raw need a run, which {target} is not"
        )
    if is_drawn(path):
        return _drawn(path)
    if not os.path.exists(path) and path.suffix not in (".npz", ".npy", ".zip"):
        raise ModelFileError(
            f"{target}: no such run, pipeline or folder; `undrift runs list` shows what there is"
        )
    if os.path.isfile(path) and path.suffix == ".npz":
        # as it is: a data set would be decoded into the cache and refused where it is small
        rows = npz(path)
        return Target(target, None, Images(rows.images, rows.labels), rows.class_names)
    loaded = undrift.data.load(target, holdout=0)
    images = Images(loaded.images, loaded.labels)
    return Target(target, None, images, loaded.class_names, report=loaded.report)


def _in_memory(parameter: str, given: Pipeline | Samples | NDArray[np.uint8]) -> Target:
    """A model or images, named after their type."""
    name = type(given).__name__
    if isinstance(given, Pipeline):
        given.check_draws()
        return Target(name, given, classes=given.spec.class_names)
    if isinstance(given, Samples):
        return Target(name, None, Images(given.images, given.labels), given.class_names)
    images = given[..., None] if given.ndim == 3 else given
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 2, 3, 4):
        raise UsageError(
            f"{named(parameter)} {shown(given)}: wanted uint8 images (N, H, W, C), C up to 4, or "
            "(N, H, W)"
        )
    return Target("array", None, Images(images))


def is_drawn(path: Path) -> bool:
    """Whether ``path`` is a folder that ``undrift sample`` wrote."""
    return os.path.isfile(path / RECORD)


def content_hash(images: NDArray[np.uint8]) -> str:
    """Hexadecimal; equal for the same images in any order."""
    rows = sorted(hashlib.sha256(image.tobytes()).digest() for image in images)
    return hashlib.sha256(str(images.shape[1:]).encode() + b"".join(rows)).hexdigest()


def _drawn(folder: Path) -> Target:
    """What ``undrift sample`` wrote: the files that its record lists, without the grid."""
    record = read_mapping(folder / RECORD, DataError, "sample again")
    try:
        entries = recorded(record)
        images = np.stack([read_png(folder / entry.file) for entry in entries])
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise DataError(
            f"{folder}: {RECORD} or one of its images can't be read ({one_line(error)}); "
            "sample again"
        ) from error
    labels, classes = None, ()
    if all(entry.label is not None for entry in entries):
        labels = np.array([entry.label for entry in entries], np.int64)
        classes = tuple(name or str(k) for k, name in enumerate(names_in(entries)))
    return Target(str(folder), None, Images(images, labels), classes)


def load_for(target: Target, source: str | None) -> tuple[ImageSet, str]:
    """Load images with the size and channels of a model; return them and their name.

    Args:
        target: the model.
        source: data; None is what the run was trained on.

    Raises:
        UsageError: no run and no source, a run whose data has changed, or images of another size.
        DataError: data that cannot be read.
    """
    config = target.config
    if source is None:
        if config is None:
            raise UsageError(f"{target.name}: it belongs to no run with data of its own; name DATA")
        data = load_own(config.data, target.home)
        source = config.data.source
    else:
        refuse_runs(source)
        height, width, channels = target.shape
        data = undrift.data.load(
            source,
            size=(height, width),
            fit="crop" if config is None else config.data.fit,
            channels=channels,
            background=None if config is None else config.data.background,
            holdout=0,
        )
    if data.shape != target.shape:
        (high, wide, channels), (height, width, wanted) = data.shape, target.shape
        raise UsageError(
            f"{source}: images of {dimensions(high, wide)}x{channels}, the model has "
            f"{dimensions(height, width)}x{wanted}; give images of its size and channels"
        )
    return data, source


def part_of(data: ImageSet, source: str, split: Split | None) -> tuple[str, ImageSet]:
    """Name and images of a split; None is the first there is of test and validation.

    Where nothing is held out these are all images, called "all".

    Raises:
        UsageError: a split that the data lacks.
    """
    if split is not None:
        part = data.split(split)
        if not len(part):
            there = ", ".join(name for name in data.splits if len(data.splits[name]))
            raise UsageError(
                f"{named('split')} {split}: {source} has no such images; it has {there}"
            )
        return split, part
    held_out: tuple[Split, ...] = ("test", "validation")
    for name in held_out:
        if len(data.split(name)):
            return name, data.split(name)
    return "all", data
