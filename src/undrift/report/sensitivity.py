"""What the metrics of a run see of its images, and whether its samples beat corrupted real images.

A validation loss does not show whether samples are noise, and a metric that does not notice noise
does not show it either. So "learned" is said only of samples that score clearly better than real
images under the corruptions below, by a Frechet distance that was shown to notice these. With h the
upper end of the samples' distance, f the distance of as many real images, l the lower end of the
corrupted images' distance and r that of the real images beside them, all in the space where l / r
is largest:

    clearly better:  h - f < l - r                                                          (1)

The excess over real images is compared, since the distance itself depends on the number of images.
Nor is "learned" said where samples rarely show the class they were drawn for: with a the upper end
of the label accuracy, b that of real images and K the number of classes,

    classes shown:  a > (b + 1 / K) / 2                                                     (2)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from undrift.metrics.results import ByClassResult, MetricResult, Response, Sensitivity
from undrift.report.metric_table import amount, title_of
from undrift.report.verdict import Verdict
from undrift.results.evaluation import ShownMetrics

GROSS = ("strong noise", "shuffled blocks", "shuffled pixels")
"""Corruptions that are worse than any trained model: samples like these are "early"."""

VISIBLE = ("noise",)
"""Those that good samples are better than: until then a run is "learning"."""

_DISTANCES = ("texture_fd", "fd")


Cell = tuple[str, bool] | None
"""A formatted value and whether it detects the corruption."""


@dataclass(frozen=True)
class SeenTable:
    """One feature space: rows of corruptions, columns of metrics.

    Attributes:
        space: its name.
        sizes: how many images were compared with how many.
        columns: titles of the metrics.
        rows: (corruption, cells): the value of each metric and whether it notices the corruption;
            None where the metric is not meant to.
    """

    space: str
    sizes: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


def seen_tables(evaluation: ShownMetrics) -> list[SeenTable]:
    """The tables of ``evaluation``; none of evaluations without this test."""
    tables = []
    for one in evaluation.sensitivity or ():
        metrics = list(one.real)
        names = list(dict.fromkeys(response.corruption for response in one.responses))
        real: list[Cell] = [(amount(metric, one.real[metric]), True) for metric in metrics]
        rows: list[tuple[str, tuple[Cell, ...]]] = [("real images", tuple(real))]
        for name in names:
            found = [one.value(metric, name) for metric in metrics]
            cells = tuple(
                None if cell is None else (amount(cell.metric, cell.value), cell.seen)
                for cell in found
            )
            rows.append((name, cells))
        sizes = f"{one.n:,} images against {one.n_reference:,}"
        tables.append(SeenTable(one.space, sizes, tuple(map(title_of, metrics)), tuple(rows)))
    return tables


def with_samples(verdict: Verdict, evaluation: ShownMetrics) -> Verdict:
    """``verdict`` on the loss, unless the samples contradict it or cannot confirm it.

    A run without any sensitivity test may be "learning" but not "learned".
    """
    if verdict.state not in ("learned", "learning"):
        return verdict
    if reason := _untested(evaluation):
        return Verdict(
            "learning",
            f"{verdict.sentence} Whether samples are better than noise was not tested: {reason}.",
        )
    tested = evaluation.sensitivity or ()
    if all(_where_seen(evaluation, tested, name) is None for name in GROSS):
        return Verdict(
            "learning",
            f"{verdict.sentence} Whether samples are better than noise is not known: no distance "
            "sees noise or shuffled pixels on these images.",
        )
    if worst := _not_beaten(evaluation, tested, GROSS):
        return Verdict(
            "early",
            f"{worst} Train longer, or on smaller images. By the loss alone: {verdict.sentence}",
        )
    for doubt in (_not_beaten(evaluation, tested, VISIBLE), _classes_not_shown(evaluation)):
        if doubt:
            return Verdict("learning", f"{verdict.sentence} {doubt}")
    return verdict


def _untested(evaluation: ShownMetrics) -> str:
    """Why (1) can be tested with no distance, if that is so."""
    if not evaluation.sensitivity:
        return evaluation.sensitivity_missing or "the metrics were not tested"
    known = [evaluation.metrics[name] for name in _DISTANCES if name in evaluation.metrics]
    if any(_excess(one) is not None for one in known):
        return ""
    missing = [one.floor_missing for one in known if one.floor_missing]
    if missing:
        return f"the distance of real images was not measured ({missing[0]})"
    return "no distance was measured"


def _excess(found: MetricResult) -> float | None:
    """The left side of (1)."""
    if found.high is None or found.floor is None:
        return None
    return found.high - found.floor


def _not_beaten(
    evaluation: ShownMetrics, tested: Sequence[Sensitivity], corruptions: Sequence[str]
) -> str:
    """The first of ``corruptions`` that the samples are not clearly better than, in a sentence.

    Each is measured where it shows most: by the distance and in the space in which it moves real
    images by the largest part of their own distance. A space that hardly sees a corruption would
    find any model as bad.
    """
    for name in corruptions:
        found = _where_seen(evaluation, tested, name)
        if found is None:
            continue
        response, real = found
        measured = evaluation.metrics[response.metric]
        if (_excess(measured) or 0.0) >= response.low - real:  # against (1)
            noisy = response.aspect.startswith(name)
            return (
                "Samples are not clearly better than real images with "
                f"{response.aspect if noisy else name}: {title_of(response.metric)} "
                f"{amount(response.metric, measured.value)}, and "
                f"{amount(response.metric, response.value)} of these."
            )
    return ""


def _where_seen(
    evaluation: ShownMetrics, tested: Sequence[Sensitivity], corruption: str
) -> tuple[Response, float] | None:
    """Where l / r of ``corruption`` is largest: the response, and r; None where it is not seen."""
    metrics = evaluation.metrics
    seen = [
        (response, one.real[metric])
        for metric in _DISTANCES
        if metric in metrics and _excess(metrics[metric]) is not None
        for one in tested
        if (response := one.value(metric, corruption)) is not None and response.seen
    ]
    return max(seen, key=lambda found: found[0].low / found[1], default=None)


def _classes_not_shown(evaluation: ShownMetrics) -> str:
    """A sentence where samples fail (2); nothing where they do not, or nothing is known of it."""
    found = evaluation.metrics.get("label_accuracy")
    if not isinstance(found, ByClassResult) or found.high is None or found.floor is None:
        return ""
    chance = 1 / max(1, len(found.classes))
    if found.high > (found.floor + chance) / 2:
        return ""
    return (
        f"A classifier recognises the class of {amount('label_accuracy', found.value)} of the "
        f"samples, and of {amount('label_accuracy', found.floor)} of real images."
    )
