"""Stability: share of failed runs over learning rates, and the correlation of loss and quality."""

from __future__ import annotations

from statistics import fmean, median

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from scipy.stats import rankdata

from undrift.claims.comparisons import DIFFUSION, SWEEP
from undrift.claims.evidence import Evidence
from undrift.claims.figures import Table, colour_of, methods_of, row_of
from undrift.comparison import verdicts
from undrift.comparison.summary import failures_of, has_failed
from undrift.metrics.wilson import wilson_interval
from undrift.report.figure import Chart, Tones, dashed, plain_ticks
from undrift.report.history import History
from undrift.results.comparison import ComparisonResult
from undrift.results.verdict import ClaimResult
from undrift.wording import plural


def measure(evidence: Evidence) -> ClaimResult:
    """The verdict from failed runs, of each method over all learning rates and seeds."""
    sweep = evidence.comparisons.get(SWEEP)
    runs = sweep.runs if sweep else ()
    counts = {
        base: failures_of([run for run in runs if run.base == base])
        for base in evidence.preset.swept
        if any(run.base == base for run in runs)
    }
    diffusion = counts.pop(DIFFUSION, (0, 0))
    return verdicts.stability(diffusion, counts)


def figures(evidence: Evidence) -> list[Chart]:
    """Final distances of the sweep, every run; failed ones as crosses at the top."""
    caption = (
        "Frechet distance at the end of every run, against the multiple of the method's own "
        "learning rate. A dot is a run; a cross is a run that failed, by one rule for all methods. "
        "The dashed line is what real images score."
    )
    sweep = evidence.comparisons[SWEEP]
    return [Chart("stability-rates", caption, lambda tones: _rates(sweep, tones))]


def _rates(sweep: ComparisonResult, tones: Tones) -> Figure:
    methods = methods_of([run.base for run in sweep.runs])
    figure, axes = row_of(len(methods), width=3.3, height=3.1)
    floor = sweep.budgets[0].floors.get("fd")
    known = [value for run in sweep.runs if (value := run.value("fd")) is not None]
    top = 1.6 * max(known, default=1.0)
    bottom = min([*known, floor or top])
    for axis, method in zip(axes, methods, strict=True):
        colour = colour_of(method)
        for run in sweep.runs:
            if run.base != method:
                continue
            factor = float(run.method.rsplit(".x", 1)[1])
            shifted = factor * 1.07 ** (run.seed % 7 - 3)  # seeds side by side
            value = run.value("fd")
            if has_failed(run):
                axis.plot([shifted], [value or top], "x", color=colour, markersize=7, mew=1.8)
            elif value is not None:
                axis.plot([shifted], [value], "o", color=colour, markersize=5, alpha=0.7)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_yscale("log")
        plain_ticks(axis.yaxis)
        axis.set_ylim(bottom / 1.3, 1.3 * top)
        dashed(axis, floor or None, tones)
        axis.set_title(method)
        axis.set_xlabel("times its own learning rate")
    if axes:
        axes[0].set_ylabel("Frechet distance")
    return figure


def tables(evidence: Evidence) -> list[Table]:
    """Failed shares, last over best distance, and the correlation of loss and distance."""
    rows = []
    runs = evidence.comparisons[SWEEP].runs
    for method in methods_of([run.base for run in runs]):
        mine = [run for run in runs if run.base == method]
        failed, known = failures_of(mine)
        share = "-"
        if known:
            low, high = wilson_interval(failed, known)
            share = f"{failed} of {known}: {failed / known:.0%} ({low:.0%} to {high:.0%})"
        histories = [evidence.histories[run.name] for run in mine if run.name in evidence.histories]
        ratios = [one for history in histories if (one := last_over_best(history)) is not None]
        ties = [one for history in histories if (one := loss_and_distance(history)) is not None]
        rows.append(
            [
                method,
                share,
                "-" if not ratios else f"{median(ratios):.2f} (worst {max(ratios):.2f})",
                "-" if not ties else f"{fmean(ties):+.2f} ({plural(len(ties), 'run')})",
            ]
        )
    return [
        Table(
            (
                "method",
                "failed runs",
                "last over best distance",
                "correlation of loss and distance",
            ),
            rows,
            "Failed: Wilson's interval. Last over best: of the evaluations of a run, "
            "median and worst run. Correlation: mean rank correlation, within a run, of the "
            "distance at each evaluation and the loss nearest before it (diffusion: validation "
            "error; GAN: the generator's loss). +1 would let the loss stand for quality.",
        )
    ]


def last_over_best(history: History) -> float | None:
    """Distance at the last evaluation over the least of all; None of fewer than two."""
    known = [fd for one in history.evaluations if (fd := one.number("fd")) is not None]
    return known[-1] / min(known) if len(known) > 1 and min(known) > 0 else None


def loss_and_distance(history: History) -> float | None:
    """Rank correlation of loss and distance over a run's evaluations; None of fewer than three."""
    losses = _losses(history)
    pairs = []
    for evaluation in history.evaluations:
        before = [loss for step, loss in losses if step <= (evaluation.step or 0)]
        if (fd := evaluation.number("fd")) is not None and before:
            pairs.append((before[-1], fd))
    if len(pairs) < 3 or any(len(set(side)) < 2 for side in zip(*pairs, strict=True)):
        return None
    ranks = [rankdata(side) for side in zip(*pairs, strict=True)]
    return float(np.corrcoef(*ranks)[0, 1])


def _losses(history: History) -> list[tuple[int, float]]:
    """Step and loss: of held-out images where there is one, else the generator's."""
    if history.main:
        return [(one.step, one.loss) for one in history.main]
    return [
        (event.step or 0, loss)
        for event in history.train
        if (loss := event.number("phases", "generator", "loss")) is not None
    ]
