"""Images as a model knows them: what it was trained on, or other data brought to its size."""

from __future__ import annotations

from typing import Literal

import undrift.data
from undrift.data import ImageSet
from undrift.errors import UsageError
from undrift.evaluation.subject import Subject
from undrift.runs.images import load_own, refuse_runs
from undrift.wording import dimensions

Split = Literal["test", "validation", "train"]


def load_for(subject: Subject, source: str | None) -> tuple[ImageSet, str]:
    """The images that ``source`` names, cropped and coloured as the model's own, and their name.

    Args:
        subject: a model.
        source: data; None is what the run was trained on.

    Raises:
        UsageError: no run and no source, a run whose data have changed, or images of another size.
        DataError: data that cannot be read.
    """
    config = subject.config
    if source is None:
        if config is None:
            raise UsageError(f"{subject.name}: no run, so nothing tells its data; name DATA")
        data = load_own(config.data, subject.home)
        source = config.data.source
    else:
        refuse_runs(source)
        height, width, channels = subject.shape
        data = undrift.data.load(
            source,
            size=(height, width),
            fit="crop" if config is None else config.data.fit,
            channels=channels,
            background=None if config is None else config.data.background,
            holdout=0,
        )
    if data.shape != subject.shape:
        (high, wide, channels), (height, width, wanted) = data.shape, subject.shape
        raise UsageError(
            f"{source}: images of {dimensions(high, wide)}x{channels}, the model has "
            f"{dimensions(height, width)}x{wanted}; give images of its size and channels"
        )
    return data, source


def part_of(data: ImageSet, source: str, split: Split | None) -> tuple[str, ImageSet]:
    """One part of some images and its name; of None the first there is of test and validation.

    Where nothing is held out these are all of them, called "all".

    Raises:
        UsageError: a split that they have not.
    """
    if split is not None:
        part = data.split(split)
        if not len(part):
            there = ", ".join(name for name in data.splits if len(data.splits[name]))
            raise UsageError(f"--split {split}: {source} has no such images; it has {there}")
        return split, part
    held_out: tuple[Split, ...] = ("test", "validation")
    for name in held_out:
        if len(data.split(name)):
            return name, data.split(name)
    return "all", data
