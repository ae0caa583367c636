"""A cheap look at samples while a run trains: their distance to the validation images.

The kernel distance has no bias, so that a few samples say as much on average as many do; only its
interval is wider. It is measured on validation images, which may then choose the best weights;
the report measures the chosen ones on test images. Frechet distance and coverage tell whether the
run has failed (`undrift.runs.collapse`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undrift.data import ImageSet
from undrift.errors import DivergedError, ModelFileError, UsageError
from undrift.files.reading import read_mapping
from undrift.metrics import Comparison, Images, Measurements, measure, open_spaces, quick_space
from undrift.metrics.features import FeatureExtractor, require_different
from undrift.pipelines import Pipeline
from undrift.runs.collapse import Look, sentence, states
from undrift.runs.directory import RunDirectory
from undrift.runs.events import read_events

MOST_IMAGES = 10_000
"""Training images that the feature space is fitted on, and validation images, at most."""

SEED = 1
"""Of the samples; the same every time, and not those of the report."""

RECORD = "best.json"


class Judge:
    """Measures pipelines against the validation images, and keeps the best one in ``best/``.

    Args:
        run: where.
        training: the training split.
        validation: the validation split.
        device: where the feature network runs.
        samples: of one evaluation.

    Raises:
        UsageError: no validation images, or training images that are all the same.
    """

    def __init__(
        self,
        run: RunDirectory,
        training: ImageSet,
        validation: ImageSet,
        device: str,
        samples: int = 1000,
    ) -> None:
        if len(validation) < 2:
            raise UsageError(
                "--evaluate-every: there are no validation images to measure against; hold some "
                "out with --holdout, or leave it out"
            )
        known = Images(training.images).draw(MOST_IMAGES, 0, "judge")
        require_different(known.images, "--evaluate-every: features")
        self._run = run
        self._training = training
        self._validation = validation
        self._device = device
        self._count = samples

    def judge(self, pipeline: Pipeline, step: int, fraction: float) -> dict[str, Any]:
        """Measure ``pipeline`` after ``step`` updates; keep it if it is the best so far.

        Args:
            pipeline: of the averaged weights.
            step: updates made.
            fraction: share of the run that they are.

        Returns:
            ``kid``, ``low``, ``high``, ``floor`` (None where there are fewer training images than
            samples), ``n``, ``metric``, and whether this is ``best``; ``fd``, ``fd_low``,
            ``fd_high``, ``coverage``, ``coverage_low``, ``coverage_high``; the ``state`` that they
            put the run in, and ``verdict``, a sentence where it is not healthy. Where the distance
            cannot be had of so few images, there is its ``reason`` instead; where the samples are
            not finite, ``state``, ``verdict`` and ``reason`` alone.
        """
        try:
            samples = pipeline(self._count, seed=SEED)
        except DivergedError as error:
            broken = {"fraction": fraction, "fd": None, "reason": str(error), "best": False}
            return broken | self._verdict(broken, step)
        measured = self._measured(Images(samples.images))
        found = measured.metrics
        kid = found["kid"]
        before = best_so_far(self._run)
        # A step that is made again after a resume must not lose against itself.
        best = before is None or kid.value < before["kid"] or before["step"] == step
        if best:
            pipeline.save_pretrained(self._run.best)
            self._run.write_json(RECORD, {"step": step, "kid": kid.value})
        record = {name: getattr(kid, name) for name in ("low", "high", "floor", "n")}
        record |= {"kid": kid.value, "best": best, "metric": kid.name, "fraction": fraction}
        if "fd" not in found:
            return record | {"reason": measured.missing["fd"]}
        for name in ("fd", "coverage"):
            one = found.get(name)
            record |= {name: None, f"{name}_low": None, f"{name}_high": None}
            if one is not None:
                record |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
        return record | self._verdict(record, step)

    def _measured(self, samples: Images) -> Measurements:
        """Distances and coverage of ``samples``."""
        training, validation, extractor = self._spaces
        comparison = Comparison(
            samples,
            validation,
            training,
            extractor,
            None,
            (),
            0,
            "validation",
            self._features,
        )
        return measure(comparison, ["kid", "fd", "coverage"])

    def _verdict(self, record: Mapping[str, Any], step: int) -> dict[str, str]:
        """State and sentence after this look and those before it, also of a run cut short."""
        latest = {
            event["step"]: event
            for event in read_events(self._run.events)
            if event["event"] == "evaluation" and event["step"] < step
        }
        looks = looks_of([*(latest[key] for key in sorted(latest)), record])
        state, words = states(looks)[-1], sentence(looks)
        return {"state": state, "verdict": words} if words else {"state": state}

    @cached_property
    def _spaces(self) -> tuple[Images, Images, FeatureExtractor]:
        training, validation = (
            Images(split.images, split.labels).draw(MOST_IMAGES, 0, "judge")
            for split in (self._training, self._validation)
        )
        return (
            training,
            validation,
            open_spaces(training, quick_space(training), device=self._device)[0],
        )

    @cached_property
    def _features(self) -> NDArray[np.floating]:
        _, validation, extractor = self._spaces
        return extractor.features(validation.images)


def looks_of(records: Sequence[Mapping[str, Any]]) -> list[Look]:
    """What a detector of failures reads in ``evaluation`` events; those without a distance are out.

    A distance that was measured and is null was not finite.
    """

    def number(record: Mapping[str, Any], name: str) -> float:
        return math.nan if record.get(name) is None else float(record[name])

    def share(record: Mapping[str, Any], name: str) -> float | None:
        return None if record.get(name) is None else float(record[name])

    return [
        Look(
            float(record["fraction"]),
            number(record, "fd"),
            number(record, "fd_low"),
            number(record, "fd_high"),
            share(record, "coverage"),
            share(record, "coverage_high"),
        )
        for record in records
        if "fd" in record and "fraction" in record
    ]


def best_so_far(run: RunDirectory) -> dict[str, Any] | None:
    """``step`` and ``kid`` of the pipeline in ``best/``; None before there is one."""
    path = run.path / RECORD
    if not path.exists() or not run.best.is_dir():
        return None
    return read_mapping(path, ModelFileError, "delete it and best/, or restore it")
