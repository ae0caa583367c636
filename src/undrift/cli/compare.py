"""``undrift compare DATA``: methods trained and measured alike, with many seeds, in one report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from undrift.cli.console import columns, following, make_console
from undrift.cli.dispatch import Terminated, stopped
from undrift.cli.flags import parse, repeated
from undrift.files.destination import writable_folder
from undrift.options import CompareOptions, CompareSources
from undrift.options.train import check_threads
from undrift.wording import duration, plural

if TYPE_CHECKING:
    from rich.console import Console

    from undrift.comparison import ComparisonProgress
    from undrift.results.comparison import ComparisonResult, RunResult, SeedMean


@dataclass(frozen=True, kw_only=True)
class CompareCommand(CompareOptions, CompareSources):
    """Train several methods alike, with several seeds each, and report how they compare.

    Data, length and measuring are the same for all; every number is a mean over seeds with its
    interval. Each run is a process of its own and is stored as it ends: after Ctrl-C the same
    command goes on, and finished runs are not repeated. A run that fails is a result, with its
    reason.

    Attributes:
        unconditional: ignore the labels that the data has.
        quiet: print nothing but errors.
    """

    unconditional: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.executor == "local":
            check_threads(self.threads)


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, train and measure every run, and print a table.

    Raises:
        UsageError: a bad flag, a method that cannot be trained on the data, or no run at all that
            could be measured.
        DataError: images that cannot be read.
        InterruptedRunError: Ctrl-C; the same command goes on.
        TerminatedError: SIGTERM; the same command goes on.
    """
    command = parse(CompareCommand, "compare", arguments)
    console = make_console(quiet=command.quiet)
    out = Path(command.out)
    writable_folder("--out", out)

    from undrift.comparison import Compare, run_comparison

    comparison = Compare.of(
        command,
        command.data,
        command.methods,
        executor=command.executor,
        conditional=not command.unconditional,
    )
    with _shown(console) as progress:
        found = run_comparison(comparison, progress)
    for line in _lines(found):
        console.print(line)
    console.print(f"wrote {out / 'report.json'}")
    console.print(f"report  {out / 'report.html'}")
    done = next((run.name for run in found.runs if run.state == "done"), None)
    if done is not None:
        console.print(following("undrift", "sample", *_next(command, done)))


def _next(command: CompareCommand, run: str) -> list[str]:
    """The arguments that sample ``run`` on the same device."""
    from undrift.cli.sample import Sample

    return repeated(command, Sample, keep=("device",), target=Path(command.out) / "runs" / run)


def _lines(found: ComparisonResult) -> list[str]:
    """A table per budget, the first differences, and remarks."""
    from undrift.comparison.sentences import headlines, tuning_lines

    lines: list[str] = []
    for table in found.budgets:
        rows = [("method", "runs", *found.metrics)]
        for row in table.methods:
            values = (_value(row.metrics.get(name)) for name in found.metrics)
            rows.append((row.method, f"{row.done} of {row.runs}", *values))
        floors = (_amount(table.floors.get(name)) for name in found.metrics)
        rows.append(("real images", "", *floors))
        lines += [f"at {table.words}:", *columns(rows)]
    lines += tuning_lines(found.tuning) + headlines(found)
    return lines + [f"warning: {line}" for line in found.remarks]


def _value(mean: SeedMean | None) -> str:
    if mean is None:
        return "-"
    if mean.low is None:
        return _amount(mean.value)
    return f"{_amount(mean.value)} ({_amount(mean.low)} to {_amount(mean.high)})"


def _amount(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


@contextmanager
def _shown(console: Console) -> Iterator[ComparisonProgress]:
    """Print the plan and every run as it ends."""
    from undrift.comparison import ComparisonProgress

    class Shown(ComparisonProgress):
        made, runs = 0, 0

        def plan(self, lines: list[str], done: int, total: int) -> None:
            self.made, self.runs = done, total
            for line in lines:
                console.print(line)

        def run(self, result: RunResult, done: int, total: int, left: float | None) -> None:
            self.made, self.runs = done, total
            rest = f", about {duration(left)} left" if left and done < total else ""
            images = plural(result.images, "image")
            ending = images if result.state == "done" else result.ending
            console.print(f"{done} of {plural(total, 'run')}: {result.name}, {ending}{rest}")

    progress = Shown()
    try:
        yield progress
    except (KeyboardInterrupt, Terminated) as stop:
        words = f" after {progress.made} of {plural(progress.runs, 'run')}"
        raise stopped(stop, words) from stop
