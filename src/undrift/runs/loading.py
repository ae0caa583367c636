"""From what a user names to a pipeline that samples."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from torch import Tensor, nn

from undrift.advice import named, possible
from undrift.ambient import own_settings
from undrift.arguments import checked
from undrift.errors import ModelFileError, UsageError, shown
from undrift.families import family_of
from undrift.files.durable import standing
from undrift.files.reading import expanded
from undrift.pipelines import Pipeline
from undrift.pipelines.adapter import with_adapters
from undrift.runs.configuration import RunConfig, load
from undrift.runs.directory import RunDirectory, is_pipeline, open_run
from undrift.runs.recipes import build_learner
from undrift.training.checkpoint import CheckpointStore
from undrift.training.ema import track_name
from undrift.training.snapshots import SnapshotStore


def load_adapters(pipeline: Pipeline, words: Sequence[str]) -> Pipeline:
    """``pipeline`` with low-rank adapters added to its weights; itself without any.

    Args:
        pipeline: their base.
        words: a run or pipeline of each, perhaps with its weight behind it, as ``style:0.7``; 1 by
            default.

    Raises:
        UsageError: for one that is not low-rank, was made for another base, or has no number for
            a weight.
        ModelFileError: one is missing or damaged.
    """
    found = []
    for word in words:
        place, colon, number = word.rpartition(":")
        weight = 1.0
        if colon and not os.path.exists(word):
            try:
                weight = float(number)
            except ValueError:
                weight = math.nan
            if not math.isfinite(weight):
                raise UsageError(
                    f"{named('adapter')} {shown(word)}: wanted a run with a number behind it, as "
                    "runs/style:0.7"
                )
            word = place
        found.append((load_pipeline(word), weight))
    return with_adapters(pipeline, found) if found else pipeline


@own_settings()
@checked
def load_pipeline(
    target: str | os.PathLike[str],
    *,
    ema: float | None = None,
    weights: Literal["ema", "raw"] = "ema",
    at: float | None = None,
    network: nn.Module | None = None,
) -> Pipeline:
    """The pipeline of a run, finished or not, or one that ``save_pretrained`` wrote.

    Args:
        target: a run's directory or a pipeline's.
        ema: relative length of the average to sample with; made from the run's snapshots.
        weights: the run's average, or the raw weights of its newest checkpoint.
        at: share of the training so far, above 0 and up to 1, at which the average ends; made from
            the snapshot nearest to it.
        network: the user's own network, if the model was trained with one.

    Raises:
        UsageError: if ``ema``, ``at`` or raw weights are requested of a bare pipeline, or cannot be
            had.
        ModelFileError: if there is no run, or a file of it is damaged.
    """
    path = expanded(os.fspath(target), ModelFileError)
    if at is not None:
        if not 0 < at <= 1 or weights == "raw":
            raise UsageError(
                f"at {at:g}: give a share of training from 0 to 1, of averaged weights"
            )
        if is_pipeline(path):
            raise UsageError(f"at {at:g} needs a run: {path} is a pipeline, of one set of weights")
        return _earlier(open_run(path), ema, at, network)
    if is_pipeline(path):
        if ema is not None or weights == "raw":
            raise UsageError(
                f"{named('ema')} and {named('weights')} raw need a run: {path} is a pipeline, of "
                "one set of weights"
            )
        return Pipeline.from_pretrained(path, network=network)
    run = open_run(path)
    if ema is None and weights == "ema" and run.status().state == "done":
        if not standing(run.pipeline).is_dir():
            hint = possible(
                "restore it, or name other weights with {ema} or {weights} raw", "restore it"
            )
            raise ModelFileError(f"{run.pipeline}: missing, though the run is finished; {hint}")
        return Pipeline.from_pretrained(run.pipeline, network=network)
    config = configuration_of(run)
    learner = build_learner(config, network=network)
    return learner.pipeline(load_weights(run, config, ema=ema, weights=weights))


def load_spelled(text: str) -> Pipeline:
    """The pipeline that ``RUN`` or ``RUN@SHARE`` names, the latter as `load_pipeline` has ``at``.

    Raises:
        UsageError: for a share that is none.
        ModelFileError: if there is no run, or a file of it is damaged.
    """
    target, _, share = text.rpartition("@")
    if not target or os.path.exists(text):
        return load_pipeline(text)
    try:
        at = float(share)
    except ValueError:
        return load_pipeline(text)
    return load_pipeline(target, at=at)


def _earlier(
    run: RunDirectory, ema: float | None, at: float, network: nn.Module | None
) -> Pipeline:
    """The pipeline of a run with the average that ends at a share of its training."""
    config = configuration_of(run)
    store = SnapshotStore(run.snapshots)
    steps = store.steps()
    if not steps:
        raise UsageError(f"{run.path}: it has no snapshots of its weights; leave the share out")
    step = min(steps, key=lambda one: abs(one - at * steps[-1]))
    state = store.weights(config.training.ema[0] if ema is None else ema, step)
    return build_learner(config, network=network).pipeline(state)


def configuration_of(run: RunDirectory) -> RunConfig:
    """The configuration of a run that exists; see `Family.placed`.

    Raises:
        ModelFileError: if its ``config.yaml`` is damaged.
    """
    try:
        config = load(run.config)
    except UsageError as error:
        raise ModelFileError(str(error)) from error
    return replace(config, model=family_of(config.model).placed(config.model, run.path))


def load_weights(
    run: RunDirectory,
    config: RunConfig,
    *,
    ema: float | None = None,
    weights: Literal["ema", "raw"] = "ema",
) -> Mapping[str, Tensor]:
    """Weights of a run's newest checkpoint, or an average made from its snapshots.

    Raises:
        UsageError: if that average cannot be made.
        ModelFileError: if there is no checkpoint, or a file of it is damaged.
    """
    if ema is not None:
        return SnapshotStore(run.snapshots).weights(ema)
    newest = CheckpointStore(run.checkpoints).newest()
    if newest is None:
        raise ModelFileError(
            f"{run.path}: it has neither a pipeline nor a checkpoint yet; train it further first"
        )
    if weights == "raw":
        return newest.tensors["network"]
    prefix = f"{track_name(config.training.ema[0])}/"
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in newest.tensors["ema"].items()
        if name.startswith(prefix)
    }
