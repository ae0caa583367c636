"""``undrift compare DATA``: methods trained and measured alike, with many seeds, in one report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undrift.cli.console import columns, following, make_console
from undrift.cli.dispatch import Terminated
from undrift.cli.flags import parse, repeated
from undrift.errors import InterruptedRunError, TerminatedError
from undrift.files.destination import writable_folder
from undrift.options import CompareOptions, CompareSources
from undrift.options.train import check_threads
from undrift.wording import duration, plural

if TYPE_CHECKING:
    from rich.console import Console

    from undrift.comparison import ComparisonProgress


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
    for line in _told(found):
        console.print(line)
    console.print(f"wrote {out / 'report.json'}")
    console.print(f"report  {out / 'report.html'}")
    done = next((one["name"] for one in found["runs"] if one["state"] == "done"), None)
    if done is not None:
        console.print(following("undrift", "sample", *_next(command, done)))


def _next(command: CompareCommand, run: str) -> list[str]:
    """The arguments that sample ``run`` on the same device."""
    from undrift.cli.sample import Sample

    return repeated(command, Sample, keep=("device",), target=Path(command.out) / "runs" / run)


def _told(found: dict[str, Any]) -> list[str]:
    """A table per ledger, what it says first, and what is to be minded."""
    from undrift.comparison.sentences import said
    from undrift.comparison.tuning_table import tuning_lines

    lines: list[str] = []
    for table in found["ledgers"]:
        rows = [("method", "runs", *found["metrics"])]
        for row in table["methods"]:
            cells = (_value(row["metrics"].get(name)) for name in found["metrics"])
            rows.append((row["method"], f"{row['done']} of {row['runs']}", *cells))
        floors = (_amount(table["floors"].get(name)) for name in found["metrics"])
        rows.append(("real images", "", *floors))
        lines += [f"at {table['words']}:", *columns(rows)]
    lines += tuning_lines(found["tuning"]) + said(found)
    return lines + [f"mind: {line}" for line in found["remarks"]]


def _value(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "-"
    if entry["low"] is None:
        return _amount(entry["value"])
    return f"{_amount(entry['value'])} ({_amount(entry['low'])} to {_amount(entry['high'])})"


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

        def run(self, record: dict[str, Any], done: int, total: int, left: float | None) -> None:
            self.made, self.runs = done, total
            rest = f", about {duration(left)} left" if left and done < total else ""
            state = (
                record["state"] if record["state"] != "done" else plural(record["images"], "image")
            )
            reason = f": {record['reason']}" if "reason" in record else ""
            console.print(
                f"{done} of {plural(total, 'run')}: {record['name']}, {state}{reason}{rest}"
            )

    progress = Shown()
    try:
        yield progress
    except (KeyboardInterrupt, Terminated) as stop:
        ctrl_c = isinstance(stop, KeyboardInterrupt)
        kind = InterruptedRunError if ctrl_c else TerminatedError
        raise kind(
            f"{'interrupted' if ctrl_c else 'terminated'} after {progress.made} of "
            f"{plural(progress.runs, 'run')}; the same command goes on"
        ) from stop
