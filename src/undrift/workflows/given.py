"""Conditions of real images that a finished run is measured with."""

from __future__ import annotations

from typing import Any

from undrift.data import ImageSet
from undrift.evaluation.conditions import Conditions, conditions_from, samples_of
from undrift.evaluation.opening import described
from undrift.families.family import Draw
from undrift.metrics.images import rows_of
from undrift.pipelines import Pipeline, Samples, SampleSpec

MOST = 2500
"""Images whose conditions are read."""


def given_by(split: ImageSet, spec: SampleSpec, source: tuple[str, str]) -> Conditions | None:
    """Captions, numbers and maps of some images of ``split`` that a model takes.

    Args:
        split: real images.
        spec: of the model.
        source: whose the images are, and which split.

    Returns:
        None for a model that takes none of these, or a split that has none of them.
    """
    if spec.text is None and not spec.numbers and not spec.maps:
        return None
    rows = rows_of(len(split), MOST, 0, "conditions of the first metrics")
    images = described(split, split.take(rows), rows)
    return conditions_from(spec, images, (split.class_names, split.number_names), source, 0)


def drawing_with(conditions: Conditions | None) -> Draw:
    """Draws samples under ``conditions``, image i under those of entry i."""

    def draw(pipeline: Pipeline, n: int, **settings: Any) -> Samples:  # noqa: ANN401
        return samples_of(pipeline, n, 0, conditions, seed=settings.pop("seed", 0), **settings)

    return draw
