"""From the results of all runs to one table per budget: means over seeds, and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Literal, cast

from undrift.comparison.methods import Budget, Method
from undrift.comparison.verdicts import (
    INFERENCE,
    LIKELIHOOD,
    MARGINS,
    SCALING,
    Covered,
    control,
    coverage,
    stability,
    standing,
)
from undrift.families import family_of_method
from undrift.families.gan import GANFamily
from undrift.metrics import floor_notes
from undrift.metrics.bounded import POSITIVE, Range
from undrift.metrics.catalogue import METRICS
from undrift.metrics.seeds import over_seeds, paired_over_seeds
from undrift.metrics.wilson import wilson_interval
from undrift.results.comparison import (
    BudgetKind,
    BudgetResult,
    FailedRun,
    FailedShare,
    MeasuredRun,
    MethodResult,
    PairedDifference,
    RunResult,
    SeedMean,
)
from undrift.results.verdict import ClaimResult
from undrift.runs.collapse import FAILED

_COSTS = ("images", "steps", "seconds", "cpu_seconds", "processor_share", "nfe")


def budget_result(
    budget: Budget,
    methods: Sequence[Method],
    runs: Sequence[MeasuredRun | FailedRun],
    metrics: Sequence[str],
) -> BudgetResult:
    """What ``runs`` say of one budget: a row per method, contrasted with the first.

    Args:
        budget: of the table.
        methods: in order.
        runs: of all budgets.
        metrics: names.
    """
    runs = [run for run in runs if (run.budget, run.amount) == (budget.kind, budget.amount)]
    done = [run for run in runs if isinstance(run, MeasuredRun)]
    rows = [
        _row(method, [run for run in runs if run.method == method.name], metrics)
        for method in methods
    ]
    rows[1:] = [replace(row, contrasts=_contrasts(row, rows[0], metrics)) for row in rows[1:]]
    return BudgetResult(
        kind=budget.kind,
        amount=budget.amount,
        words=budget.heading(methods),
        methods=tuple(rows),
        floors=_floors(done, metrics),
        floors_missing=tuple(
            dict.fromkeys(line for run in done for line in _lacking(run, metrics))
        ),
        claims=claims_of(rows, budget.kind),
    )


def _row(
    method: Method, runs: Sequence[MeasuredRun | FailedRun], metrics: Sequence[str]
) -> MethodResult:
    done = [run for run in runs if isinstance(run, MeasuredRun)]
    failed, known = failures_of(runs)
    low, high = wilson_interval(failed, known) if known else (None, None)
    means = {
        name: _mean({run.seed: run.value(name) for run in done}, METRICS[name].within)
        for name in metrics
    }
    costs = {
        name: _mean({run.seed: getattr(run, name) for run in done}, POSITIVE) for name in _COSTS
    }
    return MethodResult(
        method=method.name,
        base=method.base,
        runs=len(runs),
        done=len(done),
        failed=FailedShare(failed, known, failed / known if known else None, low, high),
        reasons=tuple(
            f"seed {run.seed}: {_reason(run)}"
            for run in runs
            if isinstance(run, FailedRun) or has_failed(run)
        ),
        metrics={name: mean for name, mean in means.items() if mean is not None},
        missing={
            name: reason for run in done for name, reason in run.missing.items() if name in metrics
        },
        costs={name: mean for name, mean in costs.items() if mean is not None},
        contrasts={},
    )


def has_failed(run: RunResult) -> bool:
    """Whether training went wrong: it diverged, or its samples went bad and stayed bad."""
    return run.state == "diverged" or run.health in FAILED


def failures_of(runs: Sequence[RunResult]) -> tuple[int, int]:
    """Failed runs, and all runs that succeeded or failed by themselves.

    One that was lost to something else (killed, no memory, no disk) counts neither way.
    """
    failed = sum(map(has_failed, runs))
    return failed, failed + sum(run.state == "done" and not has_failed(run) for run in runs)


def _reason(run: MeasuredRun | FailedRun) -> str:
    """Why a run has no samples, or counts as failed with those that it has."""
    if isinstance(run, FailedRun):
        return run.reason
    return f"{(run.health or '').replace('_', ' ')} in the end, by its periodic evaluations"


def _mean(values: Mapping[int, float | None], within: Range) -> SeedMean | None:
    known = {seed: float(value) for seed, value in values.items() if value is not None}
    found = over_seeds(known, within)
    return None if found is None else SeedMean(**vars(found), values=known)


def _contrasts(
    row: MethodResult, first: MethodResult, metrics: Sequence[str]
) -> dict[str, PairedDifference]:
    """The method less the first one, seed by seed, and how it stands to it."""
    contrasts = {}
    for name in metrics:
        ours, theirs = row.values(name), first.values(name)
        found = paired_over_seeds(ours, theirs, METRICS[name].within)
        if found is None:
            continue
        baseline = sum(value for seed, value in theirs.items() if seed in ours) / found.n
        margin = MARGINS[name].of(baseline)
        better = cast(Literal["lower", "higher"], METRICS[name].better)
        stands = standing(found.low, found.high, margin, better)
        contrasts[name] = PairedDifference(**vars(found), margin=margin, standing=stands)
    return contrasts


def claims_of(rows: Sequence[MethodResult], equal: BudgetKind) -> tuple[ClaimResult, ...]:
    """Verdicts on the six claims about diffusion models and GANs, from the rows of a table.

    Three of them take more than such a table, and say so. There are none without GANs, and none
    unless exactly one method is a diffusion model: of several, none stands for the family.

    Args:
        rows: of the table.
        equal: what is equal among all runs.
    """
    diffusion = [row for row in rows if row.base == "diffusion"]
    gans = [row for row in rows if family_of_method(row.base).name == GANFamily.name]
    if len(diffusion) != 1 or not gans:
        return ()
    ours = diffusion[0]

    def both(metric: str) -> tuple[Mapping[int, float], dict[str, Mapping[int, float]]]:
        return ours.values(metric), {row.method: row.values(metric) for row in gans}

    counts = {row.method: (row.failed.count, row.failed.of) for row in rows}
    return (
        stability(counts[ours.method], {row.method: counts[row.method] for row in gans}),
        coverage({"held-out images": Covered(*both("coverage"))}),
        _left_open(SCALING.result([])),
        control({equal: both("label_accuracy")}, ({}, {})),
        _left_open(LIKELIHOOD.result([])),
        _left_open(INFERENCE.result([])),
    )


def _left_open(claim: ClaimResult) -> ClaimResult:
    return replace(claim, reason=f"{claim.reason}; `undrift claims` does that")


def _lacking(run: MeasuredRun, metrics: Sequence[str]) -> list[str]:
    """Why metrics of a run have no value of real images."""
    return floor_notes(
        {name: run.metrics[name].floor_missing for name in metrics if name in run.metrics}
    )


def _floors(done: Sequence[MeasuredRun], metrics: Sequence[str]) -> dict[str, float]:
    floors: dict[str, float] = {}
    for name in metrics:
        found = [run.metrics[name].floor for run in done if name in run.metrics]
        known = [floor for floor in found if floor is not None]
        if known:
            floors[name] = fmean(known)
    return floors
