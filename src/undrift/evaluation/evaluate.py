"""``undrift evaluate``: from what a user names to numbers with intervals, floors and protocols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from undrift.data.findings import finding_lines
from undrift.errors import UsageError
from undrift.evaluation.asked import Evaluate
from undrift.evaluation.bench import Bench
from undrift.evaluation.closest import closest_picture, number_closest
from undrift.evaluation.drawing import Drawn, draw
from undrift.evaluation.reference import Reference, check, open_reference
from undrift.evaluation.result import result_of, write_result
from undrift.evaluation.stored_reference import (
    StoredReference,
    is_stored,
    open_stored,
    store_reference,
)
from undrift.evaluation.subject import Subject, open_subject
from undrift.evaluation.watcher import Watcher
from undrift.metrics import chosen_metrics, lacking_metrics, needs_classifier, paired_differences
from undrift.runs.recipes import choose_device
from undrift.training.distributed import World
from undrift.wording import images_of, plural

FEWEST = 10
"""Samples below which an evaluation says nothing."""

FEWEST_PAIRS = 20
"""Pairs below which a difference has no interval."""


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
    if asked.most_real < FEWEST:
        raise UsageError(f"--reference-n {asked.most_real}: wanted at least {FEWEST} images")
    names = chosen_metrics(asked.metrics)
    device = choose_device(asked.device)
    subject = open_subject(asked.target, ema=asked.ema, weights=asked.weights)
    keeper = subject.keeper(asked.out)
    stored = None
    if asked.label_column is not None and (
        not isinstance(asked.reference, str) or is_stored(asked.reference)
    ):
        raise UsageError(
            f"--label-column {asked.label_column}: it goes with --reference DATA; a run's own data "
            "and stored references keep their labels"
        )
    if is_stored(asked.reference):
        stored = open_stored(asked.reference, asked.split)
        reference = stored.reference
    else:
        reference = open_reference(subject, asked.reference, asked.split, asked.label_column)
    subjects = [subject] if asked.against is None else [subject, open_subject(asked.against)]
    if asked.sampling.asked and all(one.pipeline is None for one in subjects):
        raise UsageError(
            f"--{asked.sampling.asked[0]}: {subject.name} holds samples that are there already; "
            "it goes with a run or a pipeline"
        )
    fewest = FEWEST if asked.against is None else FEWEST_PAIRS
    for one in subjects:
        check(one, reference)
        if _count(one, asked) < fewest:
            raise UsageError(
                f"{one.name}: {plural(_count(one, asked), 'sample')}, wanted at least {fewest}"
            )
    counts = [_count(one, asked) for one in subjects]
    if len(set(counts)) > 1:
        raise UsageError(
            f"{plural(counts[0], 'sample')} --against {counts[1]}: differences need equal numbers; "
            f"give --n {min(counts)}"
        )
    with World.join(device) as world:
        lines = _plan(asked, subjects, reference) + subject.kept_lines(keeper, asked.out)
        watcher.plan(lines)
        bench = None
        if world.first:
            # before samples are drawn: a wrong weight file must not be found out hours later
            bench = _open_bench(asked, subjects, reference, stored, names, device, watcher)
            for one in subjects:
                _check_any(names, lacking_metrics(bench.stand_in(counts[0], one), names))
        drawn = [_samples(one, asked, world, watcher) for one in subjects]
        if bench is None:
            return {}
        comparisons = [
            bench.comparison(made.images, one) for one, made in zip(subjects, drawn, strict=True)
        ]
        results = [
            result_of(one, made, comparison, names, asked, reference, watcher)
            for one, made, comparison in zip(subjects, drawn, comparisons, strict=True)
        ]
        for result in results:
            _check_any(names, result["missing"])
        found = results[0]
        if len(results) == 2:
            found["against"] = results[1]
            shared = [name for name in found["metrics"] if name in results[1]["metrics"]]
            found["differences"] = paired_differences(comparisons[0], comparisons[1], shared)
        picture = closest_picture(comparisons[0], found)
        for made, result in zip(drawn, results, strict=True):
            number_closest(result, made.rows)
        write_result(found, picture, asked, keeper)
        return found


def _check_any(names: Sequence[str], missing: dict[str, str]) -> None:
    """Refuse an evaluation that would have nothing to say."""
    if len(missing) == len(names):
        reasons = "; ".join(f"no {name}: {reason}" for name, reason in missing.items())
        raise UsageError(f"nothing of what --metrics asks for can be measured: {reasons}")


def _open_bench(
    asked: Evaluate,
    subjects: Sequence[Subject],
    reference: Reference,
    stored: StoredReference | None,
    names: Sequence[str],
    device: torch.device | str,
    watcher: Watcher,
) -> Bench:
    images = _images_to_read(asked, subjects, reference)

    def tell(seconds: float) -> None:
        watcher.features(images, images * seconds)

    if stored is None:
        spec = asked.features or "domain"
        bench = Bench.open(
            reference,
            _real_count(asked, subjects, reference),
            asked.seed,
            features=spec,
            weights=asked.weights_file,
            download=asked.download,
            device=device,
            classify=needs_classifier(names),
            on_features=tell,
            on_fit=watcher.fitting,
        )
    else:
        spec = asked.features or stored.header["spec"]
        bench = stored.bench(
            _real_count(asked, subjects, reference),
            asked.seed,
            features=asked.features,
            weights=asked.weights_file,
            download=asked.download,
            device=device,
            on_features=tell,
        )
    if asked.save_reference is not None:
        store_reference(Path(asked.save_reference), bench, spec)
    return bench


def _plan(asked: Evaluate, subjects: Sequence[Subject], reference: Reference) -> list[str]:
    lines = []
    for one in subjects:
        if one.pipeline is not None:
            lines.append(f"{one.name}: up to {plural(asked.n, 'sample')} to draw")
        elif one.given is not None:
            lines.append(
                f"{one.name}: {min(asked.n, len(one.given)):,} of "
                f"{plural(len(one.given), 'sample')}"
            )
        if one.report is not None:
            lines += finding_lines(one.report)
    count = len(reference.images)
    lines.append(
        f"{reference.source}: {_real_count(asked, subjects, reference):,} of "
        f"{images_of(reference.split, count)}"
    )
    return lines + ([] if reference.report is None else finding_lines(reference.report))


def _images_to_read(asked: Evaluate, subjects: Sequence[Subject], reference: Reference) -> int:
    """Images whose features are computed at the most: reference, samples, and their floors."""
    samples = sum(_count(one, asked) for one in subjects)
    return _real_count(asked, subjects, reference) + 2 * samples


def _real_count(asked: Evaluate, subjects: Sequence[Subject], reference: Reference) -> int:
    """Reference images.

    Where none are held out, as many of them as there are samples are left to stand in for these,
    if that leaves a reference of this size and nobody asked for another one.
    """
    count, samples = len(reference.images), max(_count(one, asked) for one in subjects)
    left = count - samples
    spare = asked.reference_n is None and not reference.held_out and left >= samples
    return min(asked.most_real, left if spare else count)


def _count(subject: Subject, asked: Evaluate) -> int:
    """Samples of ``subject`` that are measured."""
    return asked.n if subject.given is None else min(asked.n, len(subject.given))


def _samples(subject: Subject, asked: Evaluate, world: World, watcher: Watcher) -> Drawn:
    if subject.pipeline is not None:
        pipeline = subject.pipeline.to(world.device)
        sampling = replace(asked.sampling, seed=asked.seed)
        return draw(subject, pipeline, asked.n, sampling, world, watcher.drawn(subject.name))
    rows = subject.samples.rows(asked.n, asked.seed, "samples")
    return Drawn(subject.samples.take(rows), 0.0, 0.0, {}, rows)
