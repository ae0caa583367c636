"""The report's pictures of toy 2-D data: scatter plots, in place of images of two pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from undrift.data.scatter import scatter
from undrift.data.sources.mixtures import MIXTURES
from undrift.metrics.points import PERFECT, REACH, SHARE, point_coverage
from undrift.report.pictures import Picture, shown

Points = NDArray[np.uint8]


def cloud(points: Points, label: str, *, side: int, behind: Points | None = None) -> Picture:
    """Points (n, 1, 2, 1) uint8 as a picture of ``side`` CSS pixels, over others in grey."""
    picture = scatter(points, behind)
    return shown(picture, side / picture.width, label)


def coverage_sentence(source: str, points: Points) -> str:
    """Modes and quality, where the modes are known; else nothing."""
    mixture = MIXTURES.get(source)
    if mixture is None:
        return ""
    found = point_coverage(mixture.points_of(points), mixture.modes, mixture.std)
    good = found.high_quality
    return (
        f" {found.found} of {found.modes} modes were found, each by {SHARE:.0%} of its share or "
        f"more. {good.value:.1%} lie within {REACH:g} deviations of a mode ({good.low:.1%} to "
        f"{good.high:.1%}; {PERFECT:.1%} if drawn from the truth)."
    )
