"""Which sampler is best within each budget, and whether the next one differs from it.

Two intervals that overlap say little: much of either is chance that both share, the choice of real
images and of noise. Image i of one sampler belongs to image i of the other, so the difference has
an interval of its own, often a much shorter one (`undrift.metrics.difference`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from undrift.errors import UsageError
from undrift.metrics import Comparison, paired_differences
from undrift.metrics.difference import PAIRED
from undrift.results.curve import (
    BestPoint,
    BestScale,
    Better,
    CurvePoint,
    GuidancePoint,
    Interval,
    Point,
    RankedPoint,
    ScaleDifference,
)


def best_within(
    points: Sequence[CurvePoint], metric: str, better: Better, budgets: Sequence[int]
) -> tuple[BestPoint, ...]:
    """The best point of at most each number of evaluations; budgets without any are left out.

    Its ``difference`` is None until `with_differences` has compared it with its runner-up.
    """
    found = []
    for budget in sorted(budgets):
        ranked = [
            _ranked(one, metric) for one in points if one.nfe <= budget and metric in one.metrics
        ]
        if not ranked:
            continue
        best = _first(ranked, better)
        others = [one for one in ranked if one.sampler != best.sampler]
        second = _first(others, better) if others else None
        overlaps = _overlap(best, second)
        found.append(BestPoint(**vars(best), budget=budget, runner_up=second, overlaps=overlaps))
    return tuple(found)


def _first(points: Sequence[RankedPoint], better: Better) -> RankedPoint:
    """The best of ``points``; of equals the cheapest."""
    sign = 1 if better == "lower" else -1
    return min(points, key=lambda point: (sign * point.value, point.nfe))


def _ranked(point: CurvePoint, metric: str) -> RankedPoint:
    found = point.metrics[metric]
    ends = {"value": found.value, "low": found.low, "high": found.high}
    return RankedPoint(point.sampler, point.nfe, point.steps, **ends)


def best_scale(points: Sequence[GuidancePoint], metric: str, better: Better) -> BestScale | None:
    """The best scale of guidance in a metric; of equals the smallest. None where none has it."""
    sign = 1 if better == "lower" else -1
    found = {point.guidance: point.metrics[metric] for point in points if metric in point.metrics}
    if not found:
        return None
    best = min(found, key=lambda scale: (sign * found[scale].value, scale))
    one = found[best]
    alike = tuple(k for k, other in found.items() if k != best and _overlap(one, other))
    return BestScale(value=one.value, low=one.low, high=one.high, guidance=best, alike=alike)


def scale_differences(
    best: Mapping[str, BestScale], compared: Mapping[float, Comparison]
) -> dict[str, BestScale]:
    """``best`` by metric with the differences to the other scales.

    Args:
        best: of `best_scale`, by metric.
        compared: scale -> its samples, compared with the real images.
    """
    found = dict(best)
    for one in {entry.guidance for entry in best.values()}:
        names = [name for name in PAIRED if name in best and best[name].guidance == one]
        for other in sorted(compared.keys() - {one}):
            try:
                apart = paired_differences(compared[one], compared[other], names)
            except UsageError:  # too few samples to be divided into groups
                return dict(best)
            for name, d in apart.items():
                made = ScaleDifference(value=d.value, low=d.low, high=d.high, guidance=other)
                found[name] = replace(found[name], differences=(*found[name].differences, made))
    return found


def _overlap(one: Interval | RankedPoint, other: Interval | RankedPoint | None) -> bool | None:
    if other is None or one.low is None or one.high is None:
        return None
    if other.low is None or other.high is None:
        return None
    return one.low <= other.high and other.low <= one.high


def with_differences(
    best: Sequence[BestPoint], metric: str, compared: Callable[[Point], Comparison]
) -> tuple[BestPoint, ...]:
    """``best`` with the difference of each point and its runner-up.

    It stays None without a runner-up, and for a metric or a number of samples without paired
    intervals.

    Args:
        best: of `best_within`.
        metric: its name.
        compared: the samples of a point, compared with the real images.
    """
    if metric not in PAIRED:
        return tuple(best)
    comparisons: dict[str, Comparison] = {}
    known: dict[tuple[str, str], Interval | None] = {}

    def difference(pair: Sequence[Point]) -> Interval | None:
        for point in pair:
            if point.name not in comparisons:
                comparisons[point.name] = compared(point)
        first, second = (comparisons[point.name] for point in pair)
        try:
            found = paired_differences(first, second, [metric])[metric]
        except UsageError:  # too few samples to be divided into groups
            return None
        return Interval(found.value, found.low, found.high)

    found = []
    for one in best:
        if one.runner_up is not None:
            key = one.name, one.runner_up.name
            if key not in known:
                known[key] = difference((one, one.runner_up))
            one = replace(one, difference=known[key])
        found.append(one)
    return tuple(found)
