"""``undrift.evaluate``: the command's flags as keywords."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from undrift.ambient import own_settings
from undrift.arguments import checked, shown
from undrift.errors import UsageError
from undrift.evaluation.asked import Evaluate
from undrift.evaluation.drawing import Sampling
from undrift.evaluation.evaluate import run_evaluation
from undrift.evaluation.reference import Split
from undrift.evaluation.subject import Subject
from undrift.metrics import Images
from undrift.pipelines import Pipeline, Samples

Target: TypeAlias = str | os.PathLike[str] | Pipeline | Samples | NDArray[np.uint8]
"""What can be evaluated: where it is, or itself."""


@own_settings()
@checked
def evaluate(
    target: Target,
    *,
    reference: str | os.PathLike[str] | Samples | NDArray[np.uint8] | None = None,
    label_column: str | None = None,
    against: Target | None = None,
    n: int = 10_000,
    reference_n: int | None = None,
    metrics: Sequence[str] | str = "all",
    features: str | None = None,
    feature_weights: str | None = None,
    download: bool = False,
    split: Split | None = None,
    seed: int = 0,
    steps: int | None = None,
    sampler: str | None = None,
    guidance: float | None = None,
    grid: str | None = None,
    ema: float | None = None,
    weights: Literal["ema", "raw"] = "ema",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    out: str | os.PathLike[str] | None = None,
    save_reference: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Measure a run, a pipeline or a set of samples; see ``undrift evaluate`` for the keywords.

    ``target`` and ``against`` are what the command takes, or a `Pipeline`, which is moved to
    ``device``, `Samples`, or images: uint8 (N, H, W, C) or, of grey ones, (N, H, W). ``reference``
    is all of these but a pipeline.

    Returns:
        ``result["metrics"]["fd"]["value"]``, and beside each value ``low``, ``high`` (95 %),
        ``floor`` (what real images score), ``n``, ``n_reference`` and ``protocol``.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    return run_evaluation(
        Evaluate(
            target=_named("target", target),
            against=None if against is None else _named("against", against),
            reference=None if reference is None else _named("reference", reference),
            label_column=label_column,
            n=n,
            reference_n=reference_n,
            metrics=(metrics,) if isinstance(metrics, str) else tuple(metrics),
            features=features,
            weights_file=feature_weights,
            download=download,
            split=split,
            seed=seed,
            sampling=Sampling(seed, steps, sampler, guidance, grid),
            ema=ema,
            weights=weights,
            device=device,
            out=None if out is None else os.fspath(out),
            save_reference=None if save_reference is None else os.fspath(save_reference),
        )
    )


def _named(argument: str, given: Target) -> str | Subject:
    """A path as text; anything else as an open subject, named after its type."""
    if isinstance(given, str | os.PathLike):
        return os.fspath(given)
    name = type(given).__name__
    if isinstance(given, Pipeline):
        return Subject(name, given, classes=given.spec.class_names)
    if isinstance(given, Samples):
        return Subject(name, None, Images(given.images, given.labels), given.class_names)
    images = given[..., None] if given.ndim == 3 else given
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 2, 3, 4):
        raise UsageError(
            f"{argument} {shown(given)}: wanted uint8 images (N, H, W, C), C up to 4, or (N, H, W)"
        )
    return Subject("array", None, Images(images))
