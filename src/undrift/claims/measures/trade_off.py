"""Fidelity against diversity of a model along its guidance or truncation.

Guidance of a diffusion model and truncation of a GAN are different numbers for one trade-off, so
their curves are compared in what both of them change: precision or density against recall or
coverage. Image i has the same noise and label at every value, so that differences along a curve are
less uncertain than its points.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from undrift.errors import UsageError
from undrift.evaluation.opening import open_reference
from undrift.evaluation.reference import Comparisons, Reference
from undrift.evaluation.target import Target, open_target
from undrift.metrics import Images, chosen_metrics, measure
from undrift.options import FeatureOptions
from undrift.pipelines import Dial, Pipeline
from undrift.pipelines.request import Keywords
from undrift.results.claims import TradeOff, TradeOffPoint, facts_of
from undrift.results.comparison import RunResult
from undrift.results.curve import Interval
from undrift.runs.loading import load_pipeline

METRICS = ("precision", "recall", "density", "coverage", "fd", "label_accuracy")


def trade_off(
    run: RunResult, path: Path, values: Sequence[float], n: int, seed: int, device: str
) -> TradeOff:
    """Quality and diversity of a run at each value of its guidance or truncation.

    Args:
        run: the run.
        path: its folder.
        values: of guidance (1 is off) or truncation (0 to 1, off).
        n: samples at each value.
        seed: of them.
        device: where to compute.
    """
    reference = open_reference(open_target(str(path)), None, None).in_space(
        n, seed, FeatureOptions(), device
    )
    pipeline = load_pipeline(path).to(device)
    points = points_along(pipeline, values, reference, n=n, seed=seed)
    return TradeOff(**facts_of(run), points=points, name=dial_of(pipeline).name, n=n)


def dial_of(pipeline: Pipeline) -> Dial:
    """The setting by which a pipeline trades diversity for fidelity.

    Raises:
        UsageError: for one that has none.
    """
    if pipeline.dial is None:
        raise UsageError(
            f"{pipeline.noun} without classes has no guidance or truncation; train on labelled "
            "images"
        )
    return pipeline.dial


def points_along(
    pipeline: Pipeline, values: Sequence[float], reference: Reference, *, n: int, seed: int = 0
) -> tuple[TradeOffPoint, ...]:
    """Sample and measure ``n`` images at each value of guidance or truncation.

    Raises:
        UsageError: a model without either, or a value that it cannot have.
    """
    dial = dial_of(pipeline)
    target = Target("the model", pipeline, classes=pipeline.spec.class_names)
    compared, metrics = Comparisons(reference, target), chosen_metrics(METRICS)
    points = []
    for value in values:
        setting: Keywords = {dial.name: float(value)}
        samples = pipeline(n, labels=None, seed=seed, **setting)
        found = measure(compared.of(Images(samples.images, samples.labels)), metrics).metrics
        intervals = {name: Interval(one.value, one.low, one.high) for name, one in found.items()}
        points.append(TradeOffPoint(dial=float(value), **intervals))
    return tuple(points)
