"""``undrift adapt RUN``: a small adapter beside a trained model, which stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from undrift.cli.console import following, make_console
from undrift.cli.dispatch import first_rank
from undrift.cli.flags import parse
from undrift.errors import UsageError
from undrift.files.destination import writable_folder
from undrift.options import AdaptOptions, AdaptSources


@dataclass(frozen=True, kw_only=True)
class AdaptCommand(AdaptOptions, AdaptSources):
    """Train an adapter of a diffusion model: a control branch for maps, or low-rank matrices.

    The base stays as it is. The adapter is a run like any other: sample, evaluate and resume it; it
    stores its own weights, and path and fingerprint of the base.

    Attributes:
        merge: also write the base with a low-rank adapter added to its weights, a pipeline of its
            own: RUN/merged.
        quiet: print nothing but errors.
    """

    merge: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.merge and self.lora is None:
            raise UsageError(
                "--merge: a control branch is no change of the base's weights; leave it out"
            )


def run(arguments: list[str]) -> None:
    """Parse ``arguments`` and train the adapter.

    Raises:
        UndriftError: see `undrift.workflows.adapt.adapt_run`.
    """
    command = parse(AdaptCommand, "adapt", arguments)
    console = make_console(quiet=command.quiet)
    if command.out is not None:
        writable_folder("--out", Path(command.out))

    from undrift.cli.sample import trained
    from undrift.workflows.adapt import adapt_run

    made = adapt_run(command.target, command.data, command, console=console)
    console.print(made.summary)
    if command.merge and first_rank():
        from undrift.pipelines.adapter import AdapterPipeline

        pipeline = AdapterPipeline.read(made.pipeline, None)
        pipeline.merged().save_pretrained(made.directory / "merged")
        console.print(f"merged  {made.directory / 'merged'}")
    console.print(following("undrift", "sample", *trained(command, made.directory)))
