"""``undrift tune-sampler RUN``: optimise few-step samplers for one model and store them in it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from undrift.cli.console import columns, following, make_console, shown_if_unsaved
from undrift.cli.flags import ProcessFlags, parse, repeated
from undrift.errors import InterruptedRunError
from undrift.files.destination import writable_file
from undrift.options import TuningOptions, TuningSources
from undrift.wording import clock, duration, plural

if TYPE_CHECKING:
    from rich.console import Console

    from undrift.evaluation.tuning import TuningProgress
    from undrift.results import TuningResult
    from undrift.results.tuning import TunedSampler

PLAIN_EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""

STORED_LAST = "samplers are stored when all are found: a stop before loses what was found"


@dataclass(frozen=True, kw_only=True)
class TuneSamplerCommand(ProcessFlags, TuningOptions, TuningSources):
    """Optimise the sampler of a few steps for this model, and store it in the pipeline.

    `undrift sample RUN --steps 6` then uses it, unless --sampler or --grid says otherwise.
    """


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, tune, and print a table.

    Raises:
        UsageError: a bad flag, or a pipeline that takes no steps.
        ModelFileError: no model there, a damaged one, or one that changed meanwhile.
    """
    command = parse(TuneSamplerCommand, "tune-sampler", arguments)
    console = make_console(quiet=command.quiet)
    if command.out is not None:
        writable_file("--out", Path(command.out), Path(command.out))

    import torch

    from undrift.evaluation.tuning import tune_target

    if command.threads is not None:
        torch.set_num_threads(command.threads)
    with _shown(console) as progress, shown_if_unsaved(console, table):
        found = tune_target(command.target, command, progress)
    for line in table(found):
        console.print(line)
    console.print(f"stored in the pipeline after {duration(found.seconds)}")
    console.print(following("undrift", "sample", *_next(command, command.steps[0])))


def _next(command: TuneSamplerCommand, steps: int) -> list[str]:
    """The arguments that sample with an optimised sampler, at the guidance that it has."""
    from undrift.cli.sample import Sample

    return repeated(command, Sample, keep=("target", "guidance", "device", "threads"), steps=steps)


def table(found: TuningResult) -> list[str]:
    """The result as lines."""
    heads = ("steps", "best fixed", "error", "searched", "refined", "kept", "reduction", "95 %")
    rows: list[tuple[str, ...]] = [(*heads, "distance to data")]
    for row in found.rows:
        gain, distance = row.reduction, row.distance
        moved = "" if distance is None else f"{distance.before:.3f} to {distance.after:.3f}"
        stages = (row.fixed.error, row.searched.error, row.refined.error, row.error)
        errors = (f"{error:.4f}" for error in stages)
        interval = f"{gain.low:.0%} to {gain.high:.0%}"
        rows.append(
            (str(row.steps), row.fixed.sampler, *errors, f"{gain.value:.0%}", interval, moved)
        )
    lines = columns(rows)
    for row in found.rows:
        if row.kept == row.fixed.sampler:
            lines.append(f"{plural(row.steps, 'step')}: nothing beat {row.kept}, which is kept")
    lines.append(f"error: {found.error}")
    if any(row.distance is not None for row in found.rows):
        lines.append(f"distance to data: {found.distance}")
    return lines


@contextmanager
def _shown(console: Console) -> Iterator[TuningProgress]:
    """Print the plan, one line per result, and a bar; without a terminal a line now and then."""
    from undrift.evaluation.tuning import TuningProgress

    live = console.is_terminal and not console.quiet
    from undrift.runs.activity import make_bar

    bar = make_bar(console)
    task = bar.add_task("tuning", total=1.0)

    class Shown(TuningProgress):
        def plan(self, lines: list[str]) -> None:
            for line in lines:
                console.print(line)
            console.print(STORED_LAST)

        def progress(self, doing: str, done: float, left: float) -> None:
            if live:
                bar.update(task, completed=done, description=doing)
            elif time.monotonic() - self._printed >= PLAIN_EVERY:
                self._printed = time.monotonic()
                elapsed = clock(self._printed - self._began)
                console.print(f"{doing}: {done:.0%}  elapsed {elapsed}, left {clock(left)}")

        def __init__(self) -> None:
            self._began = self._printed = time.monotonic()

        def result(self, row: TunedSampler) -> None:
            console.print(
                f"{plural(row.steps, 'step')}: error {row.error:.4f}, {row.reduction.value:.0%} "
                f"below {row.fixed.sampler}"
            )

    try:
        with bar if live else nullcontext():
            yield Shown()
    except KeyboardInterrupt as stop:
        raise InterruptedRunError(f"interrupted: nothing was stored, {STORED_LAST}") from stop
