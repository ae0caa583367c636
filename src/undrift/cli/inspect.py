"""``undrift inspect DATA``: what is there, what is wrong with it, and whether it can be learned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from undrift.cli.console import following, make_console
from undrift.cli.flags import parse, repeated
from undrift.errors import UsageError
from undrift.files.destination import writable_folder
from undrift.options.maps import map_words
from undrift.options.train import image_size, number_names

if TYPE_CHECKING:
    from undrift.data.report import DataReport


@dataclass(frozen=True)
class Inspect:
    """Summarise and check a data set: counts, sizes, channels, values, classes, copies, problems.

    Nothing is written unless --out names a folder.

    Attributes:
        data: a folder, zip, .npz or .npy of images, a folder of idx files, or a name: `digits`,
            `ring8` or `grid25`.
        out: a folder to write data.json and a contact sheet into.
        size: of the images to make, in pixels: 64 for squares, or width x height, as 64x48.
        fit: how images of other shapes are made to fit.
        channels: 1 grey, 3 colour, 4 colour and alpha.
        background: colour #rrggbb to composite transparent images on.
        holdout: share of the training images to hold out.
        label_column: column of metadata.csv, metadata.jsonl or a Hugging Face data set that holds
            the labels; `label` by default.
        caption_column: columns that hold captions, separated by commas; `.txt` is a text file
            beside each image; `text` by default.
        numbers: columns of metadata.csv or metadata.jsonl, or arrays of an .npz, that hold a number
            to condition on for every image, such as `angle`.
        maps: maps to check that come with each image, such as `mask` in the column
            `mask_file_name`.
    """

    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="DATA", metavar="DATA")]
    out: str | None = None
    size: str | None = None
    fit: Literal["crop", "pad"] = "crop"
    channels: Literal[1, 3, 4] | None = None
    background: str | None = None
    holdout: float = 0.05
    label_column: str | None = None
    caption_column: str | None = None
    numbers: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ()
    maps: Annotated[
        tuple[str, ...],
        tyro.conf.arg(name="map", metavar="NAME [NAME ...]", help_behavior_hint=""),
    ] = ()

    def __post_init__(self) -> None:
        if self.size is not None:
            image_size(self.size)
        if not 0 <= self.holdout < 1:
            raise UsageError(f"--holdout {self.holdout}: wanted a share of at least 0, below 1")


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, read the data, and print what is there.

    Raises:
        UsageError: a bad flag, or an ``--out`` that can't be written.
        DataError: no data there, or none of it readable.
    """
    flags = parse(Inspect, "inspect", arguments)
    console = make_console()
    out = None if flags.out is None else Path(flags.out)
    if out is not None:
        writable_folder("--out", out)

    from undrift.data import load
    from undrift.data.inspection import inspect_text, row, write_inspection
    from undrift.runs.expectation import needs_of, needs_sentence
    from undrift.runs.images import refuse_runs

    refuse_runs(flags.data)
    images = load(
        flags.data,
        size=None if flags.size is None else image_size(flags.size),
        fit=flags.fit,
        channels=flags.channels,
        background=flags.background,
        holdout=flags.holdout,
        bad_limit=1.0,
        label_column=flags.label_column,
        caption_column=flags.caption_column,
        numbers=number_names(flags.numbers),
        maps=map_words(flags.maps),
    )
    console.print(inspect_text(images))
    if (needed := needs_of(images)) is not None:
        console.print(row("needs", needs_sentence(needed)))
    if out is not None:
        for path in write_inspection(images, out):
            console.print(f"wrote {path}")
    console.print(following("undrift", "train", *_next(flags, images.report)))


def _next(flags: Inspect, report: DataReport) -> list[str]:
    """The words by which training reads the same images."""
    from undrift.cli.train import TrainCommand
    from undrift.data.reporting import limit_for

    text = True if flags.caption_column is not None else None
    return repeated(flags, TrainCommand, out=None, bad_limit=limit_for(report), text=text)
