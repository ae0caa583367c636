"""Evaluation of samples while a run trains: their distance to the validation images.

The kernel distance has no bias, so that its mean does not depend on the number of samples, only its
interval does. It is measured on validation images, which may then choose the best weights; the
report measures the chosen ones on test images. Frechet distance and coverage show whether the run
has failed (`undrift.runs.collapse`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from undrift.advice import named
from undrift.data import ImageSet
from undrift.errors import DivergedError, ModelFileError, UsageError
from undrift.files.reading import read_json
from undrift.metrics import Comparison, Images, Measurements, measure, open_spaces, quick_space
from undrift.metrics.features import FeatureExtractor, require_different
from undrift.metrics.results import MetricResult
from undrift.options.options import at_least
from undrift.pipelines import Pipeline
from undrift.runs.collapse import Evaluation, State, sentence, states
from undrift.runs.directory import RunDirectory
from undrift.runs.events import Event, read_events
from undrift.schema import from_plain, optional, to_plain

MOST_IMAGES = 10_000
"""Training images that the feature space is fitted on, and validation images, at most."""

FEWEST = 4
"""Images that an unbiased kernel distance and its interval take on either side."""

SEED = 1
"""Of the samples; the same every time, and not those of the report."""

RECORD = "best.json"

_PURPOSE = "judge"
"""Key of the draw of validation images; another word would draw others."""


@dataclass(frozen=True)
class BestWeights:
    """The weights that validated best, as ``best.json`` has them.

    Attributes:
        step: optimiser updates before them.
        kid: kernel distance of their samples to the validation images.
    """

    step: int
    kid: float


@dataclass(frozen=True)
class NotFinite:
    """Samples that are not finite.

    Attributes:
        fraction: share of the run that was done.
        fd: None: there is no distance.
        reason: what was not finite.
        best: False.
        state: of the run (`undrift.runs.collapse.State`).
        verdict: a sentence about the state.
    """

    fraction: float
    fd: None
    reason: str
    best: bool
    state: State
    verdict: str | None = optional()


@dataclass(frozen=True)
class KernelDistance:
    """Kernel distance of samples to the validation images.

    Attributes:
        low: lower end of its 95 % interval.
        high: upper end.
        floor: of training images; None where there are fewer of them than samples.
        n: samples.
        kid: the distance.
        best: whether it is the least of the run so far.
        metric: what it is called.
        fraction: share of the run that was done.
    """

    low: float | None
    high: float | None
    floor: float | None
    n: int
    kid: float
    best: bool
    metric: str
    fraction: float


@dataclass(frozen=True)
class KernelDistanceOnly(KernelDistance):
    """Where there are too few images for a Frechet distance.

    Attributes:
        reason: why there is none.
    """

    reason: str


@dataclass(frozen=True)
class EvaluatedSamples(KernelDistance):
    """With what shows whether the run has failed; None in these is not finite, or not measured.

    Attributes:
        fd: Frechet distance.
        fd_low: lower end of its 95 % interval.
        fd_high: upper end.
        coverage: of the validation images.
        coverage_low: lower end of its 95 % interval.
        coverage_high: upper end.
        state: of the run.
        verdict: a sentence about the state, where it is not healthy.
    """

    fd: float | None
    fd_low: float | None
    fd_high: float | None
    coverage: float | None
    coverage_low: float | None
    coverage_high: float | None
    state: State
    verdict: str | None = optional()


EvaluationEntries = NotFinite | KernelDistanceOnly | EvaluatedSamples
"""Entries of an ``evaluation`` event."""


class PeriodicEvaluation:
    """Measures pipelines against the validation images, and keeps the best one in ``best/``.

    Args:
        run: where.
        training: the training split.
        validation: the validation split.
        device: where the feature network runs.
        samples: of one evaluation.

    Raises:
        UsageError: fewer than `FEWEST` validation images or samples, or training images that are
            all the same.
    """

    def __init__(
        self,
        run: RunDirectory,
        training: ImageSet,
        validation: ImageSet,
        device: str,
        samples: int = 1000,
    ) -> None:
        if len(validation) < FEWEST:
            raise UsageError(
                f"{named('evaluate_every')}: there are {len(validation)} validation images to "
                f"measure against, wanted {FEWEST} or more; hold them out with {named('holdout')}, "
                "or leave it out"
            )
        at_least("evaluate_samples", samples, FEWEST)
        known = Images(training.images).draw(MOST_IMAGES, 0, _PURPOSE)
        require_different(known.images, f"{named('evaluate_every')}: features")
        self._run = run
        self._training = training
        self._validation = validation
        self._device = device
        self._count = samples

    def evaluate(self, pipeline: Pipeline, step: int, fraction: float) -> EvaluationEntries:
        """Measure ``pipeline`` after ``step`` updates; keep it if it is the best so far.

        Args:
            pipeline: of the averaged weights.
            step: updates made.
            fraction: share of the run that they are.
        """
        try:
            samples = pipeline(self._count, seed=SEED)
        except DivergedError as error:
            broken = Evaluation(fraction, math.nan, math.nan, math.nan)
            return NotFinite(fraction, None, str(error), False, *self._state(broken, step))
        measured = self._measured(Images(samples.images))
        found = measured.metrics
        kid = found["kid"]
        before = best_so_far(self._run)
        # A step that is made again after a resume must not lose against itself.
        best = before is None or kid.value < before.kid or before.step == step
        if best:
            pipeline.save_pretrained(self._run.best)
            self._run.write_json(RECORD, to_plain(BestWeights(step, kid.value)))
        distance = KernelDistance(
            kid.low, kid.high, kid.floor, kid.n, kid.value, best, kid.name, fraction
        )
        if "fd" not in found:
            return KernelDistanceOnly(**vars(distance), reason=measured.missing["fd"])
        fd, coverage = (_with_ends(found.get(name)) for name in ("fd", "coverage"))
        now = evaluation(fraction, *fd, coverage[0], coverage[2])
        state, verdict = self._state(now, step)
        return EvaluatedSamples(
            **vars(distance),
            fd=fd[0],
            fd_low=fd[1],
            fd_high=fd[2],
            coverage=coverage[0],
            coverage_low=coverage[1],
            coverage_high=coverage[2],
            state=state,
            verdict=verdict,
        )

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

    def _state(self, now: Evaluation, step: int) -> tuple[State, str | None]:
        """State and sentence after ``now`` and the evaluations before it, also before a resume."""
        latest = {
            event.step: event
            for event in read_events(self._run.events)
            if event.kind == "evaluation" and event.step is not None and event.step < step
        }
        known = [*evaluations_of([latest[key] for key in sorted(latest)]), now]
        return states(known)[-1], sentence(known) or None

    @cached_property
    def _spaces(self) -> tuple[Images, Images, FeatureExtractor]:
        training, validation = (
            Images(split.images, split.labels).draw(MOST_IMAGES, 0, _PURPOSE)
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


def _with_ends(found: MetricResult | None) -> tuple[float | None, float | None, float | None]:
    """Value and ends of its interval; None of what was not measured."""
    return (None, None, None) if found is None else (found.value, found.low, found.high)


def evaluation(
    fraction: float,
    fd: float | None,
    fd_low: float | None,
    fd_high: float | None,
    coverage: float | None,
    coverage_high: float | None,
) -> Evaluation:
    """Entries of an event for the detector of failures; a distance that is None is not finite."""
    low, high = (math.nan if end is None else end for end in (fd_low, fd_high))
    return Evaluation(fraction, math.nan if fd is None else fd, low, high, coverage, coverage_high)


def evaluations_of(events: Sequence[Event]) -> list[Evaluation]:
    """The ``evaluation`` events that have a Frechet distance, finite or not."""
    names = ("fd", "fd_low", "fd_high", "coverage", "coverage_high")
    return [
        evaluation(fraction, *(event.number(name) for name in names))
        for event in events
        if "fd" in event and (fraction := event.number("fraction")) is not None
    ]


def best_so_far(run: RunDirectory) -> BestWeights | None:
    """The weights in ``best/``; None before there are any.

    Raises:
        ModelFileError: ``best.json`` cannot be read.
    """
    path = run.path / RECORD
    if not path.exists() or not run.best.is_dir():
        return None
    advice = "delete it and best/, or restore it"
    try:
        return from_plain(BestWeights, read_json(path, ModelFileError, advice), str(path))
    except UsageError as error:
        raise ModelFileError(f"{error}; {advice}") from error
