"""``undrift train DATA``: from a folder of images to a trained, sampled, reported model."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from undrift.cli.console import columns, following, make_console
from undrift.cli.dispatch import first_rank
from undrift.cli.flags import parse
from undrift.errors import UsageError
from undrift.files.destination import writable_folder
from undrift.options import TrainOptions, TrainSources
from undrift.options.train import changed, flag
from undrift.runs.directory import RunDirectory, open_run
from undrift.wording import dimensions, duration, plural


@dataclass(frozen=True, kw_only=True)
class TrainCommand(TrainOptions, TrainSources):
    """Train a diffusion model, or a GAN, on images, sample it and write a report.

    A run in the place of DATA is resumed; a finished one says so and stays as it is. With --out,
    the same command again resumes too. Without --out every command makes a new run; the line that
    a stop prints ends with the command that resumes it. Options that are not set are chosen from
    the images, the device and the budget, and stored.

    Attributes:
        unconditional: ignore the labels that the data has.
        print_config: print the resolved configuration as YAML and stop.
        dry_run: print parameters, memory and expected time, and stop.
        quiet: print nothing but errors.
    """

    conditional: tyro.conf.Suppress[tyro.conf.Fixed[bool]] = True
    unconditional: bool = False
    print_config: bool = False
    dry_run: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "conditional", not self.unconditional)
        if self.print_config and self.dry_run:
            raise UsageError("--print-config and --dry-run exclude each other; give one of them")
        if self.config is not None and self.dry_run:
            raise UsageError("--config and --dry-run exclude each other; the file has the result")
        if self.config is not None:
            self._check_config()
        elif self.data is None and self.resume is None:
            raise UsageError(
                "train needs DATA: a folder of images, or the name digits to try it: "
                "undrift train digits"
            )

    def run(self) -> RunDirectory | None:
        """The run to resume, where --resume or DATA names one."""
        if self.resume is not None:
            return open_run(self.resume)
        named = RunDirectory(self.data or "")
        return named if named.was_started else None

    def _check_config(self) -> None:
        clashing = ["DATA"] if self.data is not None else []
        clashing += [
            "--unconditional" if name == "conditional" else flag(name) for name in changed(self)
        ]
        if clashing:
            raise UsageError(
                f"--config and {', '.join(clashing)} exclude each other; edit the file instead"
            )


def run(arguments: list[str]) -> None:
    """Parse ``arguments`` and train, or show what would be trained.

    Raises:
        UndriftError: see ``undrift.workflows.train.train_run``.
    """
    command = parse(TrainCommand, "train", arguments)
    console = make_console(quiet=command.quiet)
    if command.out is not None:
        writable_folder("--out", Path(command.out))
    if command.print_config:
        _print_config(command)
        return
    if command.dry_run:
        if (run := command.run()) is not None:
            raise UsageError(f"--dry-run: {run.path} is a run; `undrift runs show` says what it is")
        _print_cost(command, console)
        words = [word for word in arguments if word.replace("_", "-") != "--dry-run"]
        console.print(following("undrift", "train", *words))
        return

    from undrift.cli.sample import trained
    from undrift.workflows.planning import find_start
    from undrift.workflows.train import train_run

    start = find_start(command.data, command, command.out, command.config, command.resume)
    made = train_run(start, command, console=console)
    console.print(made.summary)
    console.print(following("undrift", "sample", *trained(command, made.directory)))


def _print_config(command: TrainCommand) -> None:
    """Print the configuration as YAML and nothing else: it may be meant for a file."""
    from undrift.runs import configuration
    from undrift.runs.unfinished import configuration_of
    from undrift.workflows.preview import resolve_config

    if command.config is not None:
        config = configuration.load(command.config)
    elif (run := command.run()) is not None:
        config = configuration_of(run)
    else:
        config = resolve_config(command.data or "", command)
    if first_rank():
        sys.stdout.write(configuration.dump(config))


def _print_cost(command: TrainCommand, console: Console) -> None:
    """Print what the run would be and take; a few updates of a throw-away model are measured."""
    from undrift.families.parameters import drawing_parameters
    from undrift.workflows.preview import preview

    found = preview(command.data or "", command)
    model, plan = found.config.model, found.config.training
    channels, height, width = model.spec.image_shape
    drawing = ""
    if model.network is not None and (count := drawing_parameters(model)) < found.parameters:
        drawing = f", {count:,} of the generator"
    facts = [
        (
            "data",
            f"{plural(found.images, 'training image')} of {dimensions(height, width)}x{channels}",
        ),
        ("classes", f"{len(model.spec.class_names) or 'none'}"),
        ("network", model.network.kind if model.network is not None else "your own"),
        ("parameters", f"{found.parameters:,}{drawing}"),
        ("batch", f"{plan.batch_size}"),
        ("device", f"{plan.device}, {plural(plan.threads, 'thread')}, {plan.precision}"),
        ("memory", f"{found.megabytes:,.0f} MiB at its peak"),
        ("speed", f"{plan.batch_size / found.seconds_per_step:,.0f} images/s"),
        ("steps", f"{'about ' if found.config.budget else ''}{plan.steps:,}"),
        (
            "time",
            f"about {duration(found.seconds)}, and {duration(found.closing)} for evaluation and "
            "report",
        ),
    ]
    if found.expectation is not None:
        facts.append(("expect", found.expectation.sentence.removeprefix("expect ")))
    for line in (*columns(facts), *found.findings):
        console.print(line)
