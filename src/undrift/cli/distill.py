"""``undrift distill RUN``: a student of a trained model that draws in one to a few steps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from undrift.cli.console import following, make_console
from undrift.cli.flags import parse
from undrift.files.destination import writable_folder
from undrift.options import DistillOptions, DistillSources


@dataclass(frozen=True, kw_only=True)
class DistillCommand(DistillOptions, DistillSources):
    """Distil a trained diffusion model to one that draws in 1, 2 or 4 steps.

    The student is a run like any other: sample, evaluate, compare and resume it. It is trained on
    the teacher's images and begins with its weights; the teacher itself stays as it is.

    Attributes:
        quiet: print nothing but errors.
    """

    quiet: bool = False


def run(arguments: list[str]) -> None:
    """Parse ``arguments`` and distil.

    Raises:
        UndriftError: see `undrift.workflows.distill.distill_run`.
    """
    command = parse(DistillCommand, "distill", arguments)
    console = make_console(quiet=command.quiet)
    if command.out is not None:
        writable_folder("--out", Path(command.out))

    from undrift.cli.sample import trained
    from undrift.workflows.distill import distill_run

    made = distill_run(command.target, command, console=console)
    console.print(made.summary)
    console.print(following("undrift", "sample", *trained(command, made.directory)))
