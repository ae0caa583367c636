"""A model's dial of fidelity against diversity, turned through its values and measured at each.

Guidance of a diffusion model and truncation of a GAN are different numbers for one trade, so their
curves are compared in what both of them move: precision or density against recall or coverage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from undrift.errors import UsageError
from undrift.evaluation.reference import Comparisons, Reference
from undrift.evaluation.target import Target
from undrift.metrics import Images, Measurements, chosen_metrics, measure
from undrift.pipelines import Dial, Labels, Pipeline
from undrift.schema import to_plain

METRICS = ("precision", "recall", "density", "coverage", "fd", "label_accuracy")
"""What a sweep measures unless told otherwise."""

OnValue = Callable[[int, int], None]
"""Called as (values done, values in all), before each one; raises to stop."""


@dataclass(frozen=True, eq=False)
class DialPoint:
    """A model at one value of its dial.

    Attributes:
        value: of the dial.
        measured: metrics of its samples.
        nfe: network forwards per image.
        seconds: of drawing all of them.
    """

    value: float
    measured: Measurements
    nfe: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Sweep:
    """A model at every value that was asked for.

    Attributes:
        dial: its name.
        n: images at each value.
        points: in the order of the values.
    """

    dial: str
    n: int
    points: tuple[DialPoint, ...]

    def curve(self, metric: str) -> list[tuple[float, float, float | None, float | None]]:
        """(dial, value, low, high) of a metric, of those points that have it."""
        found = [(point.value, point.measured.metrics.get(metric)) for point in self.points]
        return [(x, y.value, y.low, y.high) for x, y in found if y is not None]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "dial": self.dial,
            "n": self.n,
            "points": [
                {
                    "value": point.value,
                    "nfe": point.nfe,
                    "seconds": point.seconds,
                    **to_plain(point.measured),
                }
                for point in self.points
            ],
        }


def dial_of(pipeline: Pipeline) -> Dial:
    """The dial that a pipeline has.

    Raises:
        UsageError: for one that has none.
    """
    if pipeline.dial is None:
        raise UsageError(
            f"{pipeline.noun} without classes has no dial of fidelity against diversity; train on "
            "labelled images"
        )
    return pipeline.dial


def sweep(
    pipeline: Pipeline,
    values: Sequence[float],
    bench: Reference,
    *,
    n: int,
    labels: Labels = None,
    seed: int = 0,
    steps: int | None = None,
    names: Sequence[str] = METRICS,
    on_value: OnValue | None = None,
) -> Sweep:
    """Draw and measure ``n`` images at each value of the pipeline's dial.

    Image i has the same noise and label at every value, so that differences along a curve are less
    uncertain than its points.

    Args:
        pipeline: a diffusion model with classes, or a GAN.
        values: of guidance (1 is off) or truncation (0 to 1, off), in the order to be measured.
        bench: real images and the feature space, opened once for all models.
        n: images at each value.
        labels: their classes; None follows the training frequencies.
        seed: names the noise.
        steps: of a diffusion model's sampler.
        names: metrics, see `undrift.metrics.chosen_metrics`.
        on_value: told how far it is.

    Raises:
        UsageError: a model without a dial, no values, or one that the dial cannot have.
    """
    dial = dial_of(pipeline)
    if not len(values):
        raise UsageError("sweep: no values; give at least one")
    metrics = chosen_metrics(names)
    subject = Target("the model", pipeline, classes=pipeline.spec.class_names)
    compared = Comparisons(bench, subject)
    points: list[DialPoint] = []
    for done, value in enumerate(values):
        if on_value is not None:
            on_value(done, len(values))
        own = {"steps": steps, dial.name: float(value)}
        samples = pipeline(n, labels=labels, seed=seed, **own)
        measured = measure(compared.of(Images(samples.images, samples.labels)), metrics)
        points.append(DialPoint(float(value), measured, samples.nfe, samples.seconds))
    return Sweep(dial.name, n, tuple(points))
