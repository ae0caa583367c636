"""Coverage: held-out images, 2-D toy data, stacked digits, rare classes, and trade-offs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from undrift.claims.evidence import Evidence, sides_of
from undrift.claims.figures import (
    Table,
    by_method,
    colour_of,
    ends_of,
    lines_of,
    mean_of,
    plot_trade_offs,
    row_of,
)
from undrift.comparison import verdicts
from undrift.comparison.verdicts import COVERAGE, STACKED_SEEDS, Covered
from undrift.data.sources.mixtures import MIXTURES
from undrift.metrics.bounded import POSITIVE, SHARE
from undrift.metrics.seeds import over_seeds
from undrift.names import printable
from undrift.report.figure import THIN, Chart, Tones
from undrift.results.claims import ModesFound, PlaneModes, StackedModes, TailShares, TradeOff
from undrift.results.verdict import ClaimResult
from undrift.wording import plural

_TOYS = {"ring8": "ring of 8", "grid25": "grid of 25"}


def measure(evidence: Evidence) -> ClaimResult:
    """The verdict from shares covered: in the main comparison, and of all modes measured."""
    covered = {
        f"held-out images at equal {kind}": Covered(*evidence.values(kind, "coverage"))
        for kind in evidence.budgets
    }
    planes = evidence.of(PlaneModes)
    for words, found, needed in (
        ("modes of a ring of 8", [one for one in planes if one.kind == "ring8"], None),
        ("modes of a grid of 25", [one for one in planes if one.kind == "grid25"], None),
        ("1,000 stacked digits", evidence.of(StackedModes), STACKED_SEEDS),
        ("rare classes", evidence.of(TailShares), None),
    ):
        diffusion, gans = sides_of(found, lambda one: one.share)
        if diffusion:
            covered[words] = Covered(diffusion, gans, needed or COVERAGE.needed)
    return verdicts.coverage(covered)


def figures(evidence: Evidence) -> list[Chart]:
    """Points of 2-D toy data, class shares in the tail, and trade-offs."""
    made = []
    for kind, words in _TOYS.items():
        planes = [one for one in evidence.of(PlaneModes) if one.kind == kind]
        if planes:
            caption = f"Points of the first seed of each method on the {words}, over its modes."
            made.append(
                Chart(f"coverage-{kind}", caption, lambda tones, one=planes: _plane(one, tones))
            )
    tails, trades = evidence.of(TailShares), evidence.of(TradeOff)
    if tails:
        caption = (
            "Share of each class among samples of models of long-tailed data, as a classifier "
            "sees them; a thin line is a run, the dashed line the training images."
        )
        made.append(Chart("coverage-tail", caption, lambda tones: _tails(tails, tones)))
    if trades:
        caption = (
            "Fidelity against diversity along guidance (diffusion) or truncation (GAN). A line is "
            "a run; its ring is where guidance or truncation is off."
        )
        made.append(Chart("coverage-dials", caption, lambda _: _trades(trades)))
    return made


def _plane(found: Sequence[PlaneModes], tones: Tones) -> Figure:
    mixture, methods = MIXTURES[found[0].kind], by_method(found)
    figure, axes = row_of(len(methods), width=2.7, height=2.9)
    for axis, (method, mine) in zip(axes, methods, strict=True):
        first = min(mine, key=lambda one: one.seed)
        axis.plot(*mixture.modes.T, "+", color=tones["reference"], markersize=9, mew=1.1)
        points = np.asarray(first.points).T
        axis.plot(*points, ".", color=colour_of(method), markersize=2.6, alpha=0.7)
        side = 1.02 * mixture.half
        axis.set(xlim=(-side, side), ylim=(-side, side), aspect="equal", xticks=[], yticks=[])
        axis.grid(visible=False)
        mean = over_seeds({one.seed: one.found for one in mine})
        axis.set_title(f"{method}: {mean.value:.3g} of {first.modes}" if mean else method)
    return figure


def _tails(found: Sequence[TailShares], tones: Tones) -> Figure:
    figure, (axis,) = row_of(1, width=7.2, height=3.2)
    for one, colour, label in lines_of(found):
        axis.plot(one.made, color=colour, linewidth=THIN, alpha=0.8, label=label)
    first = found[0]
    axis.plot(first.wanted, color=tones["ink"], linestyle=(0, (4, 3)), label="training images")
    axis.set_yscale("symlog", linthresh=1e-3)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_ylim(bottom=0)
    axis.set_xticks(range(len(first.classes)), [printable(name) for name in first.classes])
    axis.set_xlabel("class, from frequent to rare")
    axis.set_ylabel("share of samples")
    axis.legend(loc="lower left")
    return figure


def _trades(found: Sequence[TradeOff]) -> Figure:
    figure, axes = row_of(2, width=4.6, height=3.4)
    pairs = (("recall", "precision"), ("coverage", "density"))
    for axis, (across, up) in zip(axes, pairs, strict=True):
        plot_trade_offs(axis, found, across, up)
        axis.set_xlabel(f"{across} (diversity)")
        axis.set_ylabel(f"{up} (fidelity)")
    axes[0].legend(loc="best")
    return figure


def tables(evidence: Evidence) -> list[Table]:
    """Modes and their evenness, means over seeds."""
    made = []
    rows = [
        [
            f"{words}, {method}",
            f"{_found(mine)} of {mine[0].modes}",
            mean_of({one.seed: one.high_quality.value for one in mine}, SHARE),
            mean_of({one.seed: one.kl.value for one in mine}, POSITIVE),
            f"{len(mine)}",
        ]
        for kind, words in _TOYS.items()
        for method, mine in by_method([one for one in evidence.of(PlaneModes) if one.kind == kind])
    ]
    if rows:
        made.append(
            Table(
                ("data, method", "modes found", "of high quality", "KL to even shares", "seeds"),
                rows,
                "Means over seeds with 95 % intervals. Found: a mode that holds a quarter of its "
                "fair share within 3 standard deviations; a perfect sampler finds all, has 98.9 % "
                "of high quality, and a KL of about (K - 1) / 2n.",
            )
        )
    stacked = evidence.of(StackedModes)
    if stacked:
        right = stacked[0].classifier_accuracy
        made.append(
            Table(
                ("stacked digits, method", "modes of 1,000", "KL to even shares", "seeds"),
                [
                    [
                        method,
                        _found(mine),
                        mean_of({one.seed: one.kl.value for one in mine}, POSITIVE),
                        f"{len(mine)}",
                    ]
                    for method, mine in by_method(stacked)
                ],
                f"{plural(stacked[0].n, 'sample')} of each run; a perfect sampler scores "
                f"{stacked[0].floor_kl:.4f}. Read by a classifier that is right on "
                f"{ends_of(right.value, right.low, right.high, 4)} "
                "of single held-out digits; triples that it misreads count as modes too.",
            )
        )
    tails = evidence.of(TailShares)
    if tails:
        made.append(
            Table(
                ("rare classes, method", "share of them that is sampled", "seeds"),
                [
                    [method, mean_of({one.seed: one.share for one in mine}, SHARE), f"{len(mine)}"]
                    for method, mine in by_method(tails)
                ],
                f"Mean over {len(tails[0].rare)} rare classes of their share among samples over "
                "that among training images, at most 1 each; the training images themselves, as "
                f"the classifier sees them, score {tails[0].real_share:.3f}.",
            )
        )
    return made


def _found(mine: Sequence[ModesFound]) -> str:
    return mean_of({one.seed: float(one.found) for one in mine}, (0.0, float(mine[0].modes)))
