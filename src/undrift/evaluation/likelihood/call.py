"""``undrift.bits_per_dim``: the command's flags as keywords."""

from __future__ import annotations

import os
from typing import Any, Literal

from undrift.ambient import own_settings
from undrift.arguments import checked
from undrift.evaluation.likelihood.images import Split
from undrift.evaluation.likelihood.likelihood import Likelihood, MethodName, run_likelihood
from undrift.likelihood import BoundMethod, Classes, FlowMethod
from undrift.likelihood.dequantization import Kind
from undrift.likelihood.flow import OdeSolver
from undrift.likelihood.methods import TraceKind


@own_settings()
@checked
def bits_per_dim(
    target: str | os.PathLike[str],
    data: str | os.PathLike[str] | None = None,
    *,
    method: MethodName = "elbo",
    n: int | None = 1000,
    split: Split | None = None,
    points: int = 64,
    chain: int | None = None,
    solver: OdeSolver = "rk4",
    trace: TraceKind = "auto",
    probes: int = 1,
    dequantization: Kind = "truncated_normal",
    samples: int = 1,
    classes: Classes | None = None,
    levels: int | None = None,
    log_snr_max: float | None = None,
    seed: int = 0,
    ema: float | None = None,
    weights: Literal["ema", "raw"] = "ema",
    batch_size: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    per_image: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Bits per dimension of images; see ``undrift likelihood`` for the keywords.

    Returns:
        ``result["methods"]["elbo"]["bits_per_dim"]``, and beside it ``standard_error``, ``low``,
        ``high`` (95 %), ``terms``, ``nfe``, ``seconds`` and ``protocol``.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    return run_likelihood(
        Likelihood(
            target=os.fspath(target),
            data=None if data is None else os.fspath(data),
            method=method,
            n=n,
            split=split,
            bound=BoundMethod(points, chain),
            flow=FlowMethod(
                points=points,
                solver=solver,
                trace=trace,
                probes=probes,
                dequantization=dequantization,
                samples=samples,
            ),
            classes=classes,
            value_levels=levels,
            log_snr_max=log_snr_max,
            seed=seed,
            ema=ema,
            weights=weights,
            batch_size=batch_size,
            device=device,
            per_image=None if per_image is None else os.fspath(per_image),
            out=None if out is None else os.fspath(out),
        )
    )
