"""``undrift evaluate``: from what a user names to numbers with intervals, floors and protocols."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from undrift.errors import UsageError
from undrift.experiments.evaluation.bench import Bench
from undrift.experiments.evaluation.closest import closest_picture
from undrift.experiments.evaluation.drawing import Drawn, OnDrawn, Sampling, draw
from undrift.experiments.evaluation.reference import Reference, Split, check, open_reference
from undrift.experiments.evaluation.stored_reference import (
    is_stored,
    open_stored,
    store_reference,
)
from undrift.experiments.evaluation.subject import Subject, open_subject
from undrift.files.durable import write_file
from undrift.metrics import Comparison, chosen_metrics, measure, paired_differences
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
        reference: real images, or a file of ``save_reference``; None is the run's own data.
        n: samples, and reference images, at most.
        metrics: names, ``quick`` or ``all``.
        features: feature space, see `undrift.metrics.features.open_extractor`; None is ``domain``,
            or what a stored reference holds.
        weights_file: file with that space's weights, where it needs one.
        download: fetch such a file.
        split: part of the reference.
        seed: of the samples and of every random choice.
        sampling: how a pipeline is sampled.
        ema: length of the weight average, of a run.
        weights: averaged or raw, of a run.
        device: where to compute.
        out: JSON file to write, beside the run's own.
        save_reference: file to store the reference's features in, to be used without the data.
    """

    target: str
    against: str | None = None
    reference: str | None = None
    n: int = 10_000
    metrics: tuple[str, ...] = ("all",)
    features: str | None = None
    weights_file: str | None = None
    download: bool = False
    split: Split | None = None
    seed: int = 0
    sampling: Sampling = Sampling()
    ema: float | None = None
    weights: Literal["ema", "raw"] = "ema"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    out: str | None = None
    save_reference: str | None = None


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
    stored = None
    if asked.reference is not None and is_stored(asked.reference):
        stored = open_stored(asked.reference, asked.split)
        reference = stored.reference
    else:
        reference = open_reference(subject, asked.reference, asked.split)
    subjects = [subject] if asked.against is None else [subject, open_subject(asked.against)]
    for one in subjects:
        check(one, reference)
        if one.given is not None and len(one.given) < FEWEST:
            raise UsageError(f"{one.name}: {len(one.given)} samples, wanted at least {FEWEST}")
    with World.join(device) as world:
        watcher.plan(_plan(asked, subjects, reference))
        bench = None
        if world.first:
            # before samples are drawn: a wrong weight file must not be found out hours later
            spec = asked.features or ("domain" if stored is None else stored.header["spec"])
            weights, download = asked.weights_file, asked.download
            if stored is None:
                bench = Bench.open(
                    reference,
                    asked.n,
                    asked.seed,
                    features=spec,
                    weights=weights,
                    download=download,
                    device=device,
                )
            else:
                bench = stored.bench(
                    asked.n,
                    asked.seed,
                    features=asked.features,
                    weights=weights,
                    download=download,
                    device=device,
                )
            if asked.save_reference is not None:
                store_reference(Path(asked.save_reference), bench, spec)
        drawn = [_samples(one, asked, world, watcher) for one in subjects]
        if bench is None:
            return {}
        comparisons = [
            bench.comparison(made.images, one) for one, made in zip(subjects, drawn, strict=True)
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
        _write(found, closest_picture(comparisons[0], found), asked, subject)
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
    return Drawn(subject.samples.draw(asked.n, asked.seed, "samples"), 0.0, 0.0, {})


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


def _write(found: dict[str, Any], closest: bytes | None, asked: Evaluate, subject: Subject) -> None:
    """Write the result into the run, if there is one, and to ``asked.out``.

    The picture of the closest pairs lies beside it, under its name with ``-closest.png``.
    """
    text = (json.dumps(found, indent=1, allow_nan=False) + "\n").encode()
    if asked.out is not None:
        out = Path(asked.out)
        try:
            write_file(out, text)
            if closest is not None:
                write_file(out.with_name(f"{out.stem}-closest.png"), closest)
        except OSError as error:
            raise UsageError(
                f"--out {asked.out}: {error.strerror or error}; name another file"
            ) from error
    if subject.run is not None:
        name = file_name(asked, found)
        subject.run.write_bytes(f"evaluation/{name}", text)
        if closest is not None:
            stem = name.removesuffix(".json")
            subject.run.write_bytes(f"evaluation/{stem}-closest.png", closest)


def file_name(asked: Evaluate, found: dict[str, Any]) -> str:
    """Name of a run's result: what tells it from the others, so that none is overwritten by it."""
    space = found["features"]["name"].replace("@", "-").replace("/", "-")
    settings = found["sampling"]
    steps = f"{settings.get('sampler', '')}-{settings.get('steps', '')}"
    pair = "-against" if asked.against else ""
    return f"{space}-{found['reference']['split']}-{steps}-{asked.n}-{asked.seed}{pair}.json"
