"""``undrift evaluate``: from what a user names to numbers with intervals, floors and protocols."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from undrift.errors import UsageError
from undrift.experiments.evaluation.drawing import Drawn, OnDrawn, Sampling, draw
from undrift.experiments.evaluation.reference import Reference, Split, check, open_reference
from undrift.experiments.evaluation.subject import Subject, open_subject
from undrift.files.durable import write_file
from undrift.metrics import (
    Comparison,
    Images,
    chosen_metrics,
    measure,
    open_spaces,
    paired_differences,
)
from undrift.metrics.features.stored import cached_features
from undrift.runs.recipes import choose_device
from undrift.training.distributed import World

FEWEST = 10
"""Samples below which an evaluation says nothing."""


@dataclass(frozen=True)
class Evaluate:
    """What to evaluate, and how.

    Attributes:
        target: run, pipeline, ``.npz`` or folder of images.
        against: another one, to compare with.
        reference: real images; None is the run's own data.
        n: samples, and reference images, at most.
        metrics: names, ``quick`` or ``all``.
        features: feature space, see `undrift.metrics.features.open_extractor`.
        weights_file: file with that space's weights, where it needs one.
        download: fetch such a file.
        split: part of the reference.
        seed: of the samples and of every random choice.
        sampling: how a pipeline is sampled.
        ema: length of the weight average, of a run.
        weights: averaged or raw, of a run.
        device: where to compute.
        out: JSON file to write, beside the run's own.
    """

    target: str
    against: str | None = None
    reference: str | None = None
    n: int = 10_000
    metrics: tuple[str, ...] = ("all",)
    features: str = "domain"
    weights_file: str | None = None
    download: bool = False
    split: Split | None = None
    seed: int = 0
    sampling: Sampling = Sampling()
    ema: float | None = None
    weights: Literal["ema", "raw"] = "ema"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    out: str | None = None


class Watcher:
    """Told how an evaluation goes on; raises to stop it. This one says nothing."""

    def plan(self, lines: list[str]) -> None:
        """What is about to be done."""

    def drawn(self, name: str) -> OnDrawn | None:
        """Told of the samples of ``name``."""

    def metric(self, name: str, done: int, total: int) -> None:
        """Told before each metric."""


def run_evaluation(asked: Evaluate, watcher: Watcher | None = None) -> dict[str, Any]:
    """Evaluate ``asked.target``, and compare it with ``asked.against`` if that is given.

    Returns:
        what `undrift.metrics.measure` does, with ``target``, ``sampling``, ``cost`` and
        ``version``; of two targets also ``against``, the same of the second, and ``differences``:
        metric -> ``value``, ``low``, ``high`` of the first less the second. Of several processes
        only the first one's is complete.

    Raises:
        UndriftError: what cannot be opened, drawn or compared; see the parts.
    """
    watcher = Watcher() if watcher is None else watcher
    if asked.n < FEWEST:
        raise UsageError(f"--n {asked.n}: wanted at least {FEWEST} samples")
    names = chosen_metrics(asked.metrics)
    device = choose_device(asked.device)
    subject = open_subject(asked.target, ema=asked.ema, weights=asked.weights)
    reference = open_reference(subject, asked.reference, asked.split)
    subjects = [subject] if asked.against is None else [subject, open_subject(asked.against)]
    for one in subjects:
        check(one, reference)
    with World.join(device) as world:
        watcher.plan(_plan(asked, subjects, reference))
        drawn = [_samples(one, asked, world, watcher) for one in subjects]
        if not world.first:
            return {}
        held_out = reference.images.draw(asked.n, asked.seed, "reference")
        extractor, classifier = open_spaces(
            reference.known,
            asked.features,
            device=device,
            weights=asked.weights_file,
            download=asked.download,
        )
        features = cached_features(
            extractor,
            held_out.images,
            key=f"{reference.fingerprint}-{reference.split}-{asked.n}-{asked.seed}",
        )
        comparisons = [
            Comparison(
                _renamed(made.images, one, reference),
                held_out,
                reference.training,
                extractor,
                classifier,
                reference.classes,
                asked.seed,
                reference.split,
                features,
            )
            for one, made in zip(subjects, drawn, strict=True)
        ]
        results = [
            _result(one, made, comparison, names, asked, reference, watcher)
            for one, made, comparison in zip(subjects, drawn, comparisons, strict=True)
        ]
        found = results[0]
        if len(results) == 2:
            found["against"] = results[1]
            shared = [name for name in found["metrics"] if name in results[1]["metrics"]]
            found["differences"] = paired_differences(comparisons[0], comparisons[1], shared)
        _write(found, asked, subject)
        return found


def _plan(asked: Evaluate, subjects: Sequence[Subject], reference: Reference) -> list[str]:
    lines = []
    for one in subjects:
        if one.pipeline is not None:
            lines.append(f"{one.name}: up to {asked.n:,} samples to draw")
        elif one.given is not None:
            lines.append(
                f"{one.name}: {min(asked.n, len(one.given)):,} of {len(one.given):,} samples"
            )
    count = len(reference.images)
    lines.append(
        f"{reference.source}: {min(asked.n, count):,} of {count:,} {reference.split} images"
    )
    return lines


def _samples(subject: Subject, asked: Evaluate, world: World, watcher: Watcher) -> Drawn:
    if subject.pipeline is not None:
        pipeline = subject.pipeline.to(world.device)
        sampling = replace(asked.sampling, seed=asked.seed)
        return draw(subject, pipeline, asked.n, sampling, world, watcher.drawn(subject.name))
    given = subject.given
    if given is None or len(given) < FEWEST:
        count = 0 if given is None else len(given)
        raise UsageError(f"{subject.name}: {count} samples, wanted at least {FEWEST}")
    return Drawn(given.draw(asked.n, asked.seed, "samples"), 0.0, 0.0, {})


def _renamed(samples: Images, subject: Subject, reference: Reference) -> Images:
    """Labels of the samples as the reference numbers its classes.

    They are matched by name; where no name is known there and all are numbers, by number.

    Raises:
        UsageError: a class that the reference lacks.
    """
    if samples.labels is None or reference.images.labels is None:
        return Images(samples.images)
    there, names = reference.classes, subject.classes
    if not set(names) & set(there) and all(name.isdecimal() for name in names):
        numbers = {name: int(name) for name in names if int(name) < len(there)}
    else:
        numbers = {name: there.index(name) for name in names if name in there}
    used = [names[label] for label in np.unique(samples.labels)]
    strangers = [name for name in used if name not in numbers]
    if strangers:
        raise UsageError(
            f"{subject.name}: its class {strangers[0]!r} is not in {reference.source}, which has "
            f"{', '.join(there[:12])}; compare data of the same classes"
        )
    table = np.array([numbers.get(name, -1) for name in names], dtype=np.int64)
    return Images(samples.images, table[samples.labels])


def _result(
    subject: Subject,
    drawn: Drawn,
    comparison: Comparison,
    names: tuple[str, ...],
    asked: Evaluate,
    reference: Reference,
    watcher: Watcher,
) -> dict[str, Any]:
    from undrift import __version__

    began = time.perf_counter()
    found = measure(comparison, names, watcher.metric)
    available = len(subject.given) if subject.given is not None else None
    return {
        "version": __version__,
        "target": subject.name,
        **found,
        "samples": {"count": len(comparison.samples), "available": available},
        "reference": {
            "source": reference.source,
            "split": reference.split,
            "count": len(comparison.reference),
            "available": len(reference.images),
            "fingerprint": reference.fingerprint,
        },
        "sampling": drawn.settings,
        "cost": {
            "nfe": drawn.nfe,
            "sampling_seconds": round(drawn.seconds, 3),
            "metrics_seconds": round(time.perf_counter() - began, 3),
            "threads": torch.get_num_threads(),
        },
    }


def _write(found: dict[str, Any], asked: Evaluate, subject: Subject) -> None:
    """Write the result into the run, if there is one, and to ``asked.out``."""
    text = json.dumps(found, indent=1, allow_nan=False) + "\n"
    if asked.out is not None:
        try:
            write_file(Path(asked.out), text.encode())
        except OSError as error:
            raise UsageError(
                f"--out {asked.out}: {error.strerror or error}; name another file"
            ) from error
    if subject.run is not None:
        subject.run.write_text(f"evaluation/{file_name(asked, found)}", text)


def file_name(asked: Evaluate, found: dict[str, Any]) -> str:
    """Name of a run's result: what tells it from the others, so that none is overwritten by it."""
    space = found["features"]["name"].replace("@", "-").replace("/", "-")
    settings = found["sampling"]
    steps = f"{settings.get('sampler', '')}-{settings.get('steps', '')}"
    pair = "-against" if asked.against else ""
    return f"{space}-{found['reference']['split']}-{steps}-{asked.n}-{asked.seed}{pair}.json"
