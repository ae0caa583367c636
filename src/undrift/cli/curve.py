"""``undrift curve RUN``: quality against network evaluations and seconds, sampler by sampler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from undrift.cli.console import columns, following, make_console
from undrift.cli.dispatch import Terminated, stopped
from undrift.cli.flags import ProcessFlags, parse, repeated
from undrift.files.destination import writable_folder
from undrift.options import CurveOptions, CurveSources
from undrift.wording import duration, plural

if TYPE_CHECKING:
    from rich.console import Console

    from undrift.evaluation.curve import CurveProgress
    from undrift.results.curve import (
        CurveResult,
        GuidanceResult,
        Interval,
        Point,
        RankedPoint,
    )


@dataclass(frozen=True, kw_only=True)
class CurveCommand(ProcessFlags, CurveOptions, CurveSources):
    """Measure one model with many samplers and budgets, all from the same noise.

    Every point is stored as it is measured: after Ctrl-C the same command goes on.
    """


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, measure every point, and print a table.

    Raises:
        UsageError: a bad flag, or an impossible point.
        DataError: a reference that cannot be read.
        ModelFileError: a damaged run, pipeline or weight file.
        InterruptedRunError: Ctrl-C; the same command goes on.
        TerminatedError: SIGTERM; the same command goes on.
    """
    command = parse(CurveCommand, "curve", arguments)
    console = make_console(quiet=command.quiet)
    if command.out is not None:
        writable_folder("--out", Path(command.out))

    import torch

    from undrift.evaluation.curve import measure_curve
    from undrift.results.curve import GuidanceResult

    if command.threads is not None:
        torch.set_num_threads(command.threads)
    with _shown(console) as progress:
        found = measure_curve(
            command.target, command, reference=command.reference, progress=progress
        )
    if not found.points:  # of several processes, the first one prints
        return
    along = isinstance(found, GuidanceResult)
    for line in _scales(found) if along else [*_table(found), *_best(found)]:
        console.print(line)
    if command.out is not None:
        folder = Path(command.out)
    else:
        folder = _run_of(command.target) / "evaluation"
    name = "guidance" if along else "curve"
    console.print(f"wrote {folder / f'{name}.png'} and {folder / f'{name}.json'}")
    if along:
        scale = next((one.guidance for one in found.best.values()), found.points[0].guidance)
        console.print(following("undrift", "sample", *_next(command, None, None, scale)))
        return
    first = next(iter(found.best.values()))
    steps, sampler = (first[-1].steps, first[-1].sampler) if first else (20, "dpmpp_2m")
    console.print(following("undrift", "sample", *_next(command, sampler, steps)))


def _next(
    command: CurveCommand,
    sampler: str | None,
    steps: int | None,
    scale: float | None = None,
) -> list[str]:
    """The arguments of `undrift sample` that sample as the curve did."""
    from undrift.cli.sample import Sample

    kept = ("target", "ema", "weights", "device", "threads")
    changes: dict[str, object] = {"sampler": sampler, "steps": steps}
    changes["grid"] = None if sampler == "learned" else command.grid  # it has its own
    if scale is None and command.guidance:
        scale = command.guidance[0]
    return repeated(command, Sample, keep=kept, guidance=scale, **changes)


def _scales(found: GuidanceResult) -> list[str]:
    """Every scale, a star at the best of each metric; and the best in words."""
    from undrift.report.guidance_curve import scale_lines

    metrics = found.metrics
    rows: list[tuple[str, ...]] = [
        ("guidance", "NFE", "s/image", *(found.titles[name] for name in metrics))
    ]
    for point in found.points:
        words = [f"{point.guidance:g}", str(point.nfe), f"{point.seconds:.3g}"]
        for name in metrics:
            star = " *" if point.guidance == found.best[name].guidance else ""
            words.append(_value(point.metrics[name]) + star if name in point.metrics else "-")
        rows.append(tuple(words))
    rows.append(("real images", "", "", *(_amount(found.floors.get(name)) for name in metrics)))
    lines = [*columns(rows), *found.floors_missing]
    lines += [f"no {name}: {reason}" for name, reason in found.missing.items()]
    return [*lines, *scale_lines(found), found.protocol]


def _run_of(target: str) -> Path:
    """The run itself, or the one that a pipeline belongs to."""
    path = Path(target)
    return path if (path / "config.yaml").is_file() else path.resolve().parent


def _table(found: CurveResult) -> list[str]:
    """Every point; a star stands at the best within a budget."""
    metrics = found.metrics
    stars = {name: {best.name for best in found.best[name]} for name in metrics}
    rows: list[tuple[str, ...]] = [
        ("sampler", "NFE", "steps", "s/image", *(found.titles[name] for name in metrics))
    ]
    order = {name: k for k, name in enumerate(found.samplers)}
    for point in sorted(found.points, key=lambda point: (order[point.sampler], point.nfe)):
        words = [point.sampler, str(point.nfe), str(point.steps), f"{point.seconds:.3g}"]
        for name in metrics:
            star = " *" if point.name in stars[name] else ""
            words.append(_value(point.metrics[name]) + star if name in point.metrics else "-")
        rows.append(tuple(words))
    floors = (_amount(found.floors.get(name)) for name in metrics)
    rows.append(("real images", "", "", "", *floors))
    lines = [*columns(rows), *found.floors_missing]
    lines += [f"no {name}: {reason}" for name, reason in found.missing.items()]
    return [*lines, found.protocol]


def _best(found: CurveResult) -> list[str]:
    if not found.metrics:
        return []
    name = found.metrics[0]
    lines = [f"best {found.titles[name]} within each number of evaluations:"]
    rows = []
    for best in found.best[name]:
        second, rival = best.runner_up, ""
        if second is not None:
            apart = {None: "", True: ": the intervals overlap", False: ": beyond its interval"}
            rival = f"next {second.sampler} {_value(second)}{apart[best.overlaps]}"
            if best.difference is not None:
                rival += f"; pair by pair {_value(best.difference)}"
        steps = plural(best.steps, "step")
        rows.append((f"  {best.budget}", best.sampler, steps, _value(best), rival))
    return lines + columns(rows)


def _value(one: Interval | RankedPoint) -> str:
    return f"{_amount(one.value)} ({_amount(one.low)} to {_amount(one.high)})"


def _amount(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


@contextmanager
def _shown(console: Console) -> Iterator[CurveProgress]:
    """Print the plan and every point; on a terminal also show how far the sampling is."""
    from undrift.evaluation.curve import CurveProgress
    from undrift.evaluation.drawing import OnDrawn
    from undrift.runs.activity import make_bar

    live = console.is_terminal and not console.quiet
    bar = make_bar(console)
    task = bar.add_task("sampling", total=None)

    class Shown(CurveProgress):
        done, total = 0, 0

        def plan(self, lines: list[str], done: int, total: int) -> None:
            self.done, self.total = done, total
            for line in lines:
                console.print(line)

        def drawn(self, point: Point) -> OnDrawn:
            def show(done: int, total: int, left: float) -> None:
                bar.update(task, description=point.name, completed=done, total=total)

            return show

        def point(self, point: Point, done: int, total: int, left: float) -> None:
            self.done, self.total = done, total
            rest = f", about {duration(left)} left" if done < total else ""
            console.print(
                f"{done} of {plural(total, 'point')}: {point.sampler} at {point.nfe}{rest}"
            )

    progress = Shown()
    try:
        with bar if live else nullcontext():
            yield progress
    except (KeyboardInterrupt, Terminated) as stop:
        words = f" after {progress.done} of {plural(progress.total, 'point')}"
        raise stopped(stop, words) from stop
