"""``undrift evaluate``: metrics of a model or of samples, with intervals, floors and protocols."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.advice import named
from undrift.ambient import own_settings
from undrift.arguments import keywords_of
from undrift.data.findings import finding_lines, findings
from undrift.errors import UsageError
from undrift.evaluation.conditions import Conditions, condition_lines, conditions_of, obedience
from undrift.evaluation.drawing import Drawn, OnDrawn, Sampling, draw
from undrift.evaluation.opening import check, open_reference
from undrift.evaluation.reference import Reference, ReferenceImages
from undrift.evaluation.saving import save_evaluation
from undrift.evaluation.stored_reference import is_stored, store_reference
from undrift.evaluation.target import Evaluable, ImageSource, Target, open_target
from undrift.metrics import (
    Comparison,
    chosen_metrics,
    lacking_metrics,
    measure,
    needs_classifier,
    paired_differences,
    with_sensitivity,
)
from undrift.metrics.results import FeatureSpace
from undrift.options import EvaluateOptions
from undrift.pipelines.grid import image_grid
from undrift.pipelines.png import encode_png
from undrift.results.evaluation import (
    EvaluatedReference,
    EvaluatedSamples,
    EvaluationCost,
    EvaluationResult,
)
from undrift.runs.device import choose_device
from undrift.training.distributed import World
from undrift.version import __version__
from undrift.wording import images_of, plural

FEWEST = 10
"""The fewest samples that are evaluated."""

MOST_SWAPPED = 250
"""Samples of a model of captions that are drawn once more with a word of the caption swapped."""

FEWEST_PAIRS = 20
"""The fewest pairs of samples from which a difference gets an interval."""


class EvaluationProgress:
    """Callbacks of an evaluation; an exception stops it. These do nothing."""

    def plan(self, lines: list[str]) -> None:
        """Called once before the work, with a description of it."""

    def fitting(self, done: int, total: int, seconds: float) -> None:
        """Called while a feature network is fitted: images seen, in all, and seconds left."""

    def features(self, count: int, seconds: float) -> None:
        """Called before features of up to ``count`` images are computed, in about ``seconds``."""

    def drawn(self, name: str) -> OnDrawn | None:
        """The callback for the sampling of ``name``."""

    def metric(self, name: str, done: int, total: int) -> None:
        """Called before each metric."""


@dataclass(frozen=True)
class EvaluateCall(EvaluateOptions):
    """Arguments of `evaluate`: what to evaluate, beside the options.

    Attributes:
        target: a run, a pipeline or a set of samples, by its path or in memory.
        reference: real images to compare with, or a file that ``save_reference`` wrote; None is the
            held-out images of the run's own data.
        against: a second target: also measure the differences.
    """

    target: Evaluable
    _: KW_ONLY
    reference: ImageSource | None = None
    against: Evaluable | None = None


@own_settings()
@keywords_of(EvaluateCall)
def evaluate(call: EvaluateCall) -> EvaluationResult:
    """Measure a run, a pipeline or a set of samples against real images.

    The arguments are the fields of `EvaluateCall` and `undrift.options.EvaluateOptions`. Images are
    uint8 (N, H, W, C) or, grayscale, (N, H, W); a `Pipeline` in memory is moved to ``device``.

    Returns:
        ``result.metrics["fd"].value``, and beside each value ``low``, ``high`` (95 %), ``floor``
        (what real images score), ``n``, ``n_reference`` and ``protocol``. Of several processes
        only the first measures; in the others there are no metrics.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    return evaluate_target(call.target, call, reference=call.reference, against=call.against)


def evaluate_target(
    target: Evaluable,
    options: EvaluateOptions,
    *,
    reference: ImageSource | None = None,
    against: Evaluable | None = None,
    progress: EvaluationProgress | None = None,
) -> EvaluationResult:
    """As `evaluate`, with progress."""
    progress = EvaluationProgress() if progress is None else progress
    for name, count, what in (
        ("n", options.n, "samples"),
        ("reference_n", options.most_real, "images"),
    ):
        if count < FEWEST:
            raise UsageError(f"{named(name)} {count}: wanted at least {FEWEST} {what}")
    names = chosen_metrics(options.metrics)
    device = choose_device(options.device)
    first = open_target(target, ema=options.ema, weights=options.weights)
    run = first.writable_run(options.out)
    if options.label_column is not None and (
        not isinstance(reference, str | os.PathLike) or is_stored(reference)
    ):
        raise UsageError(
            f"{named('label_column')} {options.label_column}: it goes with {named('reference')} "
            "DATA; a run's own data and stored references keep their labels"
        )
    images = open_reference(first, reference, options.split, options.label_column)
    targets = [first]
    if against is not None:
        targets.append(open_target(against, parameter="against"))
    sampling = Sampling.of(options)
    if sampling.given and all(one.pipeline is None for one in targets):
        raise UsageError(
            f"{named(sampling.given[0])}: {first.name} holds samples that are there already; it "
            "goes with a run or a pipeline"
        )
    counts = _counts(targets, images, options)
    given = [_conditions(one, images, options) for one in targets]
    swaps = [_swapped(one, images, options) for one in given]
    obeyed = obedience(given[0]) + ([] if swaps[0] is None else ["prompt_swap"])
    names = tuple(dict.fromkeys((*names, *obeyed)))
    with World.join(device) as world:
        progress.plan(
            _plan(targets, given, images, options) + first.unwritable_lines(run, options.out)
        )
        opened = None
        if world.first:
            # before sampling: a wrong weight file must not be found out hours later
            opened = _in_space(targets, images, names, options, device, progress)
            for one in targets:
                others = [name for name in names if name not in obeyed]
                before = opened.before_sampling(counts[0], one)
                _check_any(names, lacking_metrics(before, others))
        drawn = [
            _samples(one, conditions, options, sampling, world, progress)
            for one, conditions in zip(targets, given, strict=True)
        ]
        redrawn = [
            None
            if conditions is None
            else _samples(
                *(one, conditions, replace(options, n=min(options.n, MOST_SWAPPED)), sampling),
                *(world, progress),
            ).images
            for one, conditions in zip(targets, swaps, strict=True)
        ]
        if opened is None:
            return _result(first, drawn[0], images, options)
        whole = opened.comparison(drawn[0].images, first)
        compared = [
            replace(whole, samples=opened.renamed(samples.images, one), swapped=again)
            for one, samples, again in zip(targets, drawn, redrawn, strict=True)
        ]
        results = [
            _measured(one, samples, images, options, comparison, names, progress)
            for one, samples, comparison in zip(targets, drawn, compared, strict=True)
        ]
        closest = _closest_picture(compared[0], results[0])
        results = [
            _numbered(result, samples.rows) for result, samples in zip(results, drawn, strict=True)
        ]
        found = results[0]
        if len(results) == 2:
            shared = [name for name in found.metrics if name in results[1].metrics]
            differences = paired_differences(compared[0], compared[1], shared)
            found = replace(found, against=results[1], differences=differences)
        other = None
        if against is not None:
            other = (
                os.fspath(against)
                if isinstance(against, str | os.PathLike)
                else (targets[1].fingerprint)
            )
        save_evaluation(found, closest, options, other, run)
        return found


def _conditions(
    target: Target, images: ReferenceImages, options: EvaluateOptions
) -> Conditions | None:
    """What a model of captions or numbers is drawn with; None of samples that are there."""
    if target.pipeline is None:
        return None
    return conditions_of(target.pipeline, images, options.seed)


def _swapped(
    conditions: Conditions | None, images: ReferenceImages, options: EvaluateOptions
) -> Conditions | None:
    """``conditions`` with a word of each caption swapped; None without captions."""
    if conditions is None:
        return None
    known = () if images.training is None else images.training.captions or ()
    return conditions.swapped(known, options.seed)


def _counts(
    targets: Sequence[Target], images: ReferenceImages, options: EvaluateOptions
) -> list[int]:
    """Samples of each target that are measured.

    Raises:
        UsageError: too few, different numbers of two targets, or samples that can't be compared.
    """
    fewest = FEWEST if len(targets) == 1 else FEWEST_PAIRS
    counts = [_count(one, options) for one in targets]
    for one, count in zip(targets, counts, strict=True):
        check(one, images)
        if count < fewest:
            raise UsageError(f"{one.name}: {plural(count, 'sample')}, wanted at least {fewest}")
    if len(set(counts)) > 1:
        raise UsageError(
            f"{plural(counts[0], 'sample')} {named('against')} {counts[1]}: differences need equal "
            f"numbers; give {named('n')} {min(counts)}"
        )
    return counts


def _check_any(names: Sequence[str], missing: Mapping[str, str]) -> None:
    """Refuse an evaluation without any metric."""
    if len(missing) == len(names):
        reasons = "; ".join(f"no {name}: {reason}" for name, reason in missing.items())
        raise UsageError(f"none of {named('metrics')} can be measured: {reasons}")


def _in_space(
    targets: Sequence[Target],
    images: ReferenceImages,
    names: Sequence[str],
    options: EvaluateOptions,
    device: torch.device | str,
    progress: EvaluationProgress,
) -> Reference:
    """The reference images in the feature space; stored in a file if that is requested."""
    count = _real_count(targets, images, options)
    # the features of the reference, of the samples, and of real images in their place
    most = count + 2 * sum(_count(one, options) for one in targets)
    opened = images.in_space(
        count,
        options.seed,
        options,
        device,
        classify=needs_classifier(names),
        on_features=lambda seconds: progress.features(most, most * seconds),
        on_fit=progress.fitting,
    )
    if options.save_reference is not None:
        space = options.features or images.space
        store_reference(Path(options.save_reference), opened, space)
    return opened


def _plan(
    targets: Sequence[Target],
    given: Sequence[Conditions | None],
    images: ReferenceImages,
    options: EvaluateOptions,
) -> list[str]:
    lines = []
    for one, conditions in zip(targets, given, strict=True):
        if one.pipeline is not None:
            lines.append(f"{one.name}: up to {plural(options.n, 'sample')} to draw")
            lines += condition_lines(one.pipeline.spec, conditions)
        elif one.given is not None:
            lines.append(
                f"{one.name}: {min(options.n, len(one.given)):,} of "
                f"{plural(len(one.given), 'sample')}"
            )
        if one.report is not None:
            lines += finding_lines(one.report)
    lines.append(
        f"{images.source}: {_real_count(targets, images, options):,} of "
        f"{images_of(images.split, len(images.images))}"
    )
    return lines + ([] if images.report is None else finding_lines(images.report))


def _real_count(
    targets: Sequence[Target], images: ReferenceImages, options: EvaluateOptions
) -> int:
    """Number of reference images.

    Where none are held out and the user gave no number, as many as there are samples are left over
    for the value of real images, if the reference then still has as many.
    """
    count, samples = len(images.images), max(_count(one, options) for one in targets)
    left = count - samples
    spare = options.reference_n is None and not images.held_out and left >= samples
    return min(options.most_real, left if spare else count)


def _count(target: Target, options: EvaluateOptions) -> int:
    return options.n if target.given is None else min(options.n, len(target.given))


def _samples(
    target: Target,
    conditions: Conditions | None,
    options: EvaluateOptions,
    sampling: Sampling,
    world: World,
    progress: EvaluationProgress,
) -> Drawn:
    if target.pipeline is not None:
        pipeline = target.pipeline.to(world.device)
        on_drawn = progress.drawn(target.name)
        return draw(target, pipeline, options.n, sampling, world, on_drawn, conditions)
    rows = target.samples.rows(options.n, options.seed, "samples")
    return Drawn(target.samples.take(rows), 0.0, 0.0, {}, rows)


def _measured(
    target: Target,
    drawn: Drawn,
    images: ReferenceImages,
    options: EvaluateOptions,
    comparison: Comparison,
    names: tuple[str, ...],
    progress: EvaluationProgress,
) -> EvaluationResult:
    """The metrics of one target.

    Raises:
        UsageError: none of them can be measured.
    """
    began = time.perf_counter()
    found = with_sensitivity(measure(comparison, names, progress.metric), comparison)
    _check_any(names, found.missing)
    result = _result(target, drawn, images, options)
    seconds = round(time.perf_counter() - began, 3)
    return replace(
        result,
        **{
            field.name: getattr(found, field.name)
            for field in fields(found)
            if field.name not in ("samples", "reference")
        },
        reference=replace(result.reference, count=len(comparison.reference)),
        cost=replace(result.cost, metrics_seconds=seconds),
    )


def _result(
    target: Target, drawn: Drawn, images: ReferenceImages, options: EvaluateOptions
) -> EvaluationResult:
    """What is known before the metrics are measured."""
    return EvaluationResult(
        metrics={},
        missing={},
        features=FeatureSpace("", ""),
        classifier=None,
        seed=options.seed,
        protocol="",
        version=__version__,
        target=target.name,
        samples=EvaluatedSamples(
            count=len(drawn.images),
            available=None if target.given is None else len(target.given),
            findings=findings(target.report),
        ),
        reference=EvaluatedReference(
            source=images.source,
            split=images.split,
            count=0,
            available=len(images.images),
            fingerprint=images.fingerprint,
            findings=findings(images.report),
        ),
        sampling=drawn.settings,
        cost=EvaluationCost(
            nfe=drawn.nfe,
            sampling_seconds=round(drawn.seconds, 3),
            metrics_seconds=0.0,
            threads=torch.get_num_threads(),
        ),
    )


def _closest_picture(comparison: Comparison, found: EvaluationResult) -> bytes | None:
    """A PNG of two rows, samples above their nearest training images, the closest pair first.

    None where memorization was not measured.
    """
    memorization = found.memorization
    if memorization is None or not memorization.closest:
        return None
    pairs = memorization.closest
    samples = comparison.samples.images[[pair.sample for pair in pairs]]
    training = comparison.seen.images[[pair.training for pair in pairs]]
    return encode_png(image_grid(np.concatenate([samples, training]), columns=len(pairs)), {})


def _numbered(found: EvaluationResult, rows: NDArray[np.int64] | None) -> EvaluationResult:
    """``found`` with the samples of the closest pairs numbered as in the set they came from.

    Args:
        found: a result.
        rows: (n,) number of each sample there; None leaves the pairs as they are.
    """
    memorization = found.memorization
    if memorization is None or rows is None:
        return found
    closest = tuple(replace(pair, sample=int(rows[pair.sample])) for pair in memorization.closest)
    metrics = {**found.metrics, "memorization": replace(memorization, closest=closest)}
    return replace(found, metrics=metrics)
