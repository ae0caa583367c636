"""``undrift evaluate RUN``: how good, how diverse, how original, each number with its interval."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from undrift.cli.console import (
    columns,
    following,
    make_console,
    shown_if_unsaved,
)
from undrift.cli.dispatch import Terminated
from undrift.cli.flags import at_least, finite, numbered, parse, repeated
from undrift.errors import InterruptedRunError, TerminatedError, UsageError
from undrift.files.destination import writable_file
from undrift.files.ownership import check_replaceable
from undrift.limits import MOST_IMAGES
from undrift.runs.settings import check_threads
from undrift.wording import duration, plural

if TYPE_CHECKING:
    from rich.console import Console

    from undrift.evaluation import Watcher

_WORTH_TELLING = 10.0
"""Seconds of computing features from which on they are announced."""


@dataclass(frozen=True)
class EvaluateCommand:
    """Measure samples against real images; every number with its interval, floor and protocol.

    Attributes:
        target: a run, a pipeline, an .npz with images uint8 (N, H, W[, C]) and perhaps labels, or
            a folder of images.
        reference: real images to compare with: any DATA that `undrift train` takes, or a file that
            --save-reference wrote; by default the held-out images of the run's own data.
        label_column: column of the reference's metadata.csv or metadata.jsonl that holds the
            labels; `label` by default.
        save_reference: write the reference's features into this .safetensors file, which needs no
            data afterwards.
        against: a second run, pipeline or set of samples: also measure the differences.
        n: samples, and reference images, at most; fewer where there are fewer.
        reference_n: reference images at most, where that is to be another number; where none are
            held out, as many as the samples are else left to be measured in their place.
        metrics: names, `quick`, or `all` (the default): fd fd_infinity kid texture_fd mind
            precision recall density coverage vendi inception_score modes label_accuracy class_fd
            cas memorization c_t authenticity cmmd.
        features: feature space: domain (the default: a classifier trained on the reference's
            training images), random, pixels, texture, inception, dinov2[:DIR], clip[:DIR], FILE.pt,
            FILE.onnx or module:function; FILE.pt and module:function run code.
        feature_weights: file with the weights of inception.
        download: fetch weights that are missing; without it nothing is downloaded.
        split: part of the reference to compare with; test, else validation, else all of it.
        seed: names the samples drawn, and every random choice.
        steps: sampler steps.
        sampler: how to step.
        grid: how to space the noise levels; see `undrift sample --help`.
        guidance: classifier-free guidance scale; 1 is off.
        ema: length of the weight average to sample with, as a share of training such as 0.05.
        weights: the averaged weights, or the raw ones of the last step.
        device: where to compute.
        threads: CPU threads; None leaves torch's choice.
        out: also write the result into this JSON file; a run keeps its own in evaluation/.
        quiet: print nothing but errors.
    """

    target: Annotated[
        tyro.conf.Positional[str],
        tyro.conf.arg(name="RUN|PIPELINE|SAMPLES", metavar="RUN|PIPELINE|SAMPLES"),
    ]
    reference: str | None = None
    label_column: str | None = None
    save_reference: str | None = None
    against: str | None = None
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 10_000
    reference_n: int | None = None
    metrics: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ("all",)
    features: str | None = None
    feature_weights: str | None = None
    download: bool = False
    split: Literal["test", "validation", "train"] | None = None
    seed: int = 0
    steps: int | None = None
    sampler: str | None = None
    grid: str | None = None
    guidance: float | None = None
    ema: float | None = None
    weights: Literal["ema", "raw"] = "ema"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    out: str | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        at_least("--n", self.n, 1, MOST_IMAGES)
        at_least("--reference-n", self.reference_n, 1, MOST_IMAGES)
        at_least("--seed", self.seed, 0)
        at_least("--steps", self.steps, 1)
        at_least("--threads", self.threads, 1)
        check_threads(self.threads)
        finite("--guidance", self.guidance)
        if self.ema is not None and not 0 < self.ema <= 0.25:
            raise UsageError(f"--ema {self.ema}: wanted a share of training above 0, up to 0.25")
        if self.ema is not None and self.weights == "raw":
            raise UsageError("--ema and --weights raw exclude each other; give one of them")
        if not self.metrics:
            raise UsageError("--metrics: wanted one name or more, quick or all")


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, evaluate, and print a table.

    Raises:
        UsageError: a bad flag, too few samples, or images that cannot be compared.
        DataError: samples or reference that cannot be read.
        ModelFileError: a damaged run, pipeline or weight file.
        InterruptedRunError: Ctrl-C; the same command goes on.
        TerminatedError: SIGTERM; the same command goes on.
    """
    asked = parse(EvaluateCommand, "evaluate", arguments)
    console = make_console(quiet=asked.quiet)
    if asked.out is not None:
        out = Path(asked.out)
        writable_file("--out", out)
        check_replaceable("--out", out.with_name(f"{out.stem}-closest.png"))
    if asked.save_reference is not None:
        writable_file("--save-reference", Path(asked.save_reference))

    import torch

    from undrift.evaluation import Evaluate, Sampling, run_evaluation

    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    sampling = Sampling(asked.seed, asked.steps, asked.sampler, asked.guidance, asked.grid)
    wanted = tuple(part for name in asked.metrics for part in name.split(",") if part)
    with _watching(console) as watcher, shown_if_unsaved(console, table):
        found = run_evaluation(
            Evaluate(
                target=asked.target,
                against=asked.against,
                reference=asked.reference,
                label_column=asked.label_column,
                n=asked.n,
                reference_n=asked.reference_n,
                metrics=wanted,
                features=asked.features,
                weights_file=asked.feature_weights,
                download=asked.download,
                split=asked.split,
                seed=asked.seed,
                sampling=sampling,
                ema=asked.ema,
                weights=asked.weights,
                device=asked.device,
                out=asked.out,
                save_reference=asked.save_reference,
            ),
            watcher,
        )
    if not found:
        return
    for line in table(found):
        console.print(line)
    if asked.out is not None:
        console.print(f"wrote {asked.out}")
    console.print(following("undrift", "evaluate", *_next(asked)))


def _next(asked: EvaluateCommand) -> list[str]:
    """The words that hold the same against another model."""
    out = numbered(asked.out, "against", "against")
    return repeated(asked, EvaluateCommand, against="OTHER", out=out, save_reference=None)


def table(found: dict[str, Any]) -> list[str]:
    """The result as lines: a table of metrics, the closest pairs' flag, and what is missing."""
    from undrift.metrics import floor_notes

    rows = [("metric", "value", "95 % interval", "real images", "better")]
    for name, record in found["metrics"].items():
        rows.append(
            (
                name,
                _amount(record["value"]),
                f"{_amount(record['low'])} to {_amount(record['high'])}",
                _amount(record["floor"]),
                record["better"],
            )
        )
    lines = columns(rows)
    for name, record in found["metrics"].items():
        if record.get("unseen"):
            lines.append(f"{name} does not see, on these images: {', '.join(record['unseen'])}")
    lines += floor_notes(found["metrics"])
    memorization = found["metrics"].get("memorization", {})
    if memorization.get("flagged"):
        lines.append(
            "warning: more samples are near-copies of training images than real images are"
        )
    lines += [f"no {name}: {reason}" for name, reason in found["missing"].items()]
    lines.append(found["protocol"])
    if "differences" in found:
        lines.append(f"{found['target']} less {found['against']['target']}:")
        lines += columns(
            [
                (
                    name,
                    _amount(record["value"]),
                    f"{_amount(record['low'])} to {_amount(record['high'])}",
                )
                for name, record in found["differences"].items()
            ]
        )
    return lines


def _amount(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


@contextmanager
def _watching(console: Console) -> Iterator[Watcher]:
    """Says what is planned and what it will take; on a terminal, also how far it is."""
    from undrift.evaluation import Watcher

    live = console.is_terminal and not console.quiet
    from undrift.runs.activity import make_bar

    bar = make_bar(console)

    class Speaking(Watcher):
        kept, wanted = 0, 0

        def plan(self, lines: list[str]) -> None:
            for line in lines:
                console.print(line)

        def fitting(self, done: int, total: int, seconds: float) -> None:
            if not self._fitting:
                task = bar.add_task("fitting features", total=total)
                self._fitting.append(task)
                if seconds >= _WORTH_TELLING:
                    console.print(f"fitting features to the data, once: about {duration(seconds)}")
            bar.update(self._fitting[-1], completed=done, total=total)

        def features(self, count: int, seconds: float) -> None:
            if seconds >= _WORTH_TELLING:
                console.print(
                    f"features of up to {plural(count, 'image')}, about {duration(seconds)}"
                )

        def drawn(self, name: str) -> Any:  # noqa: ANN401 - a callable, see Watcher
            task = bar.add_task(f"sampling {name}", total=None)
            told = False

            def show(done: int, total: int, left: float) -> None:
                nonlocal told
                if not told:
                    console.print(
                        f"{name}: {plural(total - done, 'image')} still to draw, about "
                        f"{duration(left)}"
                    )
                told = True
                self.kept, self.wanted = done, total
                bar.update(task, completed=done, total=total)

            return show

        def metric(self, name: str, done: int, total: int) -> None:
            if not live:
                return
            if not self._measuring:
                self._measuring.append(bar.add_task("measuring", total=total))
            bar.update(self._measuring[-1], completed=done, description=f"measuring {name}")

        def __init__(self) -> None:
            self._measuring: list[Any] = []
            self._fitting: list[Any] = []

    speaking = Speaking()
    try:
        with bar if live else nullcontext():
            yield speaking
    except (KeyboardInterrupt, Terminated) as stop:
        ctrl_c = isinstance(stop, KeyboardInterrupt)
        kind = InterruptedRunError if ctrl_c else TerminatedError
        kept = f" with {speaking.kept:,} of {plural(speaking.wanted, 'sample')} kept"
        raise kind(
            f"{'interrupted' if ctrl_c else 'terminated'}{kept if speaking.wanted else ''}; the "
            "same command goes on"
        ) from stop
