"""The noise level between a student's two steps, chosen by measurement on training images."""

from __future__ import annotations

from undrift.families.family import Draw
from undrift.metrics import Images, open_spaces, quick_space
from undrift.metrics.frechet import frechet_distance
from undrift.pipelines import StudentPipeline

LEVELS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
"""Noise over signal, in standard deviations of the data."""

SAMPLES = 1000
SEED = 1_000_003
"""Of the samples that are measured: others than those of the sample grids."""


def best_level(student: StudentPipeline, train: Images, steps: int, draw: Draw) -> float:
    """The level of `LEVELS` at which samples are nearest to training images.

    Args:
        student: draws with ``steps`` steps.
        train: training images; as many as there are samples are compared with.
        steps: at least 2.
        draw: draws under the conditions of training images.

    Returns:
        sigma / alpha; that of ``student`` itself where images are too much alike for features.
    """
    extractor, _ = open_spaces(train, quick_space(train), device=student.device)
    real = train.draw(4 * SAMPLES, 0, "level of two steps")
    known = extractor.features(real.images)
    unit = student.model.codec.sigma_data
    distances = {}
    for level in LEVELS:
        drawn = draw(student.with_level(level * unit), SAMPLES, seed=SEED, steps=steps)
        distances[level * unit] = frechet_distance(extractor.features(drawn.images), known)
    return min(distances, key=lambda level: distances[level])
