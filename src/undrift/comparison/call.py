"""``undrift.compare``: the command's flags as keywords."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from undrift.ambient import own_settings
from undrift.arguments import checked
from undrift.comparison.asked import Compare, arms_of
from undrift.comparison.cells import Arm
from undrift.comparison.executor import Executor
from undrift.comparison.run import run_comparison
from undrift.options import Split


@own_settings()
@checked
def compare(
    data: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    methods: Sequence[str | Arm] = Compare.arms,
    seeds: int = 5,
    budget: str | None = None,
    images: int | None = None,
    metrics: Sequence[str] | str = Compare.metrics,
    n: int = 2000,
    reference: str | os.PathLike[str] | None = None,
    features: str = "domain",
    feature_weights: str | None = None,
    download: bool = False,
    split: Split | None = None,
    seed: int = 0,
    parameters: int | str | None = None,
    trials: int = 0,
    trial_share: float = 1.0,
    size: int | str | None = None,
    channels: Literal[1, 3, 4] | None = None,
    label_column: str | None = None,
    batch_size: int | None = None,
    flip: bool = False,
    conditional: bool = True,
    holdout: float = 0.05,
    evaluate_every: int | None = None,
    evaluate_samples: int = 1000,
    bare: bool = False,
    workers: int = 1,
    threads: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    executor: Executor | Literal["local", "slurm"] = "local",
    slurm_partition: str | None = None,
    slurm_minutes: int = 120,
) -> dict[str, Any]:
    """Train methods alike and compare what they learnt; see ``undrift compare`` for the keywords.

    ``methods`` are names, or an `Arm` for a method with settings of its own. The same call again
    goes on where it was stopped. ``executor`` says where runs are made: ``local``, in processes on
    this machine, ``slurm``, on a cluster, or any `Executor` of your own.

    Returns:
        ``result["ledgers"][0]["methods"]``, per method its metrics as means over seeds with
        intervals, its costs, its share of failed runs, and its contrasts to the first method.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    return run_comparison(
        Compare(
            data=os.fspath(data),
            out=os.fspath(out),
            arms=tuple(arms_of([one])[0] if isinstance(one, str) else one for one in methods),
            seeds=seeds,
            budget=budget,
            images=images,
            metrics=(metrics,) if isinstance(metrics, str) else tuple(metrics),
            n=n,
            reference=None if reference is None else os.fspath(reference),
            features=features,
            weights_file=feature_weights,
            download=download,
            split=split,
            seed=seed,
            parameters=None if parameters is None else str(parameters),
            trials=trials,
            trial_share=trial_share,
            size=size,
            channels=channels,
            label_column=label_column,
            batch_size=batch_size,
            flip=flip,
            conditional=conditional,
            holdout=holdout,
            evaluate_every=evaluate_every,
            evaluate_samples=evaluate_samples,
            bare=bare,
            workers=workers,
            threads=threads,
            device=device,
            executor=executor if isinstance(executor, str) else "local",
            slurm_partition=slurm_partition,
            slurm_minutes=slurm_minutes,
        ),
        executor=None if isinstance(executor, str) else executor,
    )
