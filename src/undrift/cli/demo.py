"""``undrift demo``: the whole journey in about a minute, on images that need no download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from undrift.cli.console import command_line, following, make_console
from undrift.cli.destination import folder_of
from undrift.cli.flags import at_least, parse
from undrift.options.train import TrainOptions
from undrift.wording import plural

SEED = 0
BUDGET = "60s"
ROWS = 10
"""Rows of grid.png; each row is every digit once."""


@dataclass(frozen=True)
class Demo:
    """Train on the handwritten digits for about a minute, draw a hundred of them and report.

    Attributes:
        budget: time to train for, such as 30s or 2m; 60s by default.
        steps: optimiser updates to make instead.
        out: the run directory; runs/digits-DATE-N by default.
        quiet: print nothing but errors.
    """

    budget: str | None = None
    steps: int | None = None
    out: str | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        at_least("--steps", self.steps, 1)


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, train, draw, and say where everything is."""
    flags = parse(Demo, "demo", arguments)
    budget = BUDGET if flags.budget is None and flags.steps is None else flags.budget
    settings = TrainOptions(budget=budget, steps=flags.steps, seed=SEED)
    console = make_console(quiet=flags.quiet)

    from undrift.cli.sample import Sample
    from undrift.pipelines.folder import RECORD, unfinished
    from undrift.pipelines.writing import write_samples
    from undrift.runs.loading import load_pipeline
    from undrift.workflows.planning import find_start
    from undrift.workflows.train import train_run

    made = train_run(find_start("digits", settings, flags.out), settings, console=console)
    directory = Path(made.directory)
    pipeline = load_pipeline(directory)
    count = ROWS * len(pipeline.spec.class_names)
    request = Sample(target=str(directory), n=count, labels=("all",), seed=SEED)
    out = folder_of(request, "samples")
    if not (out / RECORD).exists() or unfinished(out):
        samples = pipeline(count, labels="all", seed=SEED)
        words = [str(directory), "-n", str(count), "--labels", "all"]
        write_samples(samples, out, command=command_line("sample", words))
        console.print(
            f"{plural(count, 'digit')} in {samples.seconds:.1f} s, {samples.nfe:g} network "
            "evaluations each"
        )
    console.print(f"grid    {out / 'grid.png'}")
    console.print(f"report  {directory / 'report.html'}")
    console.print(following("undrift", "sample", directory, "--labels", "3", "--guidance", "2"))
