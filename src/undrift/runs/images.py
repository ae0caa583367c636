"""The images of a run, by its settings or its stored configuration."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from undrift.data import ImageSet, load
from undrift.data.change import changed
from undrift.data.report import DataReport
from undrift.data.sources.opening import is_path
from undrift.errors import DataError, ModelFileError, UsageError
from undrift.files.reading import read_mapping
from undrift.json_types import JsonObject
from undrift.options.train import TrainOptions, image_size
from undrift.runs.configuration import DataConfig
from undrift.runs.directory import RunDirectory, runs_in
from undrift.wording import plural


def load_images(
    source: str,
    options: TrainOptions | DataConfig,
    progress: Callable[[int, int], None] | None = None,
) -> ImageSet:
    """Decode ``source``.

    Args:
        source: what the user named.
        options: how its images are made equal.
        progress: called as ``progress(done, total)`` while decoding; raising stops it.

    Raises:
        DataError: images that are missing, empty or too broken.
        UsageError: a run in place of images.
    """
    refuse_runs(source)
    return load(
        source,
        size=None if options.size is None else image_size(options.size),
        fit=options.fit,
        channels=options.channels,
        background=options.background,
        holdout=options.holdout,
        bad_limit=options.bad_limit,
        label_column=options.label_column,
        caption_column=options.caption_column,
        numbers=options.numbers,
        maps=options.maps,
        progress=progress,
    )


def load_own(
    config: DataConfig, run: Path, progress: Callable[[int, int], None] | None = None
) -> ImageSet:
    """The images that ``run`` was trained on, from where they lie now; see `find_images`.

    Raises:
        DataError: they are not there, or cannot be read.
        UsageError: other images are there.
    """
    source = find_images(config, run)
    data = load_images(source, config, progress)
    if data.fingerprint != config.fingerprint:
        raise UsageError(
            f"{source}: it no longer holds the images that {run} was trained on "
            f"({changed_since(run, data.report)}); {_moved(run)}"
        )
    return data


def image_count(run: Path) -> str:
    """How many images ``run`` began with, in words."""
    count = _stored_report(run).get("count")
    return plural(count, "image") if isinstance(count, int) else "an unknown number of images"


def changed_since(run: Path, report: DataReport) -> str:
    """How the images of ``report`` differ from those that ``run`` began with, counted in images."""
    return changed(_stored_report(run), report)


def _stored_report(run: Path) -> JsonObject:
    path = run / "data.json"
    return read_mapping(path, ModelFileError, "restore or delete it") if path.exists() else {}


def find_images(config: DataConfig, run: Path) -> str:
    """Where the images of ``run`` lie: the first place of these that is there.

    Their path when the run began; the path as it was given, from the working folder; the same from
    the folder that ``run`` and its ``runs/`` lie in, which serves a project that was moved whole.

    Raises:
        DataError: none of them is there.
    """
    if not is_path(config.source):
        return config.source
    given = os.path.expanduser(config.source)
    beside = os.path.join(run.absolute().parent.parent, given)
    for place in (config.path, given, beside):
        if place is not None and os.path.exists(place):
            return place
    raise DataError(
        f"{config.path or config.source}: the images of {run} are not there; {_moved(run)}"
    )


def _moved(run: Path) -> str:
    return f"if they were moved, say where to: undrift train NEW_PLACE --resume {run}"


def refuse_runs(source: str) -> None:
    """Refuse a run, or a folder of runs, where images are wanted: its grids are pictures too.

    Raises:
        UsageError: if ``source`` is one.
    """
    if not is_path(source):
        return
    path = Path(os.path.expanduser(source))  # "~nobody" stays, and is no data
    if RunDirectory(path).was_started:
        raise UsageError(
            f"{source}: a run, not images; `undrift train {source}` resumes it, "
            f"`undrift runs show {source}` shows it"
        )
    inside = [*runs_in(path), *runs_in(path / "runs")]
    if inside:
        raise UsageError(
            f"{source}: it holds runs, whose pictures are no images to train on, such as "
            f"{inside[0]}; name a folder that holds the images alone"
        )
