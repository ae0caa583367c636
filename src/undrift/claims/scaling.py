"""Scaling: distance against parameters and against images seen, on logarithmic axes."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from undrift.claims.comparisons import DIFFUSION, SCALING, SEEN
from undrift.claims.evidence import Comparisons, Evidence, Values
from undrift.claims.figures import FAINT, Table, colour_of, row_of
from undrift.comparison import verdicts
from undrift.report.figure import THIN, Chart, Tones, dashed, plain_ticks
from undrift.results.comparison import FailedRun, MeasuredRun
from undrift.results.verdict import ClaimResult, Contrast

Run = MeasuredRun | FailedRun

Sized = list[tuple[float, Run]]
"""Size, which is parameters or images seen, and run."""

Points = dict[tuple[str, str, int], list[tuple[float, float]]]
"""(family, method, seed) -> size and distance of every finished run."""


def measure(evidence: Evidence) -> ClaimResult:
    """The verdict from a slope for each family and seed."""
    return verdicts.SCALING.result(_contrasts(evidence.comparisons))


def _contrasts(comparisons: Comparisons) -> list[Contrast]:
    if SCALING not in comparisons:
        return []
    table = comparisons[SCALING].budgets[0]
    floor = table.floors.get("fd")
    if floor is None:  # no run of it could be measured, or no real images at the same sizes
        return [verdicts.SCALING.absent("every size", line) for line in table.floors_missing]
    made: list[Contrast] = []
    for along, runs in (("parameters", _sized(comparisons)), ("images seen", _seen(comparisons))):
        ours: dict[str, Values] = {}
        gans: dict[str, Values] = {}
        for (family, base, seed), points in _points(runs).items():
            fall = verdicts.slope(points, floor)
            if fall is not None:
                (ours if base == DIFFUSION else gans).setdefault(family, {})[seed] = fall
        made += verdicts.scaling(ours, gans, along)
    return made


def _sized(comparisons: Comparisons) -> Sized:
    """Runs by the parameters of their generators."""
    found = comparisons[SCALING]
    sizes = found.parameters[found.budgets[0].kind]
    return [(sizes[run.method].generator, run) for run in found.runs]


def _seen(comparisons: Comparisons) -> Sized:
    """Runs by real images seen, of the middle size of each family."""
    middle = {name for one in SEEN if one in comparisons for name in comparisons[one].methods}
    return [
        (float(comparisons[name].budgets[0].amount), run)
        for name in (*SEEN, SCALING)
        if name in comparisons
        for run in comparisons[name].runs
        if run.method in middle
    ]


def _family(run: Run) -> str:
    return run.method.rsplit("-", 1)[0]


def _points(runs: Sized) -> Points:
    made: Points = {}
    for size, run in runs:
        value = run.value("fd")
        if value is not None:
            made.setdefault((_family(run), run.base, run.seed), []).append((size, value))
    return made


def figures(evidence: Evidence) -> list[Chart]:
    """One figure of two panels."""
    caption = (
        "Frechet distance of every run against its parameters, and, for the middle size of each "
        "family, against the real images it saw; a thin line is a seed, a cross a run that failed. "
        "The dashed line is what real images score."
    )
    return [Chart("scaling", caption, lambda tones: _draw(evidence.comparisons, tones))]


def _draw(comparisons: Comparisons, tones: Tones) -> Figure:
    figure, (left, right) = row_of(2, width=4.8, height=3.5)
    sized = _sized(comparisons)
    again = [
        (float(comparisons[name].budgets[0].amount), run)
        for name in SEEN
        if name in comparisons
        for run in comparisons[name].runs
    ]
    _panel(left, "parameters of the denoiser or generator", _points(sized), _lost(sized))
    _panel(right, "real images seen", _points(_seen(comparisons)), _lost(again))
    floor = comparisons[SCALING].budgets[0].floors.get("fd")
    for axis in (left, right):
        dashed(axis, floor or None, tones)
    left.set_ylabel("Frechet distance")
    if _points(sized):
        left.legend(loc="best")
    return figure


def _lost(runs: Sized) -> Sized:
    return [(size, run) for size, run in runs if isinstance(run, FailedRun)]


def _panel(axis: Axes, words: str, known: Points, lost: Sequence[tuple[float, Run]]) -> None:
    """Lines of ``known`` runs, and crosses on top for those that are ``lost``."""
    named: set[str] = set()
    for (family, _, _), points in known.items():
        axis.plot(
            *zip(*sorted(points), strict=True),
            "o-",
            color=colour_of(family),
            linewidth=THIN,
            markersize=3.5,
            alpha=FAINT + 0.2,
            label=None if family in named else family,
        )
        named.add(family)
    top = axis.get_ylim()[1]
    for size, run in lost:
        axis.plot([size], [top], "x", color=colour_of(_family(run)), mew=1.8)
    axis.set_xlabel(words)
    if axis.lines:  # an empty axis has no logarithm
        axis.set_xscale("log")
        axis.set_yscale("log")
        for side in (axis.xaxis, axis.yaxis):
            plain_ticks(side)


def tables(evidence: Evidence) -> list[Table]:
    """The contrasts of slopes."""
    rows = [
        [
            part.name,
            "-" if part.value is None else f"{part.value:+.3f}",
            "-" if part.low is None else f"{part.low:+.3f} to {part.high:+.3f}",
            part.verdict,
        ]
        for part in _contrasts(evidence.comparisons)
    ]
    return [
        Table(
            ("fall per doubling, difference", "value", "95 % interval", "verdict"),
            rows,
            "The fall of the logarithm of the distance above real images' own, with every doubling "
            "of the parameters, or of the real images seen; each seed has a slope.",
        )
    ]
