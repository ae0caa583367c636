"""Results of runs and comparisons in which only what a claim rests on is of interest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from undrift.metrics.results import FeatureSpace
from undrift.results.comparison import (
    BudgetResult,
    ComparisonProtocol,
    ComparisonResult,
    FailedRun,
    MeasuredRun,
    RunMetric,
)
from undrift.results.evaluation import EvaluatedReference


def _facts(method: str, base: str, seed: int) -> dict[str, Any]:
    numbers = dict.fromkeys(("point", "process_seconds", "steps", "images", "seconds"), 0)
    ones = dict.fromkeys(("threads", "workers", "attempts", "starts"), 1)
    unknown = dict.fromkeys(("processor_share", "cpu_seconds", "health"))
    run = {"name": f"{method}-{seed}", "method": method, "base": base, "seed": seed}
    return run | numbers | ones | unknown | {"settings": {}, "budget": "images", "amount": "640"}


def measured_run(method: str, base: str, seed: int, values: Mapping[str, float]) -> MeasuredRun:
    """A run that was measured."""
    metrics = {
        name: RunMetric(name, value, value, value, None, None, 10, 10, "")
        for name, value in values.items()
    }
    return MeasuredRun(
        **_facts(method, base, seed),
        metrics=metrics,
        missing={},
        features=FeatureSpace("pixels", ""),
        reference=EvaluatedReference("test", 10, "digits", 10, "0", None),
        protocol="",
        sampling={},
        nfe=1.0,
    )


def failed_run(
    method: str, base: str, seed: int, state: Literal["diverged", "failed"]
) -> FailedRun:
    """A run that failed."""
    return FailedRun(
        **_facts(method, base, seed), state=state, stage="train", reason="planted", code=1
    )


def comparison(
    runs: Sequence[MeasuredRun | FailedRun], floors: Mapping[str, float]
) -> ComparisonResult:
    """A comparison at one budget, whose table has no rows."""
    table = BudgetResult(
        kind="images",
        amount="640",
        words="equal images",
        methods=(),
        floors=floors,
        floors_missing=(),
        claims=(),
    )
    protocol = ComparisonProtocol(
        version="0",
        data="digits",
        fingerprint="0",
        train_images=100,
        image_shape=(8, 8, 1),
        classes=10,
        size=None,
        channels=None,
        label_column=None,
        batch_size=None,
        flip=False,
        conditional=True,
        holdout=0.1,
        evaluate_every=None,
        evaluate_samples=100,
        bare=True,
        device="cpu",
        threads=1,
        parameters=None,
        n=10,
        sample_seed=0,
        workers=1,
        measuring="",
    )
    return ComparisonResult(
        version="0",
        command="",
        data="digits",
        methods=tuple(dict.fromkeys(run.method for run in runs)),
        method_settings=(),
        seeds=(0,),
        metrics=("fd",),
        titles={},
        better={},
        margins={},
        claims=(),
        budgets=(table,),
        tuning=None,
        missing={},
        parameters={},
        speeds={},
        protocol=protocol,
        runs=tuple(runs),
        remarks=(),
        configs={},
    )
