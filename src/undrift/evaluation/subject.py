"""What is evaluated: the pipeline of a run, a saved pipeline, or images that somebody made."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import undrift.data
from undrift.data.report import DataReport
from undrift.data.sources.arrays import npz
from undrift.errors import DataError, ModelFileError, UsageError, one_line
from undrift.files.reading import expanded, read_mapping
from undrift.metrics import Images
from undrift.pipelines import Pipeline
from undrift.pipelines.folder import RECORD, names_in, recorded
from undrift.pipelines.png import read_png
from undrift.runs.configuration import RunConfig
from undrift.runs.directory import RunDirectory, is_pipeline
from undrift.runs.loading import configuration_of, load_pipeline


@dataclass(frozen=True, eq=False)
class Subject:
    """A model to draw from, or a set of samples; one of ``pipeline`` and ``given`` is there.

    Attributes:
        name: as the user gave it.
        pipeline: draws the samples.
        given: the samples.
        classes: names of the samples' labels; empty where they have none or no names.
        run: the run that it came from.
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
            channels, height, width = self.pipeline.spec.shape
            return height, width, channels
        height, width, channels = self.samples.images.shape[1:]
        return height, width, channels

    @property
    def home(self) -> Path:
        """The folder of the run, for messages; of what belongs to none, what the user named."""
        return Path(self.name) if self.run is None else self.run.path

    def keeper(self, out: str | None) -> RunDirectory | None:
        """The run that keeps a result beside ``out``, tried before work is spent on it.

        Args:
            out: where else the result is written.

        Returns:
            None where there is no run, or only ``out`` can be written, as with a shared model.

        Raises:
            UsageError: the run cannot be written and there is no ``out``.
        """
        if self.run is None:
            return None
        try:
            self.run.check_writable("make room, or name another place by --out")
        except UsageError:
            if out is None:
                raise
            return None
        return self.run

    def kept_lines(self, keeper: RunDirectory | None, out: str | None) -> list[str]:
        """What to say of ``keeper``: nothing, or that only ``out`` gets the result."""
        if self.run is None or keeper is not None:
            return []
        return [f"{self.run.path} cannot be written: the result goes to {out} alone"]

    @property
    def labelled(self) -> bool:
        """Whether samples come with the labels that they were asked with."""
        return bool(self.classes) if self.given is None else self.given.labels is not None

    @property
    def fingerprint(self) -> str:
        """Hexadecimal; names the weights and their settings, or the samples."""
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


def open_subject(
    target: str | Subject,
    *,
    ema: float | None = None,
    weights: Literal["ema", "raw"] = "ema",
) -> Subject:
    """The subject that ``target`` names.

    Args:
        target: a subject, which is returned; a run, a pipeline, a folder that ``undrift sample``
            wrote, an ``.npz`` with ``images`` and perhaps ``labels``, or any folder or file that
            `undrift.data.load` reads.
        ema: length of the weight average, of a run.
        weights: averaged or raw, of a run.

    Raises:
        ModelFileError: a damaged run or pipeline, or nothing there.
        DataError: no images there, or no such file.
        UsageError: flags of runs for what is none.
    """
    if isinstance(target, Subject):
        if ema is not None or weights == "raw":
            raise UsageError(f"{target.name}: no run; ema and weights need one")
        return target
    path = expanded(target, ModelFileError)
    run = RunDirectory(path)
    if run.is_run or is_pipeline(path):
        pipeline = load_pipeline(path, ema=ema, weights=weights)
        if not run.is_run and RunDirectory(path.resolve().parent).is_run:
            run = RunDirectory(path.resolve().parent)
        if not run.is_run:
            return Subject(target, pipeline, classes=pipeline.spec.class_names)
        config = configuration_of(run)
        return Subject(target, pipeline, None, pipeline.spec.class_names, run, config)
    if ema is not None or weights == "raw":
        raise UsageError(f"--ema and --weights raw need a run, which {target} is not")
    if is_drawn(path):
        return _drawn(path)
    if not os.path.exists(path) and path.suffix not in (".npz", ".npy", ".zip"):
        raise ModelFileError(
            f"{target}: no such run, pipeline or folder; `undrift runs list` shows what there is"
        )
    if os.path.isfile(path) and path.suffix == ".npz":
        # as it is: a data set would be decoded into the cache and refused where it is small
        rows = npz(path)
        return Subject(target, None, Images(rows.images, rows.labels), rows.class_names)
    loaded = undrift.data.load(target, holdout=0)
    images = Images(loaded.images, loaded.labels)
    return Subject(target, None, images, loaded.class_names, report=loaded.report)


def is_drawn(path: Path) -> bool:
    """Whether ``path`` is a folder that ``undrift sample`` wrote."""
    return os.path.isfile(path / RECORD)


def content_hash(images: NDArray[np.uint8]) -> str:
    """Hexadecimal; equal for the same images in any order."""
    rows = sorted(hashlib.sha256(image.tobytes()).digest() for image in images)
    return hashlib.sha256(str(images.shape[1:]).encode() + b"".join(rows)).hexdigest()


def _drawn(folder: Path) -> Subject:
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
    return Subject(str(folder), None, Images(images, labels), classes)
