"""Control: label accuracy, also along guidance and truncation, and inpainted halves."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np
from matplotlib.figure import Figure

from undrift.claims.comparisons import CONDITIONS, DIFFUSION
from undrift.claims.evidence import Evidence, Values
from undrift.claims.figures import (
    FAINT,
    Table,
    ends_of,
    mean_of,
    methods_of,
    plot_trade_offs,
    row_of,
)
from undrift.comparison import verdicts
from undrift.metrics.bounded import ANY, POSITIVE
from undrift.metrics.catalogue import METRICS
from undrift.options.maps import MapRequest
from undrift.report.figure import Chart, plain_ticks
from undrift.report.pictures import Picture, strip
from undrift.results.claims import Inpaintings, TradeOff
from undrift.results.comparison import (
    BudgetResult,
    ComparisonProtocol,
    ComparisonResult,
    MeasuredRun,
)
from undrift.results.verdict import ClaimResult
from undrift.wording import plural

FOLLOWED = (
    *("prompt_top1", "prompt_top5", "prompt_swap", "number_error"),
    *("mask_iou", "map_error"),
)
"""Metrics of captions, numbers and maps."""


def measure(evidence: Evidence) -> ClaimResult:
    """The verdict from label accuracy at each budget, and decibels on masked halves."""
    decibels: dict[str, Values] = {}
    for one in evidence.of(Inpaintings):
        for method, found in one.methods.items():
            if found.psnr_of_mean is not None:
                decibels.setdefault(method, {})[one.seed] = found.psnr_of_mean.value
    return verdicts.control(
        {kind: evidence.values(kind, "label_accuracy") for kind in evidence.budgets},
        (decibels.pop(DIFFUSION, {}), decibels),
    )


def figures(evidence: Evidence) -> list[Chart]:
    """Label accuracy against the distance that guidance and truncation cost."""
    found = [
        one
        for one in evidence.of(TradeOff)
        if any(point.label_accuracy is not None for point in one.points)
    ]
    if not found:
        return []
    caption = (
        "Share of samples that a classifier takes for the requested class, against the "
        "Frechet distance, along guidance (diffusion) and truncation (GAN). A line is a run, its "
        "ring where these are off. Up and to the left is better."
    )
    return [Chart("control-dials", caption, lambda _: _draw(found))]


def _draw(found: Sequence[TradeOff]) -> Figure:
    figure, (axis,) = row_of(1, width=6.4, height=3.5)
    plot_trade_offs(axis, found, "fd", "label_accuracy", alpha=FAINT + 0.2)
    axis.set_xscale("log")
    plain_ticks(axis.xaxis)
    axis.set_xlabel("Frechet distance")
    axis.set_ylabel("label accuracy")
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2)
    return figure


def pictures(evidence: Evidence) -> list[tuple[str, Picture]]:
    """Held-out images, their visible halves, and the completions of each method; the first seed."""
    found = evidence.of(Inpaintings)
    if not found:
        return []
    first = min(found, key=lambda one: one.seed)
    rows = [("held-out images", first.originals), ("visible part", first.visible)]
    rows += [(method, one.images) for method, one in first.methods.items()]
    return [
        (name, strip(np.asarray(images, np.uint8), f"{name}, masked halves", tile=44))
        for name, images in rows
    ]


def tables(evidence: Evidence) -> list[Table]:
    """Completions, and whether captions, numbers and maps are followed; means over seeds."""
    return [*_completions(evidence), *_followed(evidence)]


def _followed(evidence: Evidence) -> list[Table]:
    """Whether conditions are followed, at each budget, beside chance and real images."""
    compared = evidence.comparisons.get(CONDITIONS)
    if compared is None:
        return []
    shown = [name for name in compared.metrics if name in FOLLOWED]
    found = []
    for budget in compared.budgets:
        rows = {row.method: row for row in budget.methods}
        lines = [
            [
                method,
                *(_cell(_runs(compared, budget, method), m) for m in shown),
                str(rows[method].done),
            ]
            for method in methods_of(list(rows))
        ]
        chance = [_chance(_runs(compared, budget), name) for name in shown]
        for name, values in (
            ("by chance", chance),
            ("real images", [budget.floors.get(name) for name in shown]),
        ):
            lines.append([name, *("-" if x is None else f"{x:.3g}" for x in values), ""])
        note = (
            f"Models of {' and '.join(_given(compared.protocol))}, at {budget.words}; classes are "
            "not given. A GAN takes the pooled encoding of a caption, the same features of a "
            "number and the same encoding of a map, in generator and discriminator. Intervals are "
            "over seeds; of one seed, over its samples."
        )
        found.append(Table(("method", *shown, "seeds"), lines, note))
    return found


def _runs(
    compared: ComparisonResult, budget: BudgetResult, method: str | None = None
) -> list[MeasuredRun]:
    """The measured runs of a budget, of one method or of all."""
    return [
        run
        for run in compared.runs
        if isinstance(run, MeasuredRun)
        and (run.budget, run.amount) == (budget.kind, budget.amount)
        and method in (None, run.method)
    ]


def _cell(runs: Sequence[MeasuredRun], metric: str) -> str:
    """The mean over seeds with its interval; of one run its own."""
    found = {run.seed: run.metrics[metric] for run in runs if metric in run.metrics}
    if len(found) == 1:
        (one,) = found.values()
        return ends_of(one.value, one.low, one.high)
    return mean_of({seed: one.value for seed, one in found.items()}, METRICS[metric].within)


def _chance(runs: Sequence[MeasuredRun], metric: str) -> float | None:
    """Mean over runs, whose samples' captions may differ in number; None where none has it."""
    found = [run.metrics[metric].chance for run in runs if metric in run.metrics]
    known = [one for one in found if one is not None]
    return fmean(known) if known else None


def _given(protocol: ComparisonProtocol) -> list[str]:
    maps = [f"{MapRequest.parse(word).name} maps" for word in protocol.maps]
    return [*(["captions"] if protocol.text else []), *protocol.numbers, *maps]


def _completions(evidence: Evidence) -> list[Table]:
    """Fidelity, diversity and cost of completions, means over seeds."""
    found = evidence.of(Inpaintings)
    if not found:
        return []
    rows = []
    for method in methods_of([name for one in found for name in one.methods]):
        mine = {one.seed: one.methods[method] for one in found if method in one.methods}
        columns = (
            ({seed: one.psnr_of_mean for seed, one in mine.items()}, ANY),
            ({seed: one.psnr for seed, one in mine.items()}, ANY),
            ({seed: one.calibration for seed, one in mine.items()}, POSITIVE),
            ({seed: one.diversity for seed, one in mine.items()}, POSITIVE),
        )
        rows.append(
            [
                method,
                *(
                    mean_of({seed: one and one.value for seed, one in values.items()}, within)
                    for values, within in columns
                ),
                f"{fmean(one.seconds_per_completion for one in mine.values()):.3g}",  # given
                f"{len(mine)}",
            ]
        )
    heads = (
        "method",
        "dB of the mean of four completions",
        "dB of one completion",
        "calibration",
        "difference of completions, pixel values",
        "seconds per completion",
        "seeds",
    )
    note = (
        f"{plural(found[0].count, 'held-out image')} of each seed, lower half masked; the GANs are "
        "inverted for the time that diffusion takes to sample. Calibration: squared difference of "
        "two completions over squared error, 1 for samples of the posterior. Known pixels are "
        "restored in all."
    )
    return [Table(heads, rows, note)]
