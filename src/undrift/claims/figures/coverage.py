"""Coverage: rings and grids, stacked digits, rare classes, and fidelity against diversity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from undrift.claims.figures.exhibit import (
    FAINT,
    THIN,
    Exhibit,
    Table,
    Tones,
    colour_of,
    ends_of,
    methods_of,
    row_of,
)
from undrift.claims.pieces import recorded
from undrift.data.sources.mixtures import MIXTURES
from undrift.metrics.bounded import POSITIVE, SHARE, Range
from undrift.metrics.seeds import over_seeds
from undrift.names import printable
from undrift.wording import plural

Record = dict[str, Any]

_WORDS = {"ring8": "ring of 8", "grid25": "grid of 25"}


def figures(pieces: Mapping[str, Record]) -> list[Exhibit]:
    """Points of the plane, class shares in the tail, and the dials."""
    made = []
    for name, words in _WORDS.items():
        records = recorded(pieces, name)
        if records:
            made.append(
                Exhibit(
                    f"coverage-{name}",
                    f"Points of the first seed of each method on the {words}, over its modes.",
                    lambda tones, records=records, name=name: _plane(records, name, tones),
                )
            )
    tails = recorded(pieces, "tail")
    if tails:
        made.append(
            Exhibit(
                "coverage-tail",
                "Share of each class among samples of models of long-tailed data, as a classifier "
                "sees them; a thin line is a run, the dashed line the training images.",
                lambda tones: _tails(tails, tones),
            )
        )
    dials = recorded(pieces, "dial")
    if dials:
        made.append(
            Exhibit(
                "coverage-dials",
                "Fidelity against diversity along each method's dial: guidance of diffusion, "
                "truncation of a GAN. A line is a run; its ring is where the dial is off.",
                lambda tones: _dials(dials, tones),
            )
        )
    return made


def _plane(records: Sequence[Record], name: str, tones: Tones) -> Figure:
    mixture = MIXTURES[name]
    methods = methods_of([record["method"] for record in records])
    figure, axes = row_of(len(methods), width=2.7, height=2.9)
    for axis, method in zip(axes, methods, strict=True):
        mine = sorted(
            (record for record in records if record["method"] == method),
            key=lambda record: record["seed"],
        )
        points = np.asarray(mine[0]["points"])
        axis.plot(*mixture.modes.T, "+", color=tones["reference"], markersize=9, mew=1.1)
        axis.plot(*points.T, ".", color=colour_of(method), markersize=2.6, alpha=0.7)
        side = 1.02 * mixture.half
        axis.set(xlim=(-side, side), ylim=(-side, side), aspect="equal", xticks=[], yticks=[])
        axis.grid(visible=False)
        mean = over_seeds({record["seed"]: record["found"] for record in mine})
        axis.set_title(f"{method}: {mean.value:.3g} of {mine[0]['modes']}" if mean else method)
    return figure


def _tails(records: Sequence[Record], tones: Tones) -> Figure:
    methods = methods_of([record["method"] for record in records])
    figure, (axis,) = row_of(1, width=7.2, height=3.2)
    for method in methods:
        for number, record in enumerate(r for r in records if r["method"] == method):
            axis.plot(
                record["made"],
                color=colour_of(method),
                linewidth=THIN,
                alpha=0.8,
                label=method if not number else None,
            )
    first = records[0]
    axis.plot(first["wanted"], color=tones["ink"], linestyle=(0, (4, 3)), label="training images")
    axis.set_yscale("symlog", linthresh=1e-3)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_ylim(bottom=0)
    names = [printable(name) for name in first["classes"]]
    axis.set_xticks(range(len(names)), names)
    axis.set_xlabel("class, from frequent to rare")
    axis.set_ylabel("share of samples")
    axis.legend(loc="lower left")
    return figure


def _dials(records: Sequence[Record], tones: Tones) -> Figure:
    methods = methods_of([record["method"] for record in records])
    figure, axes = row_of(2, width=4.6, height=3.4)
    pairs = (("recall", "precision"), ("coverage", "density"))
    for axis, (across, up) in zip(axes, pairs, strict=True):
        for method in methods:
            for number, record in enumerate(r for r in records if r["method"] == method):
                points = [p for p in record["points"] if across in p and up in p]
                x, y = ([point[name]["value"] for point in points] for name in (across, up))
                colour = colour_of(method)
                label = method if not number else None
                axis.plot(x, y, color=colour, linewidth=THIN, alpha=FAINT, label=label)
                if x:
                    axis.plot(x[:1], y[:1], "o", color=colour, markerfacecolor="none", markersize=5)
        axis.set_xlabel(f"{across} (diversity)")
        axis.set_ylabel(f"{up} (fidelity)")
    axes[0].legend(loc="best")
    return figure


def tables(pieces: Mapping[str, Record]) -> list[Table]:
    """Modes and their evenness, means over seeds."""
    made = []
    rows = []
    for name, words in _WORDS.items():
        for method, mine in _by_method(recorded(pieces, name)):
            rows.append(
                [
                    f"{words}, {method}",
                    f"{_found(mine)} of {mine[0]['modes']}",
                    _of(mine, lambda r: r["high_quality"]["value"], SHARE),
                    _of(mine, lambda r: r["kl"]["value"], POSITIVE),
                    f"{len(mine)}",
                ]
            )
    if rows:
        made.append(
            Table(
                ("world, method", "modes found", "of high quality", "KL to even shares", "seeds"),
                rows,
                "Means over seeds with 95 % intervals. Found: a mode that holds a quarter of its "
                "fair share within 3 standard deviations; a perfect sampler finds all, has 98.9 % "
                "of high quality, and a KL of about (K - 1) / 2n.",
            )
        )
    stacked = recorded(pieces, "stacked")
    if stacked:
        accuracy = ends_of(stacked[0]["classifier_accuracy"], 4)
        made.append(
            Table(
                ("stacked digits, method", "modes of 1,000", "KL to even shares", "seeds"),
                [
                    [
                        method,
                        _found(mine),
                        _of(mine, lambda r: r["kl"]["value"], POSITIVE),
                        f"{len(mine)}",
                    ]
                    for method, mine in _by_method(stacked)
                ],
                f"{plural(stacked[0]['n'], 'sample')} of each run; a perfect sampler scores "
                f"{stacked[0]['floor_kl']:.4f}. Read by a classifier that is right on {accuracy} "
                "of single held-out digits; triples that it misreads count as modes too.",
            )
        )
    tails = recorded(pieces, "tail")
    if tails:
        made.append(
            Table(
                ("rare classes, method", "share of them that is made", "seeds"),
                [
                    [method, _of(mine, lambda r: r["share"], SHARE), f"{len(mine)}"]
                    for method, mine in _by_method(tails)
                ],
                f"Mean over {len(tails[0]['rare'])} rare classes of their share among samples over "
                "that among training images, at most 1 each; the training images themselves, as "
                f"the classifier sees them, score {tails[0]['real_share']:.3f}.",
            )
        )
    return made


def _by_method(records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    names = methods_of([record["method"] for record in records])
    return [(name, [record for record in records if record["method"] == name]) for name in names]


def _of(records: Sequence[Record], value: Callable[[Record], float], within: Range) -> str:
    found = over_seeds({record["seed"]: float(value(record)) for record in records}, within)
    return ends_of(None if found is None else vars(found))


def _found(records: Sequence[Record]) -> str:
    return _of(records, lambda record: record["found"], (0.0, float(records[0]["modes"])))
