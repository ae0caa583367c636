"""Pipelines of runs at weights that no finished pipeline has, out of their checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from torch import Tensor, nn

from undrift.errors import ModelFileError, UsageError
from undrift.families import family_of
from undrift.pipelines import Pipeline
from undrift.runs.configuration import RunConfig, load
from undrift.runs.directory import RunDirectory
from undrift.runs.recipes import build_learner
from undrift.training.checkpoint import CheckpointStore
from undrift.training.ema import track_name
from undrift.training.snapshots import SnapshotStore


def latest_pipeline(
    run: RunDirectory, ema: float | None, weights: Literal["ema", "raw"], network: nn.Module | None
) -> Pipeline:
    """The pipeline of a run at the weights that `load_weights` finds."""
    config = configuration_of(run)
    learner = build_learner(config, network=network)
    return learner.pipeline(load_weights(run, config, ema=ema, weights=weights))


def earlier_pipeline(
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
