"""``evaluation/first.json`` for people: values beside their floors, and how to read each."""

from __future__ import annotations

from dataclasses import dataclass

from undrift.experiments.report.history import Record
from undrift.experiments.report.words import Row

_READINGS = {
    "fd": (
        "Distance between the feature clouds of samples and held-out images. What counts is the "
        "excess over the real images' value; being below it means a replayed training set, or luck."
    ),
    "label_accuracy": (
        "How often a classifier sees what was asked for. Above its accuracy on real images, "
        "samples are more typical than real ones: cleaner, and less varied."
    ),
    "coverage": (
        "Share of held-out images with a sample in their neighbourhood. Well below the real "
        "images' value, kinds of images are missing from the samples."
    ),
    "copies": (
        "Share of samples nearer to a training image than 1% of held-out images come. About 1% "
        "is what new images score; much more means copying."
    ),
}
_TITLES = {
    "fd": "Fréchet distance",
    "label_accuracy": "label accuracy",
    "coverage": "coverage",
    "copies": "copies",
}
_SHARES = ("label_accuracy", "coverage", "copies")


@dataclass(frozen=True)
class MetricLine:
    """One metric, formatted.

    Attributes:
        title: short name.
        name: full name, with the feature space.
        value: formatted.
        interval: formatted, or a dash.
        floor: what real images score, formatted, or a dash.
        reading: how to read it.
        protocol: what was computed exactly.
    """

    title: str
    name: str
    value: str
    interval: str
    floor: str
    reading: str
    protocol: str


def metric_lines(evaluation: Record) -> list[MetricLine]:
    """Lines of every metric in ``evaluation``, in its order."""
    lines = []
    for key, metric in evaluation.get("metrics", {}).items():
        interval = metric.get("interval")
        lines.append(
            MetricLine(
                title=_title(key),
                name=str(metric.get("name", key)),
                value=_amount(key, metric.get("value")),
                interval="-"
                if interval is None
                else " to ".join(_amount(key, v) for v in interval),
                floor=_amount(key, metric.get("floor")),
                reading=_READINGS.get(key, ""),
                protocol=str(metric.get("protocol", "")),
            )
        )
    return lines


def protocol_rows(evaluation: Record) -> list[Row]:
    """What each metric is, exactly."""
    rows = [(line.title, line.protocol) for line in metric_lines(evaluation) if line.protocol]
    if overall := evaluation.get("protocol"):
        rows.insert(0, ("all", str(overall)))
    return rows


def missing_note(evaluation: Record) -> str:
    """Which metrics could not be had, and why."""
    absent = evaluation.get("missing", {})
    return "; ".join(f"No {_title(key)}: {reason}" for key, reason in absent.items())


def _title(key: str) -> str:
    return _TITLES.get(key, key.replace("_", " "))


def _amount(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1%}" if key in _SHARES else f"{value:.3g}"
