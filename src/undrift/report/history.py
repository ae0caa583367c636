"""What ``metrics.jsonl`` tells: series over training, one value per step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undrift.training.condition_gap import gap_sentence

Record = dict[str, Any]
Series = NDArray[np.float64]


@dataclass(frozen=True)
class Validation:
    """One look at the held-out images, at fixed noise.

    Attributes:
        step: optimiser updates before it.
        images: real images seen before it.
        weights: "ema" or "raw".
        loss: mean of ``losses``; of a likelihood run, bits per dimension.
        log_snr: (L,) log signal-to-noise ratio of each level.
        losses: (L,) mean squared error of the predicted clean image at each.
        gaussian: (L,) the same of the best Gaussian denoiser, or None if it was not computed.
        in_bits: whether ``loss`` is bits per dimension.
        standard_errors: (L,) of ``losses``, over images; None where they were not recorded.
        gaps: for each kind of condition, by its name, what
            `undrift.training.condition_gap.condition_gap` found.
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
    gaps: Mapping[str, Record] = field(default_factory=dict)

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
        judged: those of a GAN: what its discriminator made of held-out images.
        grids: ``grid`` events.
        one_steps: ``one_step`` events by step.
        checkpoints: ``checkpoint`` events.
        evaluations: ``evaluation`` events by step, of samples that could be measured.
        looks: all ``evaluation`` events by step.
        verdict: the ``verdict`` event, if the run had to stop.
        skips: number of steps skipped as non-finite.
        starts: number of processes that worked on the run.
        probe: the ``probe`` event, if there was one.
        expectation: the ``expectation`` event, if there was one.
        done: the ``done`` event, if the run ended.
        seconds: time named by events, summed by their kind.
        elapsed: seconds from the first to the last event of each process, summed.
    """

    train: tuple[Record, ...]
    validations: tuple[Validation, ...]
    judged: tuple[Record, ...]
    grids: tuple[Record, ...]
    one_steps: tuple[Record, ...]
    checkpoints: tuple[Record, ...]
    evaluations: tuple[Record, ...]
    looks: tuple[Record, ...]
    verdict: Record | None
    skips: int
    starts: int
    probe: Record | None
    expectation: Record | None
    done: Record | None
    seconds: Record
    elapsed: float

    @classmethod
    def of(cls, events: Iterable[Record]) -> History:
        """Sort ``events`` out; where a resume repeated a step, the repeat counts."""
        latest: dict[tuple[str, Any, Any], Record] = {}
        starts, seconds, elapsed = 0, {}, 0.0
        before: float | None = None
        for event in events:
            kind, step, time = event.get("event", ""), event.get("step"), event.get("time")
            if kind == "start":  # the time between two processes is nobody's
                starts, before = starts + 1, None
            if isinstance(time, int | float):
                elapsed += 0.0 if before is None else max(0.0, time - before)
                before = float(time)
            if isinstance(event.get("seconds"), int | float):
                seconds[kind] = seconds.get(kind, 0.0) + float(event["seconds"])
            latest[kind, step, event.get("weights")] = event

        def of_kind(kind: str) -> tuple[Record, ...]:
            found = [event for (name, _, _), event in latest.items() if name == kind]
            return tuple(sorted(found, key=lambda event: event.get("step", 0)))

        done, probe, verdict = of_kind("done"), of_kind("probe"), of_kind("verdict")
        expected = of_kind("expectation")
        looks = of_kind("evaluation")
        return cls(
            train=of_kind("train"),
            validations=tuple(
                _validation(event) for event in of_kind("validation") if "losses" in event
            ),
            judged=tuple(event for event in of_kind("validation") if "losses" not in event),
            grids=of_kind("grid"),
            one_steps=of_kind("one_step"),
            checkpoints=of_kind("checkpoint"),
            evaluations=tuple(look for look in looks if look.get("kid") is not None),
            looks=looks,
            verdict=verdict[-1] if verdict and not done else None,
            skips=len(of_kind("skip")),
            starts=starts,
            probe=probe[-1] if probe else None,
            expectation=expected[-1] if expected else None,
            done=done[-1] if done else None,
            seconds=seconds,
            elapsed=float(done[-1].get("seconds", elapsed)) if done else elapsed,
        )

    def series(self, name: str) -> tuple[Series, Series]:
        """Images seen and the entry ``name`` of the ``train`` events that have it."""
        pairs = [
            (event["images"], event[name]) for event in self.train if event.get(name) is not None
        ]
        table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def validated(self, weights: str) -> tuple[Validation, ...]:
        """Validations of "ema" or "raw" weights, oldest first."""
        return tuple(entry for entry in self.validations if entry.weights == weights)

    @property
    def main(self) -> tuple[Validation, ...]:
        """Validations of the weights that one samples with: the average's if there are any."""
        return self.validated("ema") or self.validated("raw")

    @property
    def halfway(self) -> Validation | None:
        """The first of `main` after half of its images, where it is not the last."""
        looks = self.main
        found = next((look for look in looks if look.images >= looks[-1].images / 2), None)
        return None if found is None or found is looks[-1] else found

    @property
    def gap_sentences(self) -> list[str]:
        """Of each kind of condition, whether the model follows it, at the last validation."""
        last = self.main[-1].gaps if self.main else {}
        return [gap_sentence(name, found) for name, found in last.items()]

    @property
    def images(self) -> int | None:
        """Real images seen so far."""
        if self.done is not None and "images" in self.done:
            return int(self.done["images"])
        return int(self.train[-1]["images"]) if self.train else None


def _validation(event: Record) -> Validation:
    gaussian, errors = event.get("gaussian"), event.get("standard_errors")
    return Validation(
        step=int(event["step"]),
        images=int(event["images"]),
        weights=str(event.get("weights", "ema")),
        loss=float(event["loss"]) if event.get("loss") is not None else math.nan,
        log_snr=np.array(event.get("log_snr", []), dtype=np.float64),
        losses=np.array(event.get("losses", []), dtype=np.float64),
        gaussian=None if gaussian is None else np.array(gaussian, dtype=np.float64),
        in_bits="bits_per_dim" in event,
        standard_errors=None if errors is None else np.array(errors, dtype=np.float64),
        gaps=event.get("condition_gaps", {}),
    )
