"""``metrics.jsonl`` sorted by kind of event: series over training, one value per step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from undrift.errors import ModelFileError, UsageError, shown
from undrift.runs.events import Event
from undrift.schema import from_plain
from undrift.training.condition_gap import ConditionGap

Series = NDArray[np.float64]


@dataclass(frozen=True)
class Validation:
    """Error on the held-out images, at fixed noise.

    Attributes:
        step: optimiser updates before it.
        images: real images seen before it.
        weights: "ema" or "raw".
        loss: mean of ``losses``; of a likelihood run, bits per dimension; of a student, its
            objective's, nan where that says nothing.
        log_snr: (L,) log signal-to-noise ratio of each level.
        losses: (L,) mean squared error of the predicted clean image at each.
        gaussian: (L,) the same of the best Gaussian denoiser, or None if it was not computed.
        in_bits: whether ``loss`` is bits per dimension.
        standard_errors: (L,) of ``losses``, over images; None where they were not recorded.
        gaps: of each kind of condition, by its name.
        sample_distance: of a student's samples to held-out images, where its loss says nothing.
        accuracies: (L,) of a classifier: share of the images whose class it names at each level.
        chance: of a classifier: share of the most frequent class.
    """

    step: int
    images: int
    weights: str
    loss: float
    log_snr: Series
    losses: Series
    gaussian: Series | None
    in_bits: bool = False
    standard_errors: Series | None = None
    gaps: Mapping[str, ConditionGap] = field(default_factory=dict)
    sample_distance: float | None = None
    accuracies: Series | None = None
    chance: float | None = None

    @property
    def noise(self) -> Series:
        """(L,) noise over signal, sigma / alpha, of each level."""
        return np.exp(-self.log_snr / 2)

    @property
    def ratios(self) -> Series | None:
        """(L,) ``losses`` over ``gaussian``: below 1 the network beats every linear denoiser."""
        if self.gaussian is None or not (self.gaussian > 0).all():
            return None
        return self.losses / self.gaussian


@dataclass(frozen=True)
class History:
    """Events of a run, sorted out. A step that was run twice, around a resume, counts once.

    Attributes:
        train: ``train`` events by step.
        validations: ``validation`` events by step.
        student_validations: those of a few-step student or a classifier, without errors of images
            by noise level.
        gan_validations: those of a GAN: its discriminator on held-out images.
        grids: ``grid`` events.
        one_steps: ``one_step`` events by step.
        checkpoints: ``checkpoint`` events.
        evaluations: ``evaluation`` events by step.
        verdict: the ``verdict`` event, if the run had to stop.
        skips: number of steps skipped as non-finite.
        starts: number of processes that worked on the run.
        probe: the ``probe`` event, if there was one.
        expectation: the ``expectation`` event, if there was one.
        done: the ``done`` event, if the run ended.
        seconds: time named by events, summed by their kind.
        elapsed: seconds from the first to the last event of each process, summed.
    """

    train: tuple[Event, ...]
    validations: tuple[Validation, ...]
    student_validations: tuple[Validation, ...]
    gan_validations: tuple[Event, ...]
    grids: tuple[Event, ...]
    one_steps: tuple[Event, ...]
    checkpoints: tuple[Event, ...]
    evaluations: tuple[Event, ...]
    verdict: Event | None
    skips: int
    starts: int
    probe: Event | None
    expectation: Event | None
    done: Event | None
    seconds: Mapping[str, float]
    elapsed: float

    @classmethod
    def of(cls, events: Iterable[Event]) -> History:
        """Sort ``events`` out; where a resume repeated a step, the repeat counts."""
        latest: dict[tuple[str, int | None, str | None], Event] = {}
        seconds: dict[str, float] = {}
        starts, elapsed = 0, 0.0
        before: float | None = None
        for event in events:
            if event.kind == "start":  # the time between two processes does not count
                starts, before = starts + 1, None
            elapsed += 0.0 if before is None else max(0.0, event.time - before)
            before = event.time
            if event.seconds is not None:
                seconds[event.kind] = seconds.get(event.kind, 0.0) + event.seconds
            latest[event.kind, event.step, event.weights] = event

        def of_kind(kind: str) -> tuple[Event, ...]:
            found = [event for (name, _, _), event in latest.items() if name == kind]
            return tuple(sorted(found, key=lambda event: event.step or 0))

        done, probe, verdict = of_kind("done"), of_kind("probe"), of_kind("verdict")
        expected = of_kind("expectation")
        found: dict[str, list[Event]] = {"levels": [], "student": [], "gan": []}
        for event in of_kind("validation"):
            student = "loss" in event or "sample_distance" in event
            found["levels" if "losses" in event else "student" if student else "gan"].append(event)
        return cls(
            train=of_kind("train"),
            validations=tuple(map(_validation, found["levels"])),
            student_validations=tuple(map(_validation, found["student"])),
            gan_validations=tuple(found["gan"]),
            grids=of_kind("grid"),
            one_steps=of_kind("one_step"),
            checkpoints=of_kind("checkpoint"),
            evaluations=of_kind("evaluation"),
            verdict=verdict[-1] if verdict and not done else None,
            skips=len(of_kind("skip")),
            starts=starts,
            probe=probe[-1] if probe else None,
            expectation=expected[-1] if expected else None,
            done=done[-1] if done else None,
            seconds=seconds,
            elapsed=elapsed if not done or done[-1].seconds is None else done[-1].seconds,
        )

    def series(self, name: str) -> tuple[Series, Series]:
        """Images seen and the entry ``name`` of the ``train`` events that have it."""
        pairs = [
            (event.images, value)
            for event in self.train
            if (value := event.number(name)) is not None
        ]
        table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def validated(self, weights: str) -> tuple[Validation, ...]:
        """Validations of "ema" or "raw" weights, oldest first."""
        return tuple(entry for entry in self.validations if entry.weights == weights)

    @property
    def measured(self) -> tuple[Event, ...]:
        """The ``evaluations`` that have a kernel distance."""
        return tuple(one for one in self.evaluations if one.number("kid") is not None)

    @property
    def main(self) -> tuple[Validation, ...]:
        """Validations of the weights that one samples with: the average's if there are any."""
        return self.validated("ema") or self.validated("raw")

    @property
    def students(self) -> tuple[Validation, ...]:
        """`student_validations` of the average's weights, or of the raw ones."""
        mine = self.student_validations
        return tuple(one for one in mine if one.weights == "ema") or mine

    @property
    def halfway(self) -> Validation | None:
        """The first of `main` after half of its images, where it is not the last."""
        main = self.main
        found = next((one for one in main if one.images >= main[-1].images / 2), None)
        return None if found is None or found is main[-1] else found

    @property
    def gap_sentences(self) -> list[str]:
        """Of each kind of condition, whether the model follows it, at the last validation."""
        validations = self.main or self.students
        last = validations[-1].gaps if validations else {}
        return [found.sentence(name) for name, found in last.items()]

    @property
    def sentences(self) -> list[str]:
        """What the last validation says in words: `gap_sentences`, and a classifier's accuracy."""
        last = self.students[-1] if self.students else None
        if last is None or last.accuracies is None:
            return self.gap_sentences
        shares = ", ".join(
            f"{share:.0%} at {noise:.2g}"
            for share, noise in zip(last.accuracies, last.noise, strict=True)
        )
        chance = "" if last.chance is None else f"; {last.chance:.0%} are of the commonest class"
        return [f"accuracy on held-out images by noise over signal: {shares}{chance}"]

    @property
    def images(self) -> int | None:
        """Real images seen so far."""
        if self.done is not None and self.done.images is not None:
            return self.done.images
        return self.train[-1].images if self.train else None


def _gaps(event: Event) -> dict[str, ConditionGap]:
    found = event.value("condition_gaps") or {}
    where = f"validation at step {event.step}: condition_gaps"
    if not isinstance(found, Mapping):
        raise ModelFileError(f"{where}: {shown(found)}, wanted a mapping; restore metrics.jsonl")
    try:
        return {
            name: from_plain(ConditionGap, one, f"{where}: {name}") for name, one in found.items()
        }
    except UsageError as error:
        raise ModelFileError(f"{error}; restore metrics.jsonl") from error


def _validation(event: Event) -> Validation:
    def series(name: str) -> Series | None:
        found = event.numbers(name)
        return None if found is None else np.array(found, dtype=np.float64)

    none = np.zeros(0)
    log_snr, losses = series("log_snr"), series("losses")
    return Validation(
        step=event.step or 0,
        images=event.images or 0,
        weights=event.weights or "ema",
        loss=math.nan if event.loss is None else event.loss,
        log_snr=none if log_snr is None else log_snr,
        losses=none if losses is None else losses,
        gaussian=series("gaussian"),
        in_bits="bits_per_dim" in event,
        standard_errors=series("standard_errors"),
        gaps=_gaps(event),
        sample_distance=event.number("sample_distance"),
        accuracies=series("accuracies"),
        chance=event.number("chance"),
    )
