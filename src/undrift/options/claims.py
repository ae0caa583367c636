"""Options of ``undrift claims``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from undrift.advice import named
from undrift.errors import UsageError
from undrift.options.maps import map_words
from undrift.options.options import Options, at_least
from undrift.options.train import TrainOptions, check_threads, number_names


@dataclass(frozen=True)
class ClaimsOptions(Options):
    """Size of the study, its data, and how it is computed.

    Attributes:
        preset: `quick` takes a quarter of an hour on two cores, `full` hours; `smoke` runs
            everything once in a minute or two, as a check, and its verdicts are inconclusive.
        out: folder of the study: report.html, report.json, figures/ and the runs themselves.
        data: images with classes; what `undrift train` takes.
        mnist: handwritten digits of 28 x 28 pixels, for stacked digits, which are left out without
            them.
        scale: factor on the images and the time of every run: 10 with a GPU, or overnight.
        seed: of the first run of each method, the next ones follow it.
        workers: runs at a time; by default one per core, up to four, and one on a GPU.
        threads: CPU threads of each run; by default the cores divided by the workers.
        device: where to compute.
        text: also compare models of the captions in the data, in the section on control.
        caption_column: columns that hold captions, as of `undrift train`.
        numbers: also compare models of these columns of numbers there, as of `undrift train`.
        maps: also compare models of these maps there, as of `undrift train`.
    """

    preset: Literal["smoke", "quick", "full"] = "quick"
    out: str = "runs/claims"
    data: str = "digits"
    mnist: str | None = None
    scale: float = 1.0
    seed: int = 0
    workers: int | None = None
    threads: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    text: bool = False
    caption_column: str | None = None
    numbers: Annotated[
        Sequence[str], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ()
    maps: Annotated[
        Sequence[str],
        tyro.conf.arg(name="map", metavar="NAME [NAME ...]", help_behavior_hint=""),
    ] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("workers", self.workers, 1)
        at_least("threads", self.threads, 1)
        at_least("seed", self.seed, 0)
        check_threads(self.threads)
        object.__setattr__(self, "numbers", number_names(self.numbers))
        object.__setattr__(self, "maps", map_words(self.maps))
        TrainOptions(text=self.text, caption_column=self.caption_column)
        if self.scale <= 0:
            raise UsageError(f"{named('scale')} {self.scale}: wanted a number above 0")
