"""From what a user names to a pipeline that samples."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Literal

from torch import nn

from undrift.advice import named, possible
from undrift.ambient import own_settings
from undrift.arguments import checked
from undrift.errors import ModelFileError, UsageError, shown
from undrift.files.durable import standing
from undrift.files.reading import expanded
from undrift.pipelines import Pipeline
from undrift.pipelines.adapter import with_adapters
from undrift.runs.directory import is_pipeline, open_run


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
        from undrift.runs.unfinished import earlier_pipeline

        return earlier_pipeline(open_run(path), ema, at, network)
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
    # Only weights that no pipeline has need the code that trains, which takes time to import.
    from undrift.runs.unfinished import latest_pipeline

    return latest_pipeline(run, ema, weights, network)


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
