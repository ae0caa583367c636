"""``undrift evaluate RUN``: quality, diversity and memorization, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from undrift.cli.console import columns, following, make_console, shown_if_unsaved
from undrift.cli.dispatch import Terminated, stopped
from undrift.cli.flags import ProcessFlags, numbered, parse, repeated
from undrift.files.destination import writable_file
from undrift.files.ownership import check_replaceable
from undrift.options import EvaluateOptions, EvaluateSources
from undrift.wording import duration, plural

if TYPE_CHECKING:
    from rich.console import Console

    from undrift.evaluation import EvaluationProgress
    from undrift.results import EvaluationResult

_LONG = 10.0
"""Seconds of work on features from which on it is announced."""


@dataclass(frozen=True, kw_only=True)
class EvaluateCommand(ProcessFlags, EvaluateOptions, EvaluateSources):
    """Measure samples against real images; every number with its interval, floor and protocol."""


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, evaluate, and print a table.

    Raises:
        UsageError: a bad flag, too few samples, or images that cannot be compared.
        DataError: samples or reference that cannot be read.
        ModelFileError: a damaged run, pipeline or weight file.
        InterruptedRunError: Ctrl-C; the same command goes on.
        TerminatedError: SIGTERM; the same command goes on.
    """
    command = parse(EvaluateCommand, "evaluate", arguments)
    console = make_console(quiet=command.quiet)
    if command.out is not None:
        out = Path(command.out)
        writable_file("--out", out)
        check_replaceable("--out", out.with_name(f"{out.stem}-closest.png"))
    if command.save_reference is not None:
        writable_file("--save-reference", Path(command.save_reference))

    import torch

    from undrift.evaluation import evaluate_target

    if command.threads is not None:
        torch.set_num_threads(command.threads)
    with _shown(console) as progress, shown_if_unsaved(console, table):
        found = evaluate_target(
            command.target,
            command,
            reference=command.reference,
            against=command.against,
            progress=progress,
        )
    if not found.metrics:  # of several processes, the first one prints
        return
    for line in table(found):
        console.print(line)
    if command.out is not None:
        console.print(f"wrote {command.out}")
    console.print(following("undrift", "evaluate", *_next(command)))


def _next(command: EvaluateCommand) -> list[str]:
    """The arguments that compare the same with another model."""
    out = numbered(command.out, "against", "against")
    return repeated(command, EvaluateCommand, against="OTHER", out=out, save_reference=None)


def table(found: EvaluationResult) -> list[str]:
    """The result as lines: a table of metrics, a warning of near-copies, and what is missing."""
    from undrift.metrics import floor_notes

    rows = [("metric", "value", "95 % interval", "real images", "better")]
    for name, metric in found.metrics.items():
        interval = f"{_amount(metric.low)} to {_amount(metric.high)}"
        rows.append((name, _amount(metric.value), interval, _amount(metric.floor), metric.better))
    lines = columns(rows)
    for name, metric in found.metrics.items():
        if metric.unseen:
            lines.append(f"{name} does not see, on these images: {', '.join(metric.unseen)}")
    lines += _obedience(found)
    lines += floor_notes({name: one.floor_missing for name, one in found.metrics.items()})
    if found.memorization is not None and found.memorization.flagged:
        lines.append(
            "warning: more samples are near-copies of training images than real images are"
        )
    lines += [f"no {name}: {reason}" for name, reason in found.missing.items()]
    lines.append(found.protocol)
    if found.against is not None and found.differences is not None:
        lines.append(f"{found.target} less {found.against.target}:")
        lines += columns(
            (name, _amount(one.value), f"{_amount(one.low)} to {_amount(one.high)}")
            for name, one in found.differences.items()
        )
    return lines


def _obedience(found: EvaluationResult) -> list[str]:
    """What stands beside the metrics of prompts and numbers."""
    from undrift.metrics.results import (
        MapResult,
        MaskResult,
        NumberResult,
        PromptResult,
        SwapResult,
    )

    lines = []
    for name, metric in found.metrics.items():
        if isinstance(metric, PromptResult):
            lines.append(f"{name} by chance: {metric.chance:.4g}, of {metric.offered} captions")
        elif isinstance(metric, SwapResult):
            lines.append(
                f"{name} by chance: {metric.chance:.4g}; nearer to the new prompt: "
                f"{metric.before:.0%} before the swap, {metric.after:.0%} after it; it "
                f"changes {metric.changed:.0%} of the pixels, other prompts and noise "
                f"{metric.unrelated:.0%}"
            )
        elif isinstance(metric, NumberResult):
            for number, error in metric.numbers.items():
                real = "" if metric.real is None else f", of real images {metric.real[number]:.4g}"
                lines.append(f"mean error of {number}: {error:.4g}{real}")
        elif isinstance(metric, MaskResult):
            lines.append(f"{name} with the masks of other samples: {metric.shuffled:.4g}")
        elif isinstance(metric, MapResult):
            for one, error in metric.maps.items():
                other = f"with the maps of other samples {metric.shuffled[one]:.4g}"
                lines.append(f"map error of {one}: {error:.4g} of 255, {other}")
    return lines


def _amount(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


@contextmanager
def _shown(console: Console) -> Iterator[EvaluationProgress]:
    """Print the plan and what it will take; on a terminal, also show how far it is."""
    from rich.progress import TaskID

    from undrift.evaluation import EvaluationProgress
    from undrift.evaluation.drawing import OnDrawn
    from undrift.runs.activity import make_bar

    live = console.is_terminal and not console.quiet
    bar = make_bar(console)

    class Shown(EvaluationProgress):
        done, total = 0, 0

        def __init__(self) -> None:
            self._tasks: dict[str, TaskID] = {}

        def _update(self, title: str, done: int, total: int, shown: str | None = None) -> bool:
            """Move the bar called ``title``; True if it is new."""
            new = title not in self._tasks
            if new:
                self._tasks[title] = bar.add_task(title, total=total)
            bar.update(self._tasks[title], completed=done, total=total, description=shown or title)
            return new

        def plan(self, lines: list[str]) -> None:
            for line in lines:
                console.print(line)

        def fitting(self, done: int, total: int, seconds: float) -> None:
            if self._update("fitting features", done, total) and seconds >= _LONG:
                console.print(f"fitting features to the data, once: about {duration(seconds)}")

        def features(self, count: int, seconds: float) -> None:
            if seconds >= _LONG:
                console.print(
                    f"features of up to {plural(count, 'image')}, about {duration(seconds)}"
                )

        def drawn(self, name: str) -> OnDrawn:
            def show(done: int, total: int, left: float) -> None:
                self.done, self.total = done, total
                if self._update(f"sampling {name}", done, total):
                    console.print(
                        f"{name}: {plural(total - done, 'image')} still to draw, about "
                        f"{duration(left)}"
                    )

            return show

        def metric(self, name: str, done: int, total: int) -> None:
            self._update("measuring", done, total, f"measuring {name}")

    progress = Shown()
    try:
        with bar if live else nullcontext():
            yield progress
    except (KeyboardInterrupt, Terminated) as stop:
        kept = f" with {progress.done:,} of {plural(progress.total, 'sample')} kept"
        raise stopped(stop, kept if progress.total else "") from stop
