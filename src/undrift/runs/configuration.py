"""``config.yaml``: everything that fixes a run, fully resolved and plain.

A run is repeated by ``undrift train --config runs/NAME/config.yaml --out OTHER``. Numbers that were
measured once, such as the steps that fit a budget, are stored here and never measured again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from undrift.errors import UsageError
from undrift.families import ModelConfig, model_from_plain
from undrift.files.yaml_reading import read_yaml
from undrift.schema import from_plain, to_plain
from undrift.training.plan import TrainingPlan


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how they are made equal.

    Attributes:
        source: what the user named.
        fingerprint: of the decoded images, labels and splits.
        size: side of square images in pixels, or width x height as ``64x48``.
        fit: how images of other shapes are made to fit.
        channels: 1, 3 or 4.
        background: colour to composite transparent images on.
        holdout: share held out by content hash.
        bad_limit: share of unreadable files above which training refuses.
        label_column: column of the metadata that holds the labels; None is ``label``.
        caption_column: columns of the metadata that hold captions; None is ``text``.
        numbers: columns of the metadata, or arrays, of numbers that the model is conditioned on.
        maps: words of the maps that the model is conditioned on; see `undrift.options.maps`.
        path: absolute path of ``source`` when the run began; None of a built-in or ``hf:`` name, of
            a path that is not UTF-8, and in runs of earlier versions.
    """

    source: str
    fingerprint: str
    size: int | str | None
    fit: Literal["crop", "pad"]
    channels: int | None
    background: str | None
    holdout: float
    bad_limit: float
    label_column: str | None = None
    path: str | None = None
    caption_column: str | None = None
    numbers: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()


FINGERPRINT = "data.fingerprint"
"""What `first_difference` calls other images."""


@dataclass(frozen=True)
class RunConfig:
    """One training run.

    Attributes:
        data: the images.
        model: the learner.
        training: the loop.
        budget: wall-clock time; ``training.steps`` are those that fit into it.
        seconds_per_step: measured by the probe, or None where nothing was timed.
        init: absolute path of the run or pipeline whose weights it starts from.
        replan: whether the steps are still fitted to the budget in training; False once they are
            final, and in a run that repeats another.
    """

    data: DataConfig
    model: ModelConfig
    training: TrainingPlan
    budget: str | None = None
    seconds_per_step: float | None = None
    init: str | None = None
    replan: bool = False


def dump(config: RunConfig) -> str:
    """The YAML text of ``config``."""
    return yaml.safe_dump(to_plain(config), sort_keys=False, width=10_000, allow_unicode=True)


def load(path: str | os.PathLike[str]) -> RunConfig:
    """Read a configuration.

    Raises:
        UsageError: if the file is missing, is not YAML, or holds something unknown.
    """
    path = Path(path)
    data = read_yaml(path, UsageError, "name a config.yaml of a run, or repair it")
    config = from_plain(RunConfig, data, str(path))
    return replace(config, model=model_from_plain(config.model, f"{path}: model"))


def absolute(path: str) -> str | None:
    """``path`` from the root, ``~`` expanded; None where that is not UTF-8 and cannot be stored."""
    whole = os.path.abspath(os.path.expanduser(path))
    try:
        whole.encode()
    except UnicodeEncodeError:
        return None
    return whole


def first_difference(stored: RunConfig, requested: RunConfig) -> str | None:
    """The first setting in which two configurations differ, as ``name: stored, requested``.

    Of the data its fingerprint comes last: it differs where any other setting of it does.

    Left out is what changes no weights (cadences, the spelling of the data's path: the fingerprint
    says which images they are) and what was measured: the probe, and under a budget the steps.
    """
    plan = requested.training
    if stored.budget is not None or requested.budget is not None:
        plan = replace(plan, steps=stored.training.steps)
    if plan.micro_batch is None:
        plan = replace(plan, micro_batch=stored.training.micro_batch)
    free = {name: getattr(stored.training, name) for name in _FREE}
    masked = replace(
        requested,
        replan=stored.replan,
        data=replace(requested.data, source=stored.data.source, path=stored.data.path),
        init=stored.init if _same_place(stored.init, requested.init) else requested.init,
        seconds_per_step=stored.seconds_per_step,
        training=replace(plan, replans=(), **free),
    )
    stored = replace(stored, training=replace(stored.training, replans=()))
    ours, theirs = dict(_leaves(to_plain(stored))), dict(_leaves(to_plain(masked)))
    names = [name for name in (*ours, *theirs) if name != FINGERPRINT]
    names.sort(key=lambda name: not name.startswith("data."))
    last = sum(name.startswith("data.") for name in names)
    for name in [*names[:last], FINGERPRINT, *names[last:]]:
        if ours.get(name, _MISSING) != theirs.get(name, _MISSING):
            return f"{name} was {ours.get(name, 'absent')} and is now {theirs.get(name, 'absent')}"
    return None


def _same_place(one: str | None, other: str | None) -> bool:
    return None not in (one, other) and os.path.abspath(one or "") == os.path.abspath(other or "")


_FREE = (
    "checkpoint_every",
    "grid_every",
    "validate_every",
    "evaluate_every",
    "evaluate_samples",
    "keep",
)
_MISSING = object()


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - plain data
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from _leaves(entry, f"{prefix}.{name}" if prefix else name)
    else:
        yield prefix, value
