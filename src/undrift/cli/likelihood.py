"""``undrift likelihood RUN``: how likely images are, in bits per dimension."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from undrift.cli.console import columns, following, make_console, shown_if_unsaved
from undrift.cli.flags import ProcessFlags, numbered, parse, repeated
from undrift.files.destination import writable_file
from undrift.options import LikelihoodOptions, LikelihoodSources
from undrift.wording import duration

if TYPE_CHECKING:
    from rich.console import Console

    from undrift.evaluation.likelihood import LikelihoodProgress
    from undrift.results import LikelihoodResult


@dataclass(frozen=True, kw_only=True)
class LikelihoodCommand(ProcessFlags, LikelihoodOptions, LikelihoodSources):
    """Bits per dimension of images under a model, with standard errors, cost and protocol."""


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, score, and print a table.

    Raises:
        UsageError: a bad flag, or a model without a likelihood.
        DataError: images that cannot be read or scored.
        ModelFileError: a damaged run or pipeline.
    """
    command = parse(LikelihoodCommand, "likelihood", arguments)
    console = make_console(quiet=command.quiet)
    for flag, path in (("--out", command.out), ("--per-image", command.per_image)):
        if path is not None:
            writable_file(flag, Path(path))

    import torch

    from undrift.evaluation.likelihood import measure_likelihood

    if command.threads is not None:
        torch.set_num_threads(command.threads)
    with _shown(console) as progress, shown_if_unsaved(console, table):
        found = measure_likelihood(command.target, command.data, command, progress)
    for line in table(found):
        console.print(line)
    for path in (command.per_image, command.out):
        if path is not None:
            console.print(f"wrote {path}")
    console.print(following("undrift", "likelihood", *_next(command)))


def _next(command: LikelihoodCommand) -> list[str]:
    """The arguments that score the images by both methods, each image, or with another seed."""
    if command.method == "both" and command.per_image is None:
        return repeated(command, LikelihoodCommand, out=None, per_image="scores.csv")
    method, seed = "both", command.seed + (command.method == "both")
    before, after = (command.method, method) if seed == command.seed else (command.seed, seed)
    out, scores = (numbered(path, before, after) for path in (command.out, command.per_image))
    return repeated(command, LikelihoodCommand, method=method, seed=seed, out=out, per_image=scores)


def table(found: LikelihoodResult) -> list[str]:
    """The result as lines: one row per method, their terms, their gap, and the protocols."""
    rows = [("method", "bits/dim", "95 % interval", "NFE", "time")]
    for name, one in found.methods.items():
        interval = f"{one.low:.4f} to {one.high:.4f}"
        rows.append(
            (name, f"{one.bits_per_dim:.4f}", interval, f"{one.nfe:.0f}", duration(one.seconds))
        )
    if (gap := found.gap) is not None:
        interval = f"{gap.low:.4f} to {gap.high:.4f}"
        rows.append(("ode - elbo", f"{gap.value:.4f}", interval, "", ""))
    lines = columns(rows)
    for name, one in found.methods.items():
        if one.terms:
            terms = ", ".join(f"{term} {bits:.4f}" for term, bits in one.terms.items())
            lines.append(f"{name}: {terms} bits/dim")
    return lines + [f"{name}: {one.protocol}" for name, one in found.methods.items()]


@contextmanager
def _shown(console: Console) -> Iterator[LikelihoodProgress]:
    """Print the plan and what it will take; on a terminal, also show how far it is."""
    from undrift.evaluation.likelihood import LikelihoodProgress
    from undrift.evaluation.likelihood.run import OnScored
    from undrift.runs.activity import make_bar

    live = console.is_terminal and not console.quiet
    bar = make_bar(console)

    class Shown(LikelihoodProgress):
        def plan(self, lines: list[str]) -> None:
            for line in lines:
                console.print(line)

        def scored(self, method: str, seconds: float) -> OnScored:
            if seconds:
                console.print(f"{method}: at most about {duration(seconds)}")
            task = bar.add_task(f"scoring ({method})", total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

    with bar if live else nullcontext():
        yield Shown()
