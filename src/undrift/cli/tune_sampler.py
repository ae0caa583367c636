"""``undrift tune-sampler RUN``: learn few-step samplers for one model and keep them in it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from undrift.cli.console import (
    columns,
    following,
    make_console,
    shown_if_unsaved,
)
from undrift.cli.flags import at_least, finite, parse, repeated
from undrift.errors import InterruptedRunError, UsageError
from undrift.files.destination import writable_file
from undrift.options.train import check_threads
from undrift.wording import clock, duration, plural

if TYPE_CHECKING:
    from rich.console import Console

    from undrift.evaluation.tuning import Watcher


PLAIN_EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""

STORED_LAST = "samplers are stored when all are found: a stop before loses what was found"


@dataclass(frozen=True)
class TuneSamplerCommand:
    """Learn the best sampler of a few steps for this model, and store it in the pipeline.

    `undrift sample RUN --steps 6` then uses it, unless --sampler or --grid says otherwise.

    Attributes:
        target: a finished run, or a folder that save_pretrained wrote.
        steps: numbers of steps, each its own sampler, such as 5,6,8,10.
        samples: images to tune on: half to fit, a quarter to choose by, a quarter to judge by.
        seed: names them; no image of theirs is ever drawn by sample or evaluate.
        guidance: guidance scale to tune at; the model's own by default.
        aim: fit the last step so that images are distributed like real ones, where these are at
            hand, or let the fine solution alone be the aim.
        reference: real images to fit the last step to; by default those that a run was trained on.
        device: where to compute.
        threads: CPU threads; None leaves torch's choice.
        out: also write the result into this JSON file; a run keeps its own in evaluation/.
        quiet: print nothing but errors.
    """

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="RUN", metavar="RUN")]
    steps: Annotated[str, tyro.conf.arg(metavar="N,N,...")] = "5,6,8,10"
    samples: int = 128
    seed: int = 0
    guidance: float | None = None
    aim: Literal["images", "solution"] = "images"
    reference: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    out: str | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        at_least("--threads", self.threads, 1)
        check_threads(self.threads)
        finite("--guidance", self.guidance)


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, tune, and print a table.

    Raises:
        UsageError: a bad flag, or a pipeline that takes no steps.
        ModelFileError: no model there, a damaged one, or one that changed meanwhile.
    """
    asked = parse(TuneSamplerCommand, "tune-sampler", arguments)
    console = make_console(quiet=asked.quiet)
    steps = tuple(_whole(part) for part in asked.steps.split(","))
    if asked.out is not None:
        writable_file("--out", Path(asked.out), Path(asked.out))

    import torch

    from undrift.evaluation.tuning import TuneSampler, run_tuning

    wanted = TuneSampler(
        target=asked.target,
        steps=steps,
        samples=asked.samples,
        seed=asked.seed,
        guidance=asked.guidance,
        aim=asked.aim,
        reference=asked.reference,
        device=asked.device,
        out=asked.out,
    )
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    with _watching(console) as watcher, shown_if_unsaved(console, table):
        found = run_tuning(wanted, watcher)
    for line in table(found):
        console.print(line)
    console.print(f"stored in the pipeline after {duration(found['seconds'])}")
    console.print(following("undrift", "sample", *_next(asked, steps[0])))


def _next(asked: TuneSamplerCommand, steps: int) -> list[str]:
    """The words that draw with a sampler that was learned, at the guidance that it has."""
    from undrift.cli.sample import Sample

    return repeated(asked, Sample, keep=("target", "guidance", "device", "threads"), steps=steps)


def table(found: dict[str, Any]) -> list[str]:
    """The result as lines."""
    heads = ("steps", "best fixed", "error", "searched", "refined", "kept", "reduction", "95 %")
    rows: list[tuple[str, ...]] = [(*heads, "distance to data")]
    for row in found["rows"]:
        gain, distance = row["reduction"], row["distance"]
        moved = "" if distance is None else f"{distance['before']:.3f} to {distance['after']:.3f}"
        rows.append(
            (
                str(row["steps"]),
                row["fixed"]["sampler"],
                f"{row['fixed']['error']:.4f}",
                f"{row['searched']['error']:.4f}",
                f"{row['refined']['error']:.4f}",
                f"{row['error']:.4f}",
                f"{gain['value']:.0%}",
                f"{gain['low']:.0%} to {gain['high']:.0%}",
                moved,
            )
        )
    lines = columns(rows)
    for row in found["rows"]:
        if row["kept"] == row["fixed"]["sampler"]:
            lines.append(
                f"{plural(row['steps'], 'step')}: nothing beat {row['kept']}, which is kept"
            )
    lines.append(f"error: {found['error']}")
    if any(row["distance"] is not None for row in found["rows"]):
        lines.append(f"distance to data: {found['distance']}")
    return lines


def _whole(part: str) -> int:
    if not part.strip().isascii() or not part.strip().isdigit():
        raise UsageError(f"--steps {part.strip()!r}: wanted whole numbers such as 5,6,8,10")
    return int(part)


@contextmanager
def _watching(console: Console) -> Iterator[Watcher]:
    """Prints the plan, one line per result, and a bar; without a terminal a line now and then."""
    from undrift.evaluation.tuning import Watcher

    live = console.is_terminal and not console.quiet
    from undrift.runs.activity import make_bar

    bar = make_bar(console)
    task = bar.add_task("tuning", total=1.0)

    class Speaking(Watcher):
        def plan(self, lines: list[str]) -> None:
            for line in lines:
                console.print(line)
            console.print(STORED_LAST)

        def progress(self, doing: str, done: float, left: float) -> None:
            if live:
                bar.update(task, completed=done, description=doing)
            elif time.monotonic() - self._spoken >= PLAIN_EVERY:
                self._spoken = time.monotonic()
                elapsed = clock(self._spoken - self._began)
                console.print(f"{doing}: {done:.0%}  elapsed {elapsed}, left {clock(left)}")

        def __init__(self) -> None:
            self._began = self._spoken = time.monotonic()

        def result(self, row: dict[str, Any]) -> None:
            console.print(
                f"{plural(row['steps'], 'step')}: error {row['error']:.4f}, "
                f"{row['reduction']['value']:.0%} "
                f"below {row['fixed']['sampler']}"
            )

    try:
        with bar if live else nullcontext():
            yield Speaking()
    except KeyboardInterrupt as stop:
        raise InterruptedRunError(f"interrupted: nothing was stored, {STORED_LAST}") from stop
