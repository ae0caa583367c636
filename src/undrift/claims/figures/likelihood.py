"""Likelihood: bits of held-out and of training images, beside histograms; what GANs answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from undrift.claims.figures.exhibit import (
    Exhibit,
    Table,
    Tones,
    colour_of,
    ends_of,
    row_of,
)
from undrift.claims.pieces import recorded
from undrift.metrics.bounded import POSITIVE
from undrift.metrics.seeds import over_seeds

Record = dict[str, Any]

_ROWS = (
    ("variational bound, held out", "held_out", "elbo"),
    ("variational bound, training", "train", "elbo"),
    ("ODE, held out", "held_out", "ode"),
    ("ODE, training", "train", "ode"),
)


def figures(pieces: Mapping[str, Record]) -> list[Exhibit]:
    """Every seed as a dot."""
    records = recorded(pieces, "bits")
    if not records:
        return []
    caption = (
        "Bits per dimension of images under the diffusion model, every seed, by the variational "
        "bound and by the probability-flow ODE; the dashed line is what pixel histograms need. "
        "Fewer is better."
    )
    return [Exhibit("likelihood", caption, lambda tones: _draw(records, tones))]


def _draw(records: Sequence[Record], tones: Tones) -> Figure:
    figure, (axis,) = row_of(1, width=7.2, height=2.4)
    for height, (_, part, method) in enumerate(_ROWS):
        values = [record[part][method]["value"] for record in records]
        colour = colour_of("diffusion" if part == "held_out" else "dcgan")
        axis.plot(values, [height] * len(values), "o", color=colour, markersize=5, alpha=0.7)
    axis.axvline(
        sum(record["histogram"] for record in records) / len(records),
        color=tones["reference"],
        linestyle=(0, (4, 3)),
        linewidth=1.2,
    )
    axis.set_yticks(range(len(_ROWS)), [name for name, _, _ in _ROWS])
    axis.set_ylim(len(_ROWS) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)
    axis.grid(axis="x", visible=True)
    axis.set_xlabel("bits per dimension")
    return figure


def table(pieces: Mapping[str, Record]) -> Table | None:
    """Means over seeds, and every GAN's own answer."""
    records = recorded(pieces, "bits")
    rows = []
    for name, part, method in _ROWS:
        found = over_seeds({r["seed"]: r[part][method]["value"] for r in records}, POSITIVE)
        rows.append([f"diffusion, {name}", ends_of(None if found is None else vars(found), 4)])
    histogram = over_seeds({r["seed"]: r["histogram"] for r in records})
    if histogram is not None:
        rows.append(["pixel histograms given the class, held out", f"{histogram.value:.4g}"])
    answers: dict[str, list[str]] = {}
    for record in recorded(pieces, "answer"):
        answers.setdefault(record["answer"], []).append(record["method"])
    if not records and not answers:
        return None
    return Table(
        ("model", "bits per dimension"),
        rows,
        "Bound and ODE are likelihoods of two models that share a network, so they need not "
        "agree. A GAN gives images no probability; no proxy is put in its place."
        + "".join(f" Asked for it, {', '.join(by)}: {text}." for text, by in answers.items()),
    )
