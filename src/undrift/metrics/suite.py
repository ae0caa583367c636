"""All metrics of one set of samples: values with intervals, floors and protocols, as plain JSON."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from undrift import synonyms
from undrift.errors import UsageError
from undrift.metrics.catalogue import METRICS, QUICK, Metric, lacking
from undrift.metrics.comparison import Comparison
from undrift.metrics.measurements import Measured
from undrift.names import did_you_mean
from undrift.wording import dimensions, images_of

OnMetric = Callable[[str, int, int], None]
"""Called as (metric, number done before it, metrics in all)."""


def chosen_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """The metrics that ``names`` ask for: their names, ``quick`` or ``all``.

    Raises:
        UsageError: for an unknown name.
    """
    asked: list[str] = []
    for name in names:
        if name in ("all", "quick"):
            asked.extend(METRICS if name == "all" else QUICK)
        elif name in METRICS:
            asked.append(name)
        else:
            known = [*METRICS, "quick", "all"]
            hint = did_you_mean(name, known, f"there are {', '.join(known)}", synonyms.METRICS)
            raise UsageError(f"unknown metric {name!r}; {hint}")
    return tuple(dict.fromkeys(asked))


def needs_classifier(names: Sequence[str]) -> bool:
    """Whether one of the metrics ``names`` cannot do without a classifier."""
    return any({"classifier", "judge"} & set(METRICS[name].needs) for name in names)


def lacking_metrics(comparison: Comparison, names: Sequence[str]) -> dict[str, str]:
    """Those of ``names`` that cannot be had of ``comparison``, and why.

    Of its samples, only the number and whether there are labels are asked for.
    """
    reasons = {name: lacking(METRICS[name], comparison) for name in names}
    return {name: reason for name, reason in reasons.items() if reason}


def measure(
    comparison: Comparison, names: Sequence[str], on_metric: OnMetric | None = None
) -> dict[str, Any]:
    """Measure ``names`` in their order.

    Args:
        comparison: the samples beside the real images.
        names: keys of `undrift.metrics.catalogue.METRICS`.
        on_metric: told before each one; raises to stop.

    Returns:
        ``metrics``: name -> ``name``, ``value``, ``low``, ``high``, ``floor`` (what real
        images score at the same sizes; None where that cannot be had, and then ``floor_missing``
        says why), ``ideal``, ``n``, ``n_reference``, ``better``, ``interval`` (how it was made),
        ``protocol``, ``seconds`` and the metric's own numbers; ``missing``: name -> why it could
        not be had; ``features``, ``reference``, ``classifier``, ``seed`` and ``protocol``, which
        all of them share.

    Raises:
        UsageError: fewer than two samples or reference images.
    """
    for count, what in ((len(comparison.samples), "samples"), (len(comparison.reference), "real")):
        if count < 2:
            raise UsageError(f"metrics of {count} {what} images: needs at least 2 of each")
    metrics: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for done, name in enumerate(names):
        if on_metric is not None:
            on_metric(name, done, len(names))
        metric = METRICS[name]
        if reason := lacking(metric, comparison):
            missing[name] = reason
            continue
        began = time.perf_counter()
        try:
            measured = metric.measure(comparison)
        except UsageError as error:
            missing[name] = str(error)
            continue
        record = _record(metric, measured, comparison)
        metrics[name] = record | {"seconds": round(time.perf_counter() - began, 3)}
    extractor, classifier = comparison.extractor, comparison.classifier
    return {
        "metrics": metrics,
        "missing": missing,
        "features": {"name": extractor.name, "description": extractor.description},
        "classifier": None
        if classifier is None
        else {"name": classifier.name, "accuracy": comparison.classifier_accuracy},
        "reference": {"split": comparison.split, "count": len(comparison.reference)},
        "samples": {"count": len(comparison.samples)},
        "seed": comparison.seed,
        "protocol": _shared(comparison),
    }


def _record(metric: Metric, measured: Measured, comparison: Comparison) -> dict[str, Any]:
    estimate = measured.estimate
    absent: dict[str, str] = {}
    try:
        floor: float | None = metric.floor_of(comparison)
        words = metric.floor_words or comparison.floor_words
    except UsageError as error:  # what can be measured is worth having without its floor
        floor, absent = None, {"floor_missing": str(error)}
        words = f"not measured: {error}"
    return {
        "name": metric.full_name(comparison),
        "value": estimate.value,
        "low": _finite(estimate.low),
        "high": _finite(estimate.high),
        "floor": floor,
        **absent,
        "ideal": metric.ideal(comparison),
        "n": measured.n,
        "n_reference": measured.n_reference,
        "better": metric.better,
        "interval": estimate.method,
        "protocol": (
            f"{metric.what}; {measured.n} samples, "
            f"{images_of(comparison.split, measured.n_reference)}; "
            f"95 % interval: {estimate.method}; real images: {words}"
        ),
        **measured.extras,
    }


def floor_notes(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Which of ``metrics``, records by name, have no value of real images, and why: a line each."""
    names: dict[str, list[str]] = {}
    for name, record in metrics.items():
        if reason := record.get("floor_missing"):
            names.setdefault(reason, []).append(name)
    return [
        f"real images: {', '.join(some)} not measured: {reason}" for reason, some in names.items()
    ]


def _shared(comparison: Comparison) -> str:
    height, width, channels = comparison.samples.images.shape[1:]
    judge = "" if comparison.classifier is None else f"; classifier {comparison.classifier.name}"
    return (
        f"{len(comparison.samples)} samples against "
        f"{images_of(comparison.split, len(comparison.reference))} of "
        f"{dimensions(height, width)}x{channels}, uint8, "
        f"{'held out' if comparison.held_out else 'not held out'} from what was fitted; features "
        f"{comparison.extractor.name}: {comparison.extractor.description}{judge}; "
        f"seed {comparison.seed}"
    )


def _finite(end: float) -> float | None:
    """An end of an interval; None where it has none, since JSON knows no infinity."""
    return end if math.isfinite(end) else None
