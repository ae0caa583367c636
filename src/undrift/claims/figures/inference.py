"""Inference: quality against evaluations and against time, and what one image costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from undrift.claims.figures.exhibit import (
    FAINT,
    THIN,
    Exhibit,
    Table,
    Tones,
    colour_of,
    methods_of,
)
from undrift.claims.pieces import recorded
from undrift.report.figure import plain_ticks, short
from undrift.wording import plural

Record = dict[str, Any]


def figures(found: Record, pieces: Mapping[str, Record], kind: str) -> list[Exhibit]:
    """Distance and coverage against evaluations and milliseconds.

    Args:
        found: the main table.
        pieces: records.
        kind: of the ledger whose runs were timed.
    """
    timed = {record["method"] for record in recorded(pieces, "times")}
    if "diffusion" not in timed or not recorded(pieces, "steps"):
        return []
    caption = (
        "Frechet distance and coverage against network evaluations (left) and milliseconds per "
        "image in batches of 64 (right), of the models of equal seconds. A line is a run of "
        "diffusion at several numbers of steps; a dot is a run of a GAN, which draws in one pass."
    )
    return [Exhibit("inference", caption, lambda tones: _draw(found, pieces, kind, tones))]


def _draw(found: Record, pieces: Mapping[str, Record], kind: str, tones: Tones) -> Figure:
    figure = Figure(figsize=(9.6, 6.2), layout="constrained")
    axes = [[figure.add_subplot(2, 2, 2 * row + column + 1) for column in (0, 1)] for row in (0, 1)]
    times = {record["method"]: record for record in recorded(pieces, "times")}
    milliseconds = {point["steps"]: point["batch_ms"] for point in times["diffusion"]["points"]}
    rows = {
        row["method"]: row
        for ledger in found["ledgers"]
        if ledger["kind"] == kind
        for row in ledger["methods"]
    }
    for line, metric in zip(axes, ("fd", "coverage"), strict=True):
        curves = [record for record in recorded(pieces, "steps") if record["ledger"] == kind]
        for number, record in enumerate(curves):
            points = [point for point in record["points"] if metric in point]
            values = [point[metric]["value"] for point in points]
            costs = (
                [point["nfe"] for point in points],
                [milliseconds[point["steps"]] for point in points],
            )
            for axis, cost in zip(line, costs, strict=True):
                axis.plot(
                    cost,
                    values,
                    "o-",
                    color=colour_of("diffusion"),
                    linewidth=THIN,
                    markersize=3,
                    alpha=FAINT,
                    label="diffusion" if not number else None,
                )
        for method in methods_of([name for name in times if name != "diffusion"]):
            values = list(rows[method]["metrics"].get(metric, {}).get("values", {}).values())
            costs = (1.0, times[method]["points"][0]["batch_ms"])
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


def table(pieces: Mapping[str, Record]) -> Table | None:
    """Cost of one image, alone and in batches."""
    records = recorded(pieces, "times")
    if not records:
        return None
    rows = []
    for method in methods_of([record["method"] for record in records]):
        record = next(r for r in records if r["method"] == method)
        for point in record["points"]:
            name = (
                method if point["steps"] is None else f"{method}, {plural(point['steps'], 'step')}"
            )
            rows.append(
                [
                    name,
                    f"{point['nfe']:g}",
                    short(point["flops"]),
                    f"{point['single_ms']:.3g} ms",
                    f"{point['batch_ms']:.3g} ms",
                    f"{record['megabytes']:.0f} MiB",
                ]
            )
    return Table(
        ("method", "NFE", "FLOPs per image", "one image", "in batches of 64", "memory of a batch"),
        rows,
        "Medians, with nothing else running. Memory: by how much a process grows while it draws "
        "its first batch.",
    )
