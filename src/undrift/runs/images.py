"""The images of a run, as its settings or its stored configuration ask for them."""

from __future__ import annotations

from collections.abc import Callable

from undrift.data import ImageSet, load
from undrift.runs.configuration import DataConfig
from undrift.runs.settings import TrainSettings


def load_images(
    source: str,
    asked: TrainSettings | DataConfig,
    progress: Callable[[int, int], None] | None = None,
) -> ImageSet:
    """Decode ``source``.

    Args:
        source: what the user named.
        asked: how its images are made equal.
        progress: called as ``progress(done, total)`` while decoding; raising stops it.

    Raises:
        DataError: images that are missing, empty or too broken.
    """
    return load(
        source,
        size=asked.size,
        fit=asked.fit,
        channels=asked.channels,
        background=asked.background,
        holdout=asked.holdout,
        bad_limit=asked.bad_limit,
        progress=progress,
    )
