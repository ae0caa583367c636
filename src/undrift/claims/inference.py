"""Inference: quality against network evaluations and against time, and the cost of one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from undrift.claims.comparisons import DIFFUSION
from undrift.claims.evidence import TIMED, Evidence
from undrift.claims.figures import FAINT, Table, colour_of, methods_of
from undrift.comparison import verdicts
from undrift.report.figure import THIN, Chart, plain_ticks, short
from undrift.results.claims import SamplingTimes, StepsCurve
from undrift.results.verdict import ClaimResult
from undrift.wording import plural


def _times(evidence: Evidence) -> dict[str, SamplingTimes]:
    return {one.method: one for one in evidence.of(SamplingTimes)}


def _batch_ms(times: SamplingTimes) -> dict[int, float]:
    """Number of steps -> milliseconds per image in batches."""
    return {point.steps: point.batch_ms for point in times.points if point.steps is not None}


def measure(evidence: Evidence) -> ClaimResult:
    """The verdict from the diffusion model's time over each GAN's, at the GAN's distance."""
    times = _times(evidence)
    if DIFFUSION not in times:
        return verdicts.inference({})
    by_steps, ratios = _batch_ms(times[DIFFUSION]), {}
    for kind in evidence.budgets:
        curves = {one.seed: one for one in evidence.of(StepsCurve) if one.budget == kind}
        _, gans = evidence.values(kind, "fd")
        for gan, by_seed in gans.items():
            if gan in times:
                other = times[gan].points[0].batch_ms
                ratios[f"models of equal {kind}, against {gan}"] = {
                    seed: _fewest(curves[seed], distance, by_steps, other)
                    for seed, distance in by_seed.items()
                    if seed in curves
                }
    return verdicts.inference(ratios)


def _fewest(
    curve: StepsCurve, distance: float, times: Mapping[int, float], other: float
) -> float | None:
    """Time at the first number of steps that reaches ``distance``, over ``other``."""
    for point in sorted(curve.points, key=lambda point: point.steps):
        if point.fd.value <= distance:
            return times[point.steps] / other
    return None


def figures(evidence: Evidence) -> list[Chart]:
    """Distance and coverage against evaluations and milliseconds."""
    if DIFFUSION not in _times(evidence) or not evidence.of(StepsCurve):
        return []
    caption = (
        "Frechet distance and coverage against network evaluations (left) and milliseconds per "
        "image in batches of 64 (right), of the models of equal seconds. A line is a run of "
        "diffusion at several numbers of steps; a dot is a run of a GAN, which samples in one pass."
    )
    return [Chart("inference", caption, lambda _: _draw(evidence))]


def _draw(evidence: Evidence) -> Figure:
    figure = Figure(figsize=(9.6, 6.2), layout="constrained")
    axes = [[figure.add_subplot(2, 2, 2 * row + column + 1) for column in (0, 1)] for row in (0, 1)]
    times = _times(evidence)
    milliseconds = _batch_ms(times[DIFFUSION])
    curves = [one for one in evidence.of(StepsCurve) if one.budget == TIMED]
    for line, metric in zip(axes, ("fd", "coverage"), strict=True):
        for number, curve in enumerate(curves):
            points = [point for point in curve.points if getattr(point, metric) is not None]
            values = [getattr(point, metric).value for point in points]
            costs = (
                [point.nfe for point in points],
                [milliseconds[point.steps] for point in points],
            )
            for axis, cost in zip(line, costs, strict=True):
                axis.plot(
                    cost,
                    values,
                    "o-",
                    color=colour_of(DIFFUSION),
                    linewidth=THIN,
                    markersize=3,
                    alpha=FAINT,
                    label=None if number else DIFFUSION,
                )
        _, gans = evidence.values(TIMED, metric)
        for method in methods_of([name for name in times if name != DIFFUSION]):
            values = list(gans.get(method, {}).values())
            costs = (1.0, times[method].points[0].batch_ms)
            for axis, cost in zip(line, costs, strict=True):
                axis.plot(
                    [cost] * len(values),
                    values,
                    "s",
                    color=colour_of(method),
                    markersize=4,
                    alpha=0.7,
                    label=method,
                )
        for axis in line:
            axis.set_xscale("log")
            plain_ticks(axis.xaxis)
        line[0].set_ylabel("Frechet distance" if metric == "fd" else "coverage")
    for axis in axes[0]:
        axis.set_yscale("log")
        plain_ticks(axis.yaxis)
    axes[1][0].set_xlabel("network evaluations per image")
    axes[1][1].set_xlabel("milliseconds per image, in batches")
    axes[0][0].legend(loc="best")
    return figure


def tables(evidence: Evidence) -> list[Table]:
    """Cost of one image, alone and in batches."""
    times = _times(evidence)
    if not times:
        return []
    rows: Sequence[Sequence[str]] = [
        [
            method if point.steps is None else f"{method}, {plural(point.steps, 'step')}",
            f"{point.nfe:g}",
            short(point.flops),
            f"{point.single_ms:.3g} ms",
            f"{point.batch_ms:.3g} ms",
            f"{times[method].megabytes:.0f} MiB",
        ]
        for method in methods_of(list(times))
        for point in times[method].points
    ]
    heads = ("method", "NFE", "FLOPs per image", "one image", "in batches of 64")
    return [
        Table(
            (*heads, "memory of a batch"),
            rows,
            "Medians, with nothing else running. Memory: growth of a process while it "
            "samples its first batch.",
        )
    ]
