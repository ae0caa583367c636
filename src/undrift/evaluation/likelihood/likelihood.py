"""``undrift likelihood``: bits per dimension of images, with standard errors, cost and protocol."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.data.findings import finding_lines, findings
from undrift.errors import UsageError
from undrift.evaluation.likelihood.images import ScoredImages, Split, open_images
from undrift.evaluation.saving import saved_elsewhere
from undrift.evaluation.target import Target, open_target
from undrift.files.durable import write_file, write_output
from undrift.likelihood import BoundMethod, Classes, FlowMethod, LikelihoodRequest, Scored
from undrift.metrics.bounded import ANY, POSITIVE, Range, bounded_interval
from undrift.metrics.estimate import student_quantile
from undrift.pipelines import Pipeline
from undrift.runs.directory import RunDirectory
from undrift.runs.recipes import choose_device
from undrift.version import __version__
from undrift.wording import images_of, plural

MethodName = Literal["ode", "elbo", "both"]

FEWEST = 2
"""Images below which there is no standard error."""

_TIMED = 4  # images that a forecast is made from
_SHORT = 100  # network evaluations below which a forecast costs more than it tells


@dataclass(frozen=True)
class Likelihood:
    """What to score, and how.

    Attributes:
        target: run or pipeline.
        data: images; None is the run's own data.
        method: the probability-flow ODE, a variational bound, or both.
        n: images at most; None is all of the split.
        split: part of the data.
        bound: settings of the bound.
        flow: settings of the ODE.
        classes: what is known of the class; None is ``given`` where there are labels, ``marginal``
            where only the model has classes, and ``none`` where it has none.
        value_levels: levels of a pixel; None is the data's own count.
        log_snr_max: cleanest noise level; None follows the levels.
        seed: of every random choice.
        ema: length of the weight average, of a run.
        weights: averaged or raw, of a run.
        batch_size: images scored at once.
        device: where to compute.
        per_image: CSV file to write, one row per image.
        out: JSON file to write, beside the run's own.
    """

    target: str
    data: str | None = None
    method: MethodName = "elbo"
    n: int | None = 1000
    split: Split | None = None
    bound: BoundMethod = BoundMethod()
    flow: FlowMethod = FlowMethod()
    classes: Classes | None = None
    value_levels: int | None = None
    log_snr_max: float | None = None
    seed: int = 0
    ema: float | None = None
    weights: Literal["ema", "raw"] = "ema"
    batch_size: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    per_image: str | None = None
    out: str | None = None


OnScored = Callable[[int, int], None]


class Watcher:
    """Told how the scoring goes on; raises to stop it. This one says nothing."""

    def plan(self, lines: list[str]) -> None:
        """What is about to be done."""

    def scored(self, method: str, seconds: float) -> OnScored | None:
        """Told of the images of one method, and what they are expected to take."""


def run_likelihood(asked: Likelihood, watcher: Watcher | None = None) -> dict[str, Any]:
    """Score images under ``asked.target``.

    Returns:
        ``methods``: name -> ``bits_per_dim``, ``standard_error``, ``low`` and ``high`` (95 %),
        ``nats``, ``terms``, ``nfe``, ``seconds``, ``protocol``; of two methods also ``gap``, the
        ODE's less the bound's with its interval; and what was scored.

    Raises:
        UndriftError: what cannot be opened or scored; see the parts.
    """
    watcher = Watcher() if watcher is None else watcher
    subject = open_target(asked.target, ema=asked.ema, weights=asked.weights)
    if subject.pipeline is None:
        raise UsageError(
            f"{subject.name}: these are samples; a likelihood needs a model, give a run or pipeline"
        )
    if type(subject.pipeline).likelihood is Pipeline.likelihood:
        raise subject.pipeline.no_likelihood()  # before its data are opened, or asked for
    keeper = subject.writable_run(asked.out)
    device = choose_device(asked.device)
    images = open_images(subject, asked.data, asked.split, asked.n, asked.value_levels, asked.seed)
    if len(images.images) < FEWEST:
        raise UsageError(f"--n {len(images.images)}: wanted at least {FEWEST} images")
    classes = _classes(asked, subject, images)
    pipeline = subject.pipeline.to(device)
    lines = _plan(asked, subject, images, classes) + subject.unwritable_lines(keeper, asked.out)
    watcher.plan(lines)
    methods = {"elbo": asked.bound, "ode": asked.flow}
    names = list(methods) if asked.method == "both" else [asked.method]
    scores: dict[str, Scored] = {}
    for name in names:
        request = LikelihoodRequest(
            methods[name], images.value_levels, classes, asked.log_snr_max, seed=asked.seed
        )
        scores[name] = _scored(pipeline, images, request, asked, name, watcher)
    found = _result(asked, subject, images, classes, scores)
    _write(found, asked, keeper, images, scores)
    return found


def _classes(asked: Likelihood, subject: Target, images: ScoredImages) -> Classes:
    if asked.classes is not None:
        if asked.classes == "given" and images.labels is None:
            raise UsageError(
                f"--classes given: {images.source} has no labels of this model's classes; "
                "give marginal or none"
            )
        return asked.classes
    if not subject.classes:
        return "none"
    return "marginal" if images.labels is None else "given"


def _plan(asked: Likelihood, subject: Target, images: ScoredImages, classes: Classes) -> list[str]:
    known = {
        "given": "given their label",
        "marginal": f"summed over {plural(len(subject.classes), 'class')}",
        "none": "without a label",
    }[classes]
    count = len(images.images)
    return [
        f"{images.source}: {count:,} of {images_of(images.split, images.available)}, {known}",
        *finding_lines(images.report),
        f"values: {plural(images.value_levels, 'level')}, {images.rule}",
    ]


def _scored(
    pipeline: Pipeline,
    images: ScoredImages,
    request: LikelihoodRequest,
    asked: Likelihood,
    name: str,
    watcher: Watcher,
) -> Scored:
    labels = images.labels if request.classes == "given" else None

    def score(rows: slice, request: LikelihoodRequest, on_scored: OnScored | None) -> Scored:
        return pipeline.likelihood(
            images.images[rows],
            request,
            None if labels is None else labels[rows],
            numbers=images.numbers[rows].tolist(),
            batch_size=asked.batch_size,
            on_scored=on_scored,
        )

    count = len(images.images)
    expected, few = 0.0, min(_TIMED, count)
    if request.method.evaluations * count > _SHORT * _TIMED:
        short = replace(request, method=_shortened(request.method))
        began = time.perf_counter()
        score(slice(0, few), short, None)
        share = few * short.method.evaluations / (count * request.method.evaluations)
        expected = (time.perf_counter() - began) / share
    return score(slice(0, count), request, watcher.scored(name, expected))


def _shortened(method: BoundMethod | FlowMethod) -> BoundMethod | FlowMethod:
    """The same work for each evaluation, and few of them."""
    if isinstance(method, FlowMethod):
        return replace(method, points=2, solver="rk4", samples=1)
    return BoundMethod(points=2)


def _result(
    asked: Likelihood,
    subject: Target,
    images: ScoredImages,
    classes: Classes,
    scores: dict[str, Scored],
) -> dict[str, Any]:

    found: dict[str, Any] = {
        "version": __version__,
        "target": subject.name,
        "weights": asked.weights if asked.ema is None else f"ema {asked.ema}",
        "data": {
            "source": images.source,
            "split": images.split,
            "count": len(images.images),
            "available": images.available,
            "value_levels": images.value_levels,
            "value_levels_rule": images.rule,
            "fingerprint": images.fingerprint,
            "findings": findings(images.report),
        },
        "classes": classes,
        "seed": asked.seed,
        "methods": {name: _entry(scored) for name, scored in scores.items()},
        "threads": torch.get_num_threads(),
    }
    if len(scores) == 2:
        difference = scores["ode"].bits - scores["elbo"].bits
        found["gap"] = {
            **_mean(difference),
            "of": "ode less elbo; they are likelihoods of two models that share a network: of the "
            "deterministic flow, and of the stochastic chain",
        }
    return found


def _entry(scored: Scored) -> dict[str, Any]:
    nats = scored.nats
    # no discrete image has fewer than 0 bits, though estimates of them may come out so
    least = POSITIVE if scored.bits.mean() >= 0 else ANY
    return {
        **{"bits_per_dim" if k == "value" else k: v for k, v in _mean(scored.bits, least).items()},
        "nats": float(nats.mean()),
        "terms": {
            name: float(values.mean()) / (scored.dimensions * math.log(2))
            for name, values in scored.terms.items()
        },
        "n": len(nats),
        "dimensions": scored.dimensions,
        "nfe": scored.evaluations,
        "backward_passes": scored.backwards,
        "seconds": round(scored.seconds, 3),
        "protocol": scored.protocol,
    }


def _mean(values: NDArray[np.float64], within: Range = ANY) -> dict[str, float]:
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    low, high = bounded_interval(mean, student_quantile(len(values)) * error, within)
    return {"value": mean, "standard_error": error, "low": low, "high": high}


def _write(
    found: dict[str, Any],
    asked: Likelihood,
    run: RunDirectory | None,
    images: ScoredImages,
    scores: dict[str, Scored],
) -> None:
    text = (json.dumps(found, indent=1, allow_nan=False) + "\n").encode()
    table = _table(images, scores).encode()

    def save(folder: Path) -> None:
        write_file(folder / "likelihood.json", text)
        write_file(folder / "per-image.csv", table)

    with saved_elsewhere(found, save):
        if asked.out is not None:
            write_output(Path(asked.out), text)
        if asked.per_image is not None:
            write_output(Path(asked.per_image), table, flag="--per-image")
        if run is not None:
            run.write_bytes(f"evaluation/{file_name(asked, images)}", text)


def file_name(asked: Likelihood, images: ScoredImages) -> str:
    """Name of a run's result: what tells it from others, so that none is overwritten by it."""
    settings = {
        field.name: str(getattr(asked, field.name))
        for field in fields(asked)
        if field.name not in ("target", "data", "device", "batch_size", "per_image", "out")
    }
    text = json.dumps([settings, images.fingerprint], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    part = f"{images.split}-{len(images.images)}"
    return f"likelihood-{asked.method}-{part}-{asked.seed}-{digest}.json"


def _table(images: ScoredImages, scores: dict[str, Scored]) -> str:
    """One row per image, the least likely ones of the first method first in ``rank``."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        ["number", "name", "label", "rank", *(f"{name}_bits_per_dim" for name in scores)]
    )
    columns = [scored.bits for scored in scores.values()]
    rank = np.empty(len(columns[0]), dtype=np.int64)
    rank[np.argsort(-columns[0], kind="stable")] = np.arange(1, len(rank) + 1)
    for i, number in enumerate(images.numbers):
        label = "" if images.labels is None else int(images.labels[i])
        bits = [f"{column[i]:.6f}" for column in columns]
        writer.writerow([int(number), images.names[i], label, int(rank[i]), *bits])
    return buffer.getvalue()
