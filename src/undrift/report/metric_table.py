"""Metrics of an evaluation: values, intervals and floors, and how to read each."""

from __future__ import annotations

from dataclasses import dataclass

from undrift.metrics import MetricResult, floor_notes
from undrift.report.words import Row
from undrift.results.evaluation import ShownMetrics

_READINGS = {
    "fd": (
        "Distance between the feature clouds of samples and held-out images. What counts is the "
        "excess over the real images' value; being below it means memorized data or chance."
    ),
    "kid": (
        "Another distance between the clouds, without bias: 0 is right, and small values on either "
        "side of it are chance."
    ),
    "texture_fd": (
        "The Fréchet distance of local statistics: filter energies, power spectra and thumbnails. "
        "It sees blur, noise and broken texture, which the other features may overlook."
    ),
    "precision": (
        "Share of samples that fall among the held-out images: sample fidelity. "
        "Never read it without coverage."
    ),
    "recall": "Share of held-out images that fall among the samples: a first measure of diversity.",
    "density": "Local density of real images around samples; above 1 these are the typical ones.",
    "label_accuracy": (
        "How often a classifier recovers the requested class. Above its accuracy on real images, "
        "samples are more typical than real ones: cleaner, and less varied."
    ),
    "coverage": (
        "Share of held-out images with a sample in their neighbourhood. Well below the real "
        "images' value, kinds of images are missing from the samples."
    ),
    "memorization": (
        "Share of samples nearer to a training image than 1% of held-out images come. About 1% "
        "is what new images score; an interval wholly above it means copying."
    ),
}
_TITLES = {
    "fd": "Fréchet distance",
    "kid": "kernel distance",
    "texture_fd": "texture distance",
    "label_accuracy": "label accuracy",
}
SHARES = ("label_accuracy", "coverage", "precision", "recall", "memorization")


@dataclass(frozen=True)
class MetricLine:
    """One metric, formatted.

    Attributes:
        key: its name in the file.
        title: short name.
        name: full name, with the feature space.
        value: formatted.
        interval: formatted, or a dash.
        floor: what real images score, formatted, or a dash.
        beside: the floor in words, or why there is none.
        reading: how to read it.
        protocol: what was computed exactly.
    """

    key: str
    title: str
    name: str
    value: str
    interval: str
    floor: str
    beside: str
    reading: str
    protocol: str


def metric_lines(evaluation: ShownMetrics) -> list[MetricLine]:
    """Lines of every metric in ``evaluation``, in its order."""
    lines = []
    for key, metric in evaluation.metrics.items():
        interval = "-"
        if metric.low is not None and metric.high is not None:
            interval = f"{amount(key, metric.low)} to {amount(key, metric.high)}"
        floor, absent = amount(key, metric.floor), metric.floor_missing
        lines.append(
            MetricLine(
                key=key,
                title=title_of(key),
                name=metric.name,
                value=amount(key, metric.value),
                interval=interval,
                floor=floor,
                beside="real images: " + (f"not measured: {absent}" if absent else floor),
                reading=" ".join(filter(None, (_READINGS.get(key), _unseen(metric)))),
                protocol=metric.protocol,
            )
        )
    return lines


def _unseen(metric: MetricResult) -> str:
    """What the metric was found to overlook in images like these."""
    aspects = metric.unseen
    return f"On these images it does not see: {', '.join(aspects)}." if aspects else ""


def protocol_rows(evaluation: ShownMetrics) -> list[Row]:
    """What each metric is, exactly."""
    rows = [(line.title, line.protocol) for line in metric_lines(evaluation) if line.protocol]
    if evaluation.protocol:
        rows.insert(0, ("all", evaluation.protocol))
    return rows


def missing_note(evaluation: ShownMetrics) -> str:
    """Which metrics, and which values of real images, could not be had, and why."""
    absent: dict[str, list[str]] = {}
    for key, reason in evaluation.missing.items():
        absent.setdefault(reason, []).append(title_of(key))
    named = {title_of(key): metric.floor_missing for key, metric in evaluation.metrics.items()}
    lines = [f"No {', '.join(titles)}: {reason}" for reason, titles in absent.items()]
    return "; ".join([*lines, *floor_notes(named)])


def title_of(key: str) -> str:
    """What a page calls a metric."""
    return _TITLES.get(key, key.replace("_", " "))


def amount(key: str, value: float | None) -> str:
    """A metric's value as a page shows it: shares in percent, a dash for none."""
    if value is None:
        return "-"
    return f"{value:.1%}" if key in SHARES else f"{value:.3g}"
