"""Whether the best sampler and the next one differ: paired, since both began in the same noise.

Two intervals that overlap say little: much of either is chance that both share, the choice of real
images and of noise. Image i of one sampler belongs to image i of the other, so the difference has
an interval of its own, often a much shorter one (`undrift.metrics.difference`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from undrift.errors import UsageError
from undrift.metrics import Comparison, paired_differences
from undrift.metrics.difference import PAIRED

Drawn = Callable[[str, int, int], Comparison]
"""``drawn(sampler, nfe, steps)``: the samples of a point, beside the real images."""


def add_differences(best: Sequence[dict[str, Any]], metric: str, drawn: Drawn) -> None:
    """Give each record of `best_within` its ``difference``: best less runner-up.

    It holds ``value``, ``low`` and ``high``, and stays None without a runner-up, and for a metric
    or a number of samples that no paired interval can be had of.
    """
    points: dict[tuple[Any, ...], Comparison] = {}
    known: dict[tuple[Any, ...], dict[str, float] | None] = {}

    def point(record: dict[str, Any]) -> tuple[Any, ...]:
        return record["sampler"], record["nfe"], record["steps"]

    def difference(first: tuple[Any, ...], second: tuple[Any, ...]) -> dict[str, float] | None:
        for key in (first, second):
            if key not in points:
                points[key] = drawn(*key)
        try:
            found = paired_differences(points[first], points[second], [metric])[metric]
        except UsageError:  # too few samples to be divided
            return None
        return {name: getattr(found, name) for name in ("value", "low", "high")}

    for record in best:
        if record["runner_up"] is None or metric not in PAIRED:
            continue
        pair = point(record), point(record["runner_up"])
        if pair not in known:
            known[pair] = difference(*pair)
        record["difference"] = known[pair]
