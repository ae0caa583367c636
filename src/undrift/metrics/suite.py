"""All metrics of one set of samples: values with intervals, floors and protocols."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from undrift import synonyms
from undrift.errors import UsageError
from undrift.metrics.catalogue import METRICS, QUICK, lacking
from undrift.metrics.comparison import Comparison
from undrift.metrics.measurements import Measured
from undrift.metrics.results import (
    RESULTS,
    ClassifierFacts,
    FeatureSpace,
    Measurements,
    MetricResult,
    ReferenceFacts,
    SampleFacts,
)
from undrift.names import did_you_mean
from undrift.wording import dimensions, images_of

_CONDITIONS = {"captions", "swapped captions", "numbers", "masks", "derived maps"}
_ALL = tuple(name for name, one in METRICS.items() if not _CONDITIONS & set(one.needs))

OnMetric = Callable[[str, int, int], None]
"""Called as (metric, number done before it, metrics in all)."""


def chosen_metrics(names: Sequence[str]) -> tuple[str, ...]:
    """The metrics of ``names``: their names, ``quick`` or ``all``.

    ``all`` leaves out those of captions, numbers and maps, which few models take.

    Raises:
        UsageError: for an unknown name.
    """
    found: list[str] = []
    for name in names:
        if name in ("all", "quick"):
            found.extend(_ALL if name == "all" else QUICK)
        elif name in METRICS:
            found.append(name)
        else:
            known = [*METRICS, "quick", "all"]
            hint = did_you_mean(name, known, f"there are {', '.join(known)}", synonyms.METRICS)
            raise UsageError(f"unknown metric {name!r}; {hint}")
    return tuple(dict.fromkeys(found))


def needs_classifier(names: Sequence[str]) -> bool:
    """Whether one of the metrics ``names`` cannot do without a classifier."""
    return any({"classifier", "entropy classifier"} & set(METRICS[name].needs) for name in names)


def lacking_metrics(comparison: Comparison, names: Sequence[str]) -> dict[str, str]:
    """Those of ``names`` that cannot be had of ``comparison``, and why.

    Of its samples, only the number and whether there are labels are used.
    """
    reasons = {name: lacking(METRICS[name], comparison) for name in names}
    return {name: reason for name, reason in reasons.items() if reason}


def measure(
    comparison: Comparison, names: Sequence[str], on_metric: OnMetric | None = None
) -> Measurements:
    """Measure ``names`` in their order.

    Args:
        comparison: the samples beside the real images.
        names: keys of `undrift.metrics.catalogue.METRICS`.
        on_metric: called before each one; raises to stop.

    Raises:
        UsageError: fewer than two samples or reference images.
    """
    for count, what in ((len(comparison.samples), "samples"), (len(comparison.reference), "real")):
        if count < 2:
            raise UsageError(f"metrics of {count} {what} images: needs at least 2 of each")
    metrics: dict[str, MetricResult] = {}
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
        result = _result(name, measured, comparison)
        seconds = round(time.perf_counter() - began, 3)
        metrics[name] = replace(result, seconds=seconds)
    extractor, classifier = comparison.extractor, comparison.classifier
    facts = None
    if classifier is not None:
        facts = ClassifierFacts(classifier.name, comparison.classifier_accuracy)
    return Measurements(
        metrics=metrics,
        missing=missing,
        features=FeatureSpace(extractor.name, extractor.description),
        classifier=facts,
        reference=ReferenceFacts(comparison.split, len(comparison.reference)),
        samples=SampleFacts(len(comparison.samples)),
        seed=comparison.seed,
        protocol=_shared(comparison),
    )


def _result(name: str, measured: Measured, comparison: Comparison) -> MetricResult:
    metric, estimate = METRICS[name], measured.estimate
    floor, missing = None, None
    try:
        floor = metric.floor_of(comparison)
        words = metric.floor_words or comparison.floor_words
    except UsageError as error:  # what can be measured is worth having without its floor
        missing = str(error)
        words = f"not measured: {error}"
    return RESULTS.get(name, MetricResult)(
        name=metric.full_name(comparison),
        value=estimate.value,
        low=_finite(estimate.low),
        high=_finite(estimate.high),
        floor=floor,
        floor_missing=missing,
        ideal=metric.ideal(comparison),
        n=measured.n,
        n_reference=measured.n_reference,
        better=metric.better,
        interval=estimate.method,
        protocol=(
            f"{metric.what}; {measured.n} samples, "
            f"{images_of(comparison.split, measured.n_reference)}; "
            f"95 % interval: {estimate.method}; real images: {words}"
        ),
        **measured.extras,
    )


def _shared(comparison: Comparison) -> str:
    height, width, channels = comparison.samples.images.shape[1:]
    classifier = comparison.classifier
    fitted = "" if classifier is None else f"; classifier {classifier.name}"
    return (
        f"{len(comparison.samples)} samples against "
        f"{images_of(comparison.split, len(comparison.reference))} of "
        f"{dimensions(height, width)}x{channels}, uint8, "
        f"{'held out' if comparison.held_out else 'not held out'} from what was fitted; features "
        f"{comparison.extractor.name}: {comparison.extractor.description}{fitted}; "
        f"seed {comparison.seed}"
    )


def _finite(end: float) -> float | None:
    """An end of an interval; None where it has none, since JSON knows no infinity."""
    return end if math.isfinite(end) else None
