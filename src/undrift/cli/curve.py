"""``undrift curve RUN``: quality against network evaluations and seconds, sampler by sampler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from undrift.cli.console import columns, following, make_console
from undrift.cli.dispatch import Terminated
from undrift.cli.flags import at_least, finite, parse, repeated
from undrift.errors import InterruptedRunError, TerminatedError, UsageError
from undrift.files.destination import writable_folder
from undrift.limits import MOST_IMAGES
from undrift.runs.settings import check_threads
from undrift.wording import duration, plural

if TYPE_CHECKING:
    from rich.console import Console

    from undrift.evaluation.curve import Watcher
    from undrift.evaluation.curve.cells import Cell


@dataclass(frozen=True)
class CurveCommand:
    """Measure one model with many samplers and budgets, all from the same noise.

    Every point is kept as it is measured: after Ctrl-C the same command goes on.

    Attributes:
        target: a run (runs/NAME or runs/latest), or a folder that save_pretrained wrote.
        samplers: names of samplers; learned are those that were learned for this model.
        nfe: budgets, in network evaluations per image; guidance costs two an evaluation.
        n: samples of each point, and reference images, at most.
        metrics: names as in undrift evaluate; the first one decides what is printed as best.
        reference: real images to compare with: any DATA that `undrift train` takes, or a file that
            `undrift evaluate --save-reference` wrote; by default the held-out images of the run's
            own data.
        features: feature space, as in undrift evaluate; domain by default, or that of the file.
        feature_weights: file with the weights of inception.
        download: fetch weights that are missing; without it nothing is downloaded.
        split: part of the reference to compare with; test, else validation, else all of it.
        seed: names the noise, of all points the same, and every random choice.
        grid: how to space the noise levels; the model's own by default.
        guidance: classifier-free guidance scale; 1 is off.
        ema: length of the weight average to sample with, as a share of training such as 0.05.
        weights: the averaged weights, or the raw ones of the last step.
        device: where to compute.
        threads: CPU threads; None leaves torch's choice.
        out: folder for curve.json and curve.png; RUN/evaluation by default, which the report
            shows.
        quiet: print nothing but errors.
    """

    target: Annotated[
        tyro.conf.Positional[str], tyro.conf.arg(name="RUN|PIPELINE", metavar="RUN|PIPELINE")
    ]
    samplers: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ("dpmpp_2m", "heun", "euler", "learned")
    nfe: Annotated[tuple[str, ...], tyro.conf.arg(metavar="N [N ...]", help_behavior_hint="")] = (
        "4",
        "5",
        "6",
        "8",
        "10",
        "15",
        "20",
        "35",
        "50",
    )
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 2000
    metrics: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ("fd", "kid", "coverage")
    reference: str | None = None
    features: str | None = None
    feature_weights: str | None = None
    download: bool = False
    split: Literal["test", "validation", "train"] | None = None
    seed: int = 0
    grid: str | None = None
    guidance: float | None = None
    ema: float | None = None
    weights: Literal["ema", "raw"] = "ema"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    out: str | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        at_least("--n", self.n, 10, MOST_IMAGES)
        at_least("--seed", self.seed, 0)
        at_least("--threads", self.threads, 1)
        check_threads(self.threads)
        finite("--guidance", self.guidance)
        if self.ema is not None and not 0 < self.ema <= 0.25:
            raise UsageError(f"--ema {self.ema}: wanted a share of training above 0, up to 0.25")
        if self.ema is not None and self.weights == "raw":
            raise UsageError("--ema and --weights raw exclude each other; give one of them")
        self.budgets()

    def budgets(self) -> tuple[int, ...]:
        """The numbers of ``--nfe``, given apart or with commas between them."""
        found = []
        for word in _parts(self.nfe):
            if not word.isdecimal() or int(word) < 1:
                raise UsageError(f"--nfe {word}: wanted whole numbers of at least 1, as 5,10,20")
            found.append(int(word))
        return tuple(found)


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, measure every point, and print a table.

    Raises:
        UsageError: a bad flag, or a point that cannot be.
        DataError: a reference that cannot be read.
        ModelFileError: a damaged run, pipeline or weight file.
        InterruptedRunError: Ctrl-C; the same command goes on.
        TerminatedError: SIGTERM; the same command goes on.
    """
    asked = parse(CurveCommand, "curve", arguments)
    console = make_console(quiet=asked.quiet)
    if asked.out is not None:
        writable_folder("--out", Path(asked.out))

    import torch

    from undrift.evaluation.curve import Curve, run_curve

    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    wanted = Curve(
        target=asked.target,
        samplers=_parts(asked.samplers),
        nfe=asked.budgets(),
        n=asked.n,
        metrics=_parts(asked.metrics),
        reference=asked.reference,
        features=asked.features,
        weights_file=asked.feature_weights,
        download=asked.download,
        split=asked.split,
        seed=asked.seed,
        guidance=asked.guidance,
        grid=asked.grid,
        ema=asked.ema,
        weights=asked.weights,
        device=asked.device,
        out=asked.out,
    )
    with _watching(console) as watcher:
        found = run_curve(wanted, watcher)
    if not found:
        return
    for line in _table(found):
        console.print(line)
    for line in _best(found):
        console.print(line)
    folder = Path(asked.out) if asked.out is not None else _run_of(asked.target) / "evaluation"
    console.print(f"wrote {folder / 'curve.png'} and {folder / 'curve.json'}")
    first = next(iter(found["best"].values()))
    steps, sampler = (first[-1]["steps"], first[-1]["sampler"]) if first else (20, "dpmpp_2m")
    console.print(following("undrift", "sample", *_next(asked, sampler, steps)))


def _next(asked: CurveCommand, sampler: str, steps: int) -> list[str]:
    """The words that draw with ``sampler`` as the curve did."""
    from undrift.cli.sample import Sample

    kept = ("target", "guidance", "ema", "weights", "device", "threads")
    grid = None if sampler == "learned" else asked.grid  # which brings its own
    return repeated(asked, Sample, keep=kept, sampler=sampler, steps=steps, grid=grid)


def _parts(words: tuple[str, ...]) -> tuple[str, ...]:
    """``a b`` and ``a,b`` say the same."""
    return tuple(part for word in words for part in word.split(",") if part)


def _run_of(target: str) -> Path:
    """The run itself, or the one that a pipeline belongs to."""
    path = Path(target)
    return path if (path / "config.yaml").is_file() else path.resolve().parent


def _table(found: dict[str, Any]) -> list[str]:
    """Every point; a star stands at the best within a budget."""
    metrics = found["metrics"]
    stars = {
        name: {(best["sampler"], best["nfe"]) for best in found["best"][name]} for name in metrics
    }
    rows = [("sampler", "NFE", "steps", "s/image", *(found["titles"][name] for name in metrics))]
    order = {name: k for k, name in enumerate(dict.fromkeys(c["sampler"] for c in found["cells"]))}
    for cell in sorted(found["cells"], key=lambda c: (order[c["sampler"]], c["nfe"])):
        words = [cell["sampler"], str(cell["nfe"]), str(cell["steps"]), f"{cell['seconds']:.3g}"]
        for name in metrics:
            entry = cell["metrics"].get(name)
            star = " *" if (cell["sampler"], cell["nfe"]) in stars[name] else ""
            words.append("-" if entry is None else _value(entry) + star)
        rows.append(tuple(words))
    floors = (_amount(found["floors"].get(name)) for name in metrics)
    rows.append(("real images", "", "", "", *floors))
    lines = columns(rows) + found["floors_missing"]
    lines += [f"no {name}: {reason}" for name, reason in found["missing"].items()]
    return [*lines, found["protocol"]]


def _best(found: dict[str, Any]) -> list[str]:
    name = found["metrics"][0] if found["metrics"] else None
    if name is None:
        return []
    lines = [f"best {found['titles'][name]} within each number of evaluations:"]
    rows = []
    for best in found["best"][name]:
        second = best["runner_up"]
        rival = ""
        if second is not None:
            apart = {None: "", True: ": the intervals overlap", False: ": beyond its interval"}
            rival = f"next {second['sampler']} {_value(second)}{apart[best['overlaps']]}"
            if best["difference"] is not None:
                rival += f"; pair by pair {_value(best['difference'])}"
        rows.append(
            (
                f"  {best['budget']}",
                best["sampler"],
                plural(best["steps"], "step"),
                _value(best),
                rival,
            )
        )
    return lines + columns(rows)


def _value(entry: dict[str, Any]) -> str:
    return f"{_amount(entry['value'])} ({_amount(entry['low'])} to {_amount(entry['high'])})"


def _amount(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


@contextmanager
def _watching(console: Console) -> Iterator[Watcher]:
    """Prints the plan and every point; on a terminal also how far the drawing is."""
    from undrift.evaluation.curve import Watcher

    live = console.is_terminal and not console.quiet
    from undrift.runs.activity import make_bar

    bar = make_bar(console)
    task = bar.add_task("sampling", total=None)

    class Speaking(Watcher):
        measured, points = 0, 0

        def plan(self, lines: list[str], done: int, total: int) -> None:
            self.measured, self.points = done, total
            for line in lines:
                console.print(line)

        def drawn(self, cell: Cell) -> Callable[[int, int, float], None]:
            def show(done: int, total: int, left: float) -> None:
                bar.update(task, description=cell.name, completed=done, total=total)

            return show

        def cell(self, cell: Cell, done: int, total: int, left: float) -> None:
            self.measured, self.points = done, total
            rest = f", about {duration(left)} left" if done < total else ""
            console.print(f"{done} of {plural(total, 'point')}: {cell.sampler} at {cell.nfe}{rest}")

    speaking = Speaking()
    try:
        with bar if live else nullcontext():
            yield speaking
    except (KeyboardInterrupt, Terminated) as stop:
        ctrl_c = isinstance(stop, KeyboardInterrupt)
        kind = InterruptedRunError if ctrl_c else TerminatedError
        raise kind(
            f"{'interrupted' if ctrl_c else 'terminated'} after {speaking.measured} of "
            f"{plural(speaking.points, 'point')}; the same command goes on"
        ) from stop
