"""``undrift.evaluate``: the command's flags as keywords."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from undrift.experiments.evaluation.asked import Evaluate
from undrift.experiments.evaluation.drawing import Sampling
from undrift.experiments.evaluation.evaluate import run_evaluation
from undrift.experiments.evaluation.reference import Split


def evaluate(
    target: str | os.PathLike[str],
    *,
    reference: str | os.PathLike[str] | None = None,
    label_column: str | None = None,
    against: str | os.PathLike[str] | None = None,
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

    Returns:
        ``result["metrics"]["fd"]["value"]``, and beside each value ``low``, ``high`` (95 %),
        ``floor`` (what real images score), ``n``, ``n_reference`` and ``protocol``.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    return run_evaluation(
        Evaluate(
            target=os.fspath(target),
            against=None if against is None else os.fspath(against),
            reference=None if reference is None else os.fspath(reference),
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
