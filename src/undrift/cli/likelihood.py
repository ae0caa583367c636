"""``undrift likelihood RUN``: how likely images are, in bits per dimension."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
from undrift.cli.flags import at_least, finite, numbered, parse, repeated
from undrift.errors import UsageError
from undrift.files.destination import writable_file
from undrift.limits import MOST_IMAGES
from undrift.options.train import check_threads
from undrift.wording import duration

if TYPE_CHECKING:
    from rich.console import Console

    from undrift.evaluation.likelihood import Watcher


@dataclass(frozen=True)
class LikelihoodCommand:
    """Bits per dimension of images under a model, with standard errors, cost and protocol.

    Attributes:
        target: a run or a pipeline.
        data: images to score: any DATA that `undrift train` takes; by default the held-out images
            of the run's own data.
        method: the variational bound (elbo), the density of the probability-flow ODE (ode), or
            both: they are likelihoods of two models that share a network.
        n: images to score at most, drawn by the seed; 0 is all of the split.
        split: part of the data; test, else validation, else all of it.
        points: noise levels per image of the bound; points of the ODE's rk4.
        chain: make the bound that of a discrete chain of this many steps, all of them evaluated.
        solver: of the ODE; dopri5 controls its steps.
        trace: of the ODE: exact, by random probes (hutchinson), or exact up to 64 dimensions.
        probes: random probes per image.
        dequantization: of the ODE: how whole levels become numbers.
        samples: dequantised samples per image, importance-weighted; more tighten the bound.
        classes: score given each image's label, summed over all classes (marginal), or without
            one (none).
        levels: values that a pixel can take; by default the data's own count: 17 for the digits,
            256 for bytes.
        log_snr_max: cleanest noise level; by default six standard deviations between levels.
        per_image: write a CSV with every image's score and rank, the least likely first in rank.
        seed: names every random choice.
        ema: length of the weight average, as a share of training such as 0.05.
        weights: the averaged weights, or the raw ones of the last step.
        batch_size: images scored at once.
        device: where to compute.
        threads: CPU threads; None leaves torch's choice.
        out: also write the result into this JSON file; a run keeps its own in evaluation/.
        quiet: print nothing but errors.
    """

    target: Annotated[
        tyro.conf.Positional[str],
        tyro.conf.arg(name="RUN|PIPELINE", metavar="RUN|PIPELINE"),
    ]
    data: Annotated[
        tyro.conf.Positional[str | None],
        tyro.conf.arg(name="DATA", metavar="DATA", help_behavior_hint=""),
    ] = None
    method: Literal["elbo", "ode", "both"] = "elbo"
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 1000
    split: Literal["test", "validation", "train"] | None = None
    points: int = 64
    chain: int | None = None
    solver: Literal["rk4", "dopri5"] = "rk4"
    trace: Literal["auto", "exact", "hutchinson"] = "auto"
    probes: int = 1
    dequantization: Literal["truncated_normal", "uniform"] = "truncated_normal"
    samples: int = 1
    classes: Literal["given", "marginal", "none"] | None = None
    levels: int | None = None
    log_snr_max: float | None = None
    per_image: str | None = None
    seed: int = 0
    ema: float | None = None
    weights: Literal["ema", "raw"] = "ema"
    batch_size: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    out: str | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        at_least("--n", self.n, 0, MOST_IMAGES)
        at_least("--points", self.points, 2)
        at_least("--chain", self.chain, 1)
        at_least("--probes", self.probes, 1)
        at_least("--samples", self.samples, 1)
        at_least("--levels", self.levels, 2)
        at_least("--seed", self.seed, 0)
        at_least("--batch-size", self.batch_size, 1)
        at_least("--threads", self.threads, 1)
        check_threads(self.threads)
        finite("--log-snr-max", self.log_snr_max)
        if self.levels is not None and self.levels > 256:
            raise UsageError(f"--levels {self.levels}: images here have 256 at most")
        if self.ema is not None and not 0 < self.ema <= 0.25:
            raise UsageError(f"--ema {self.ema}: wanted a share of training above 0, up to 0.25")
        if self.ema is not None and self.weights == "raw":
            raise UsageError("--ema and --weights raw exclude each other; give one of them")


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, score, and print a table.

    Raises:
        UsageError: a bad flag, or a model without a likelihood.
        DataError: images that cannot be read or scored.
        ModelFileError: a damaged run or pipeline.
    """
    asked = parse(LikelihoodCommand, "likelihood", arguments)
    console = make_console(quiet=asked.quiet)
    for flag, path in (("--out", asked.out), ("--per-image", asked.per_image)):
        if path is not None:
            writable_file(flag, Path(path))

    import torch

    from undrift.evaluation.likelihood import Likelihood, run_likelihood
    from undrift.likelihood import BoundMethod, FlowMethod

    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    with _watching(console) as watcher, shown_if_unsaved(console, table):
        found = run_likelihood(
            Likelihood(
                target=asked.target,
                data=asked.data,
                method=asked.method,
                n=asked.n or None,
                split=asked.split,
                bound=BoundMethod(asked.points, asked.chain),
                flow=FlowMethod(
                    points=asked.points,
                    solver=asked.solver,
                    trace=asked.trace,
                    probes=asked.probes,
                    dequantization=asked.dequantization,
                    samples=asked.samples,
                ),
                classes=asked.classes,
                value_levels=asked.levels,
                log_snr_max=asked.log_snr_max,
                seed=asked.seed,
                ema=asked.ema,
                weights=asked.weights,
                batch_size=asked.batch_size,
                device=asked.device,
                per_image=asked.per_image,
                out=asked.out,
            ),
            watcher,
        )
    for line in table(found):
        console.print(line)
    for path in (asked.per_image, asked.out):
        if path is not None:
            console.print(f"wrote {path}")
    console.print(following("undrift", "likelihood", *_next(asked)))


def _next(asked: LikelihoodCommand) -> list[str]:
    """The words that score the same images by both methods, one by one, or with other draws."""
    if asked.method == "both" and asked.per_image is None:
        return repeated(asked, LikelihoodCommand, out=None, per_image="scores.csv")
    method, seed = "both", asked.seed + (asked.method == "both")
    before, after = (asked.method, method) if seed == asked.seed else (asked.seed, seed)
    out, scores = (numbered(path, before, after) for path in (asked.out, asked.per_image))
    return repeated(asked, LikelihoodCommand, method=method, seed=seed, out=out, per_image=scores)


def table(found: dict[str, Any]) -> list[str]:
    """The result as lines: one row per method, their parts, their gap, and the protocols."""
    rows = [("method", "bits/dim", "95 % interval", "NFE", "time")]
    for name, record in found["methods"].items():
        rows.append(
            (
                name,
                f"{record['bits_per_dim']:.4f}",
                f"{record['low']:.4f} to {record['high']:.4f}",
                f"{record['nfe']:.0f}",
                duration(record["seconds"]),
            )
        )
    if "gap" in found:
        gap = found["gap"]
        between = f"{gap['low']:.4f} to {gap['high']:.4f}"
        rows.append(("ode - elbo", f"{gap['value']:.4f}", between, "", ""))
    lines = columns(rows)
    for name, record in found["methods"].items():
        if record["terms"]:
            parts = ", ".join(f"{part} {bits:.4f}" for part, bits in record["terms"].items())
            lines.append(f"{name}: {parts} bits/dim")
    lines += [f"{name}: {record['protocol']}" for name, record in found["methods"].items()]
    return lines


@contextmanager
def _watching(console: Console) -> Iterator[Watcher]:
    """Says what is planned and what it will take; on a terminal, also how far it is."""
    from undrift.evaluation.likelihood import Watcher

    live = console.is_terminal and not console.quiet
    from undrift.runs.activity import make_bar

    bar = make_bar(console)

    class Speaking(Watcher):
        def plan(self, lines: list[str]) -> None:
            for line in lines:
                console.print(line)

        def scored(self, method: str, seconds: float) -> Any:  # noqa: ANN401 - see Watcher
            if seconds:
                console.print(f"{method}: at most about {duration(seconds)}")
            if not live:
                return None
            task = bar.add_task(f"scoring ({method})", total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

    if live:
        with bar:
            yield Speaking()
    else:
        yield Speaking()
