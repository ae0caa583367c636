"""``undrift likelihood``: bits per dimension of images, with standard errors, cost and protocol."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.advice import named
from undrift.ambient import own_settings
from undrift.arguments import keywords_of
from undrift.data.findings import finding_lines, findings
from undrift.errors import UsageError
from undrift.evaluation.likelihood.images import ScoredImages, open_images
from undrift.evaluation.saving import json_bytes, saved_elsewhere
from undrift.evaluation.target import Target, open_target
from undrift.files.durable import write_file, write_output
from undrift.likelihood import BoundMethod, Classes, FlowMethod, LikelihoodRequest, Scored
from undrift.metrics.bounded import ANY, POSITIVE, Range, bounded_interval
from undrift.metrics.estimate import student_quantile
from undrift.options import LikelihoodOptions
from undrift.pipelines import Pipeline
from undrift.results.likelihood import LikelihoodResult, MethodGap, MethodResult, ScoredData
from undrift.runs.device import choose_device
from undrift.runs.directory import RunDirectory
from undrift.version import __version__
from undrift.wording import images_of, plural

FEWEST = 2
"""The fewest images that have a standard error."""

_TIMED = 4  # images that a forecast is made from
_SHORT = 100  # network evaluations below which a forecast costs more than it is worth

OnScored = Callable[[int, int], None]


class LikelihoodProgress:
    """Callbacks of a likelihood; an exception stops it. These do nothing."""

    def plan(self, lines: list[str]) -> None:
        """Called once before the work, with a description of it."""

    def scored(self, method: str, seconds: float) -> OnScored | None:
        """The callback for the images of one method, which take about ``seconds``."""


@dataclass(frozen=True)
class LikelihoodCall(LikelihoodOptions):
    """Arguments of `bits_per_dim`: the model and the images, beside the options.

    Attributes:
        target: a run or a pipeline.
        data: images to score; None is the held-out images of the run's own data.
    """

    target: str | os.PathLike[str]
    data: str | os.PathLike[str] | None = None


@own_settings()
@keywords_of(LikelihoodCall)
def bits_per_dim(call: LikelihoodCall) -> LikelihoodResult:
    """Bits per dimension of images under a model.

    The arguments are the fields of `LikelihoodCall` and `undrift.options.LikelihoodOptions`.

    Returns:
        ``result.methods["elbo"].bits_per_dim``, and beside it ``standard_error``, ``low``, ``high``
        (95 %), ``terms``, ``nfe``, ``seconds`` and ``protocol``; of two methods also
        ``result.gap``.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    return measure_likelihood(call.target, call.data, call)


def measure_likelihood(
    target: str | os.PathLike[str],
    data: str | os.PathLike[str] | None,
    options: LikelihoodOptions,
    progress: LikelihoodProgress | None = None,
) -> LikelihoodResult:
    """As `bits_per_dim`, with progress."""
    progress = LikelihoodProgress() if progress is None else progress
    model = open_target(target, ema=options.ema, weights=options.weights)
    if model.pipeline is None:
        raise UsageError(
            f"{model.name}: these are samples; a likelihood needs a model, give a run or pipeline"
        )
    if type(model.pipeline).likelihood is Pipeline.likelihood:
        raise model.pipeline.no_likelihood()  # before its data is opened
    run = model.writable_run(options.out)
    device = choose_device(options.device)
    source = None if data is None else os.fspath(data)
    most = options.n or None
    images = open_images(model, source, options.split, most, options.levels, options.seed)
    count = len(images.images)
    if count < FEWEST:
        raise UsageError(f"{named('n')} {count}: wanted at least {FEWEST} images")
    classes = _classes(options, model, images)
    pipeline = model.pipeline.to(device)
    lines = _plan(model, images, classes) + model.unwritable_lines(run, options.out)
    progress.plan(lines)
    scores: dict[str, Scored] = {}
    for name, method in _methods(options).items():
        if options.method in (name, "both"):
            request = LikelihoodRequest(
                method, images.value_levels, classes, options.log_snr_max, seed=options.seed
            )
            scores[name] = _scored(pipeline, images, request, options, name, progress)
    result = _result(options, model, images, classes, scores)
    _write(result, options, run, images, scores)
    return result


_GIVEN = {"text": "caption", "numbers": "numbers"}
"""Of the entries of a condition, in words."""


def _methods(options: LikelihoodOptions) -> dict[str, BoundMethod | FlowMethod]:
    return {
        "elbo": BoundMethod(options.points, options.chain),
        "ode": FlowMethod(
            points=options.points,
            solver=options.solver,
            trace=options.trace,
            probes=options.probes,
            dequantization=options.dequantization,
            samples=options.samples,
        ),
    }


def _classes(options: LikelihoodOptions, model: Target, images: ScoredImages) -> Classes:
    if options.classes is not None:
        if options.classes == "given" and images.labels is None:
            raise UsageError(
                f"{named('classes')} given: {images.source} has no labels of this model's classes; "
                "give marginal or none"
            )
        return options.classes
    if not model.classes:
        return "none"
    return "marginal" if images.labels is None else "given"


def _plan(model: Target, images: ScoredImages, classes: Classes) -> list[str]:
    known = {
        "given": "given their label",
        "marginal": f"summed over {plural(len(model.classes), 'class')}",
        "none": "without a label",
    }[classes]
    if images.given:
        known += f", given their {' and '.join(_GIVEN[name] for name in images.given)}"
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
    options: LikelihoodOptions,
    name: str,
    progress: LikelihoodProgress,
) -> Scored:
    labels = images.labels if request.classes == "given" else None

    def score(rows: slice, request: LikelihoodRequest, on_scored: OnScored | None) -> Scored:
        return pipeline.likelihood(
            images.images[rows],
            request,
            None if labels is None else labels[rows],
            numbers=images.numbers[rows].tolist(),
            given=images.given[rows] if images.given else None,
            batch_size=options.batch_size,
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
    return score(slice(0, count), request, progress.scored(name, expected))


def _shortened(method: BoundMethod | FlowMethod) -> BoundMethod | FlowMethod:
    """The same work for each evaluation, and few of them."""
    if isinstance(method, FlowMethod):
        return replace(method, points=2, solver="rk4", samples=1)
    return BoundMethod(points=2)


def _result(
    options: LikelihoodOptions,
    model: Target,
    images: ScoredImages,
    classes: Classes,
    scores: dict[str, Scored],
) -> LikelihoodResult:
    gap = None
    if len(scores) == 2:
        of = (
            "ode less elbo; they are likelihoods of two models that share a network: of the "
            "deterministic flow, and of the stochastic chain"
        )
        gap = MethodGap(*_mean(scores["ode"].bits - scores["elbo"].bits), of)
    return LikelihoodResult(
        version=__version__,
        target=model.name,
        weights=options.weights if options.ema is None else f"ema {options.ema}",
        data=ScoredData(
            source=images.source,
            split=images.split,
            count=len(images.images),
            available=images.available,
            value_levels=images.value_levels,
            value_levels_rule=images.rule,
            fingerprint=images.fingerprint,
            findings=findings(images.report),
        ),
        classes=classes,
        seed=options.seed,
        methods={name: _method(scored) for name, scored in scores.items()},
        threads=torch.get_num_threads(),
        gap=gap,
        given=tuple(images.given) or None,
    )


def _method(scored: Scored) -> MethodResult:
    nats = scored.nats
    # no discrete image has fewer than 0 bits, though estimates of them may come out so
    least = POSITIVE if scored.bits.mean() >= 0 else ANY
    return MethodResult(
        *_mean(scored.bits, least),
        nats=float(nats.mean()),
        terms={
            name: float(values.mean()) / (scored.dimensions * math.log(2))
            for name, values in scored.terms.items()
        },
        n=len(nats),
        dimensions=scored.dimensions,
        nfe=scored.evaluations,
        backward_passes=scored.backwards,
        seconds=round(scored.seconds, 3),
        protocol=scored.protocol,
    )


def _mean(values: NDArray[np.float64], within: Range = ANY) -> tuple[float, float, float, float]:
    """Mean, its standard error, and both ends of its 95 % interval."""
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    low, high = bounded_interval(mean, student_quantile(len(values)) * error, within)
    return mean, error, low, high


def _write(
    result: LikelihoodResult,
    options: LikelihoodOptions,
    run: RunDirectory | None,
    images: ScoredImages,
    scores: dict[str, Scored],
) -> None:
    text, table = json_bytes(result), _table(images, scores).encode()

    def save(folder: Path) -> None:
        write_file(folder / "likelihood.json", text)
        write_file(folder / "per-image.csv", table)

    with saved_elsewhere(result, save):
        if options.out is not None:
            write_output(Path(options.out), text)
        if options.per_image is not None:
            write_output(Path(options.per_image), table, flag=named("per_image"))
        if run is not None:
            run.write_bytes(f"evaluation/{file_name(options, images)}", text)


def file_name(options: LikelihoodOptions, images: ScoredImages) -> str:
    """Name of a result in a run: different for every protocol, so that none is overwritten."""
    methods = _methods(options)
    settings = {"bound": methods["elbo"], "flow": methods["ode"], "n": options.n or None}
    settings |= {"value_levels": options.levels, "log_snr_max": options.log_snr_max}
    for name in ("method", "split", "classes", "seed", "ema", "weights"):
        settings[name] = getattr(options, name)
    plain = {name: str(value) for name, value in settings.items()}
    text = json.dumps([plain, images.fingerprint], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    part = f"{images.split}-{len(images.images)}"
    return f"likelihood-{options.method}-{part}-{options.seed}-{digest}.json"


def _table(images: ScoredImages, scores: dict[str, Scored]) -> str:
    """CSV with one row per image; ``rank`` 1 is the least likely by the first method."""
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
