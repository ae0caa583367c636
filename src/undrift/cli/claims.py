"""``undrift claims``: six claims about diffusion models and GANs, tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from undrift.cli.console import columns, following, make_console
from undrift.cli.dispatch import Terminated, stopped
from undrift.cli.flags import parse
from undrift.files.destination import writable_folder
from undrift.options import ClaimsOptions
from undrift.wording import duration, plural

if TYPE_CHECKING:
    from rich.console import Console

    from undrift.claims import ClaimsProgress
    from undrift.comparison import ComparisonProgress
    from undrift.results.claims import ClaimsResult
    from undrift.results.comparison import RunResult


@dataclass(frozen=True)
class ClaimsCommand(ClaimsOptions):
    """Test six claims about diffusion models and GANs on runs of both, and report the verdicts.

    Stability, coverage, scaling, control, likelihood and the cost of inference: each has a
    question, a contrast, a margin and a number of seeds that were fixed beforehand, and gets a
    verdict with its interval over seeds. Runs and measurements are stored as they end: after Ctrl-C
    the same command goes on.

    Attributes:
        part: make one measurement of a study whose runs are finished, and exit.
        quiet: print nothing but errors.
    """

    part: str | None = None
    quiet: bool = False


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, make the study or one part, and print the verdicts.

    Raises:
        UsageError: a bad flag, data without classes, or an unknown part.
        DataError: images that cannot be read.
        InterruptedRunError: Ctrl-C; the same command goes on.
        TerminatedError: SIGTERM; the same command goes on.
    """
    command = parse(ClaimsCommand, "claims", arguments)
    console = make_console(quiet=command.quiet)
    writable_folder("--out", Path(command.out))

    from undrift.claims import Study, make_part, run_study

    study = Study.from_options(command)
    if command.part is not None:
        make_part(study, command.part)
        return
    with _shown(console) as progress:
        found = run_study(study, progress)
    for line in _lines(found):
        console.print(line)
    console.print(f"wrote {Path(command.out) / 'report.json'}")
    console.print(f"report  {Path(command.out) / 'report.html'}")
    console.print(
        following("undrift", "runs", "list", "--root", Path(command.out) / "main" / "runs")
    )


def _lines(found: ClaimsResult) -> list[str]:
    """A line per claim, and the measurements that failed."""
    from undrift.claims.claims import effect, interval

    rows = [("claim", "verdict", "effect", "95 % interval", "of")]
    for claim in found.claims:
        ends = interval(claim.unit, claim.low, claim.high)
        rows.append((claim.name, claim.verdict, effect(claim.unit, claim.value), ends, claim.unit))
    lines = list(columns(rows))
    for name, reason in found.failed.items():
        lines.append(f"warning: {name} could not be measured ({reason}); see logs/")
    return lines


@contextmanager
def _shown(console: Console) -> Iterator[ClaimsProgress]:
    """Print every run and every measurement as it ends."""
    from undrift.claims import ClaimsProgress
    from undrift.comparison import ComparisonProgress

    class Runs(ComparisonProgress):
        def __init__(self, name: str) -> None:
            self.name = name

        def run(self, result: RunResult, done: int, total: int, left: float | None) -> None:
            rest = f", about {duration(left)} left of them" if left and done < total else ""
            console.print(
                f"{self.name}: {done} of {plural(total, 'run')}: {result.name}, "
                f"{result.ending}{rest}"
            )

    class Shown(ClaimsProgress):
        def loaded(self, lines: list[str]) -> None:
            for line in lines:
                console.print(line)

        def plan(self, runs: Mapping[str, int]) -> None:
            counts = ", ".join(f"{name} {count}" for name, count in runs.items())
            console.print(f"{plural(sum(runs.values()), 'run')}: {counts}")

        def comparison(self, name: str) -> ComparisonProgress:
            return Runs(name)

        def measurement(self, name: str, done: int, total: int, failed: str | None) -> None:
            bad = "" if failed is None else f", {failed}"
            console.print(f"measured {done} of {total}: {name}{bad}")

    try:
        yield Shown()
    except (KeyboardInterrupt, Terminated) as stop:
        raise stopped(stop, "; what is finished is kept") from stop
