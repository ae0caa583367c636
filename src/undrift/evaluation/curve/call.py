"""``undrift.curve``: the command's flags as keywords."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from undrift.ambient import own_settings
from undrift.arguments import checked
from undrift.evaluation.curve.asked import NFES, Curve
from undrift.evaluation.curve.run import run_curve
from undrift.options import Split


@own_settings()
@checked
def curve(
    target: str | os.PathLike[str],
    *,
    samplers: Sequence[str] | str = Curve.samplers,
    nfe: Sequence[int] = NFES,
    n: int = 2000,
    metrics: Sequence[str] | str = Curve.metrics,
    reference: str | os.PathLike[str] | None = None,
    features: str | None = None,
    feature_weights: str | None = None,
    download: bool = False,
    split: Split | None = None,
    seed: int = 0,
    guidance: float | None = None,
    grid: str | None = None,
    ema: float | None = None,
    weights: Literal["ema", "raw"] = "ema",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    out: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Measure a model with many samplers and budgets; see ``undrift curve`` for the keywords.

    Returns:
        ``result["cells"]``, one record per sampler and number of evaluations, with its seconds per
        image and its metrics; ``result["best"]["fd"]``, the best of them within each budget.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    return run_curve(
        Curve(
            target=os.fspath(target),
            samplers=(samplers,) if isinstance(samplers, str) else tuple(samplers),
            nfe=tuple(nfe),
            n=n,
            metrics=(metrics,) if isinstance(metrics, str) else tuple(metrics),
            reference=None if reference is None else os.fspath(reference),
            features=features,
            weights_file=feature_weights,
            download=download,
            split=split,
            seed=seed,
            guidance=guidance,
            grid=grid,
            ema=ema,
            weights=weights,
            device=device,
            out=None if out is None else os.fspath(out),
        )
    )
