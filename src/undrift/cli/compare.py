"""``undrift compare DATA``: methods trained and measured alike, with many seeds, in one report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from undrift.cli.console import columns, following, make_console
from undrift.cli.dispatch import Terminated
from undrift.cli.flags import at_least, parse, repeated
from undrift.errors import InterruptedRunError, TerminatedError, UsageError
from undrift.files.destination import writable_folder
from undrift.limits import MOST_IMAGES
from undrift.options.train import TrainSettings, check_threads, stored_size
from undrift.wording import duration, plural

if TYPE_CHECKING:
    from rich.console import Console

    from undrift.comparison import Watcher


@dataclass(frozen=True)
class CompareCommand:
    """Train several methods alike, with several seeds each, and report how they compare.

    Data, length and measuring are the same for all; every number is a mean over seeds with its
    interval. Each run is a process of its own and is kept as it ends: after Ctrl-C the same command
    goes on, and finished runs are not repeated. A run that fails is a result, with its reason.

    Attributes:
        data: what `undrift train` takes.
        out: folder of the comparison: report.json, report.html and the runs themselves.
        methods: names as in `undrift train --method`; all are contrasted with the first.
        seeds: runs of each method.
        budget: the same wall-clock time for every run: 60s, 30m, 2h.
        images: the same number of real images for every run; with --budget both are made.
        metrics: names as in `undrift evaluate`; the first one is told first.
        n: samples of each run, and reference images, at most.
        reference: real images to compare with; by default the held-out images of the data.
        features: feature space, as in undrift evaluate.
        feature_weights: file with the weights of inception.
        download: fetch weights that are missing; without it nothing is downloaded.
        split: part of the reference to compare with; test, else validation, else all of it.
        seed: of the first run, the next ones follow it; also names the samples.
        parameters: of the network that draws images, for every method, within a tenth: a number
            such as 0.5M, or `recipe`, each recipe's own; by default those of the first method.
        trials: settings that are tried for each method before its runs, the recipe being the
            first; the best on validation images is used. 0 leaves every recipe as it is.
        trial_share: length of a trial, as a share of a run's.
        size: of the images to train on, in pixels: 64 for squares, or width x height, as 64x48.
        channels: 1 grey, 3 colour, 4 colour and alpha.
        label_column: column of metadata.csv, metadata.jsonl or a Hugging Face data set that holds
            the labels; `label` by default.
        batch_size: images of a batch, for every method; by default each recipe's own.
        flip: mirror images left to right at random.
        unconditional: ignore the labels that the data has.
        holdout: share of the training images held out, in [0, 1).
        evaluate_every: steps between evaluations while training: a curve of quality in the report.
        evaluate_samples: samples of each of these evaluations.
        bare: leave out every run's own first metrics and report; the comparison's are made.
        workers: runs at a time.
        threads: CPU threads of each run; by default the cores divided by the workers.
        device: where to compute.
        executor: where runs are made: `local`, processes here, or `slurm`, jobs of the cluster
            that this machine belongs to, --workers at a time.
        slurm_partition: partition of the jobs.
        slurm_minutes: time limit of a job; a run that was cut off is gone on with by the next
            command.
        quiet: print nothing but errors.
    """

    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="DATA", metavar="DATA")]
    out: str
    methods: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ("diffusion", "r3gan")
    seeds: int = 5
    budget: str | None = None
    images: int | None = None
    metrics: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ("fd", "kid", "coverage", "label_accuracy", "memorization")
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 2000
    reference: str | None = None
    features: str = "domain"
    feature_weights: str | None = None
    download: bool = False
    split: Literal["test", "validation", "train"] | None = None
    seed: int = 0
    parameters: str | None = None
    trials: int = 0
    trial_share: float = 1.0
    size: str | None = None
    channels: Literal[1, 3, 4] | None = None
    label_column: str | None = None
    batch_size: int | None = None
    flip: bool = False
    unconditional: bool = False
    holdout: float = 0.05
    evaluate_every: int | None = None
    evaluate_samples: int = 1000
    bare: bool = False
    workers: int = 1
    threads: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    executor: Literal["local", "slurm"] = "local"
    slurm_partition: str | None = None
    slurm_minutes: int = 120
    quiet: bool = False

    def __post_init__(self) -> None:
        at_least("--seeds", self.seeds, 1, 1000)
        at_least("--n", self.n, 10, MOST_IMAGES)
        at_least("--workers", self.workers, 1)
        at_least("--threads", self.threads, 1)
        if self.executor == "local":
            check_threads(self.threads)
        if self.budget is None and self.images is None:
            raise UsageError(
                "--budget 2m (equal seconds) or --images 200000 (equal images): give one, or both"
            )
        for length in ({"budget": self.budget}, {"images": self.images}):
            TrainSettings(
                seed=self.seed,
                size=self.size,
                batch_size=self.batch_size,
                holdout=self.holdout,
                evaluate_every=self.evaluate_every,
                evaluate_samples=self.evaluate_samples,
                **length,  # type: ignore[arg-type]
            )


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, train and measure every run, and print a table.

    Raises:
        UsageError: a bad flag, a method that cannot be trained on the data, or no run at all that
            could be measured.
        DataError: images that cannot be read.
        InterruptedRunError: Ctrl-C; the same command goes on.
        TerminatedError: SIGTERM; the same command goes on.
    """
    asked = parse(CompareCommand, "compare", arguments)
    console = make_console(quiet=asked.quiet)
    writable_folder("--out", Path(asked.out))

    from undrift.comparison import Compare, arms_of, run_comparison

    wanted = Compare(
        data=asked.data,
        out=asked.out,
        arms=arms_of(_parts(asked.methods)),
        seeds=asked.seeds,
        budget=asked.budget,
        images=asked.images,
        metrics=_parts(asked.metrics),
        n=asked.n,
        reference=asked.reference,
        features=asked.features,
        weights_file=asked.feature_weights,
        download=asked.download,
        split=asked.split,
        seed=asked.seed,
        parameters=asked.parameters,
        trials=asked.trials,
        trial_share=asked.trial_share,
        size=stored_size(asked.size),
        channels=asked.channels,
        label_column=asked.label_column,
        batch_size=asked.batch_size,
        flip=asked.flip,
        conditional=not asked.unconditional,
        holdout=asked.holdout,
        evaluate_every=asked.evaluate_every,
        evaluate_samples=asked.evaluate_samples,
        bare=asked.bare,
        workers=asked.workers,
        threads=asked.threads,
        device=asked.device,
        executor=asked.executor,
        slurm_partition=asked.slurm_partition,
        slurm_minutes=asked.slurm_minutes,
    )
    with _watching(console) as watcher:
        found = run_comparison(wanted, watcher)
    for line in _told(found):
        console.print(line)
    console.print(f"wrote {Path(asked.out) / 'report.json'}")
    console.print(f"report  {Path(asked.out) / 'report.html'}")
    done = next((one["name"] for one in found["runs"] if one["state"] == "done"), None)
    if done is not None:
        console.print(following("undrift", "sample", *_next(asked, done)))


def _next(asked: CompareCommand, run: str) -> list[str]:
    """The words that draw from ``run`` on the same device."""
    from undrift.cli.sample import Sample

    return repeated(asked, Sample, keep=("device",), target=Path(asked.out) / "runs" / run)


def _parts(words: tuple[str, ...]) -> tuple[str, ...]:
    """``a b`` and ``a,b`` say the same."""
    return tuple(part for word in words for part in word.split(",") if part)


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
def _watching(console: Console) -> Iterator[Watcher]:
    """Prints the plan and every run as it ends."""
    from undrift.comparison import Watcher

    class Speaking(Watcher):
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

    speaking = Speaking()
    try:
        yield speaking
    except (KeyboardInterrupt, Terminated) as stop:
        ctrl_c = isinstance(stop, KeyboardInterrupt)
        kind = InterruptedRunError if ctrl_c else TerminatedError
        raise kind(
            f"{'interrupted' if ctrl_c else 'terminated'} after {speaking.made} of "
            f"{plural(speaking.runs, 'run')}; the same command goes on"
        ) from stop
