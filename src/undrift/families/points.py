"""Toy 2-D data: images with fewer than 4 pixels on the short side, for MLPs.

A point has no neighbours, so convolutions, patches and whatever moves an image have no meaning for
it.
"""

from __future__ import annotations

from undrift.advice import named
from undrift.errors import UsageError
from undrift.options.train import TrainOptions
from undrift.wording import dimensions

BATCH = 256
"""Points of the global batch, of every method."""

IMAGES = 2_000_000
"""Points to train on in all on a CPU by default: half a minute of one core."""


def check_points(settings: TrainOptions, size: tuple[int, int]) -> None:
    """Refuse what moves pixels, and networks that mix neighbouring pixels.

    Raises:
        UsageError: if a setting needs that.
    """
    what = f"images of {dimensions(*size)} are points"
    for name in ("flip", "augment"):
        if getattr(settings, name):
            raise UsageError(f"{named(name)}: {what}, which it would move; leave it out")
    if settings.maps:
        raise UsageError(f"{named('maps')}: {what}, over which no map lies; leave it out")
    if settings.network not in (None, "mlp"):
        raise UsageError(
            f"{named('network')} {settings.network}: {what}, without neighbouring pixels; give "
            "mlp or "
            "leave it out"
        )
