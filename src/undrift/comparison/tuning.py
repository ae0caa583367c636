"""Equal tuning: the same number of trials for every arm, judged on validation images.

Each trial is a run with settings of the search space, trained with a seed of its own on the
training images; its samples are held against the validation images, and the Fréchet distance
decides. The settings that win are those of all runs of that arm, which are measured on other
images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from undrift.comparison.bench import Bench
from undrift.comparison.cells import Arm, Cell, Ledger, Setting
from undrift.comparison.search import SPACE, factors_of
from undrift.comparison.settings import Compare
from undrift.families.parameters import drawing_parameters

Record = dict[str, Any]

METRIC = "fd"
"""What decides between trials: the lowest."""

SEED = 2**32
"""What the seed of trials is ahead of the first run's: farther than there are seeds."""


def measured_on_validation(comparison: Compare) -> Compare:
    """``comparison`` as its trials are measured."""
    return replace(comparison, metrics=(METRIC,), reference=None, split="validation", trials=0)


def trial_cells(bench: Bench) -> tuple[Cell, ...]:
    """Every trial, number by number: cut short, each arm has had as many."""
    comparison = bench.comparison
    return tuple(
        Cell(
            _of_full_size(bench, bench.at(arm, ledger, point), ledger),
            ledger.part(comparison.trial_share),
            comparison.seed + SEED,
            point,
            trial=True,
        )
        for point in range(comparison.trials)
        for ledger in comparison.ledgers
        for arm in bench.arms[ledger.kind]
    )


def _of_full_size(bench: Bench, arm: Arm, ledger: Ledger) -> Arm:
    """``arm`` with the size of its runs said, where the recipe of a shorter budget has another."""
    if ledger.kind == "images" or bench.comparison.trial_share == 1 or "parameters" in arm.settings:
        return arm
    size = drawing_parameters(bench.configs[ledger.kind][arm.name].model)
    return arm.with_settings({"parameters": str(size)})


def tuning_of(bench: Bench, records: Sequence[Record]) -> Record:
    """What the trials found, from the records of all.

    Returns:
        ``trials``, ``share``, ``seed``, ``space``, ``metric``; ``ledgers``: kind -> name of arm ->
        ``point``, the winner (0, the recipe, where none could be measured), ``seconds`` of
        training that all of its trials took, and ``trials``: ``point``, ``factors``, ``settings``,
        ``state``, ``value`` (or None), ``low``, ``high``, ``seconds``, ``images``, and ``reason``
        where one failed.
    """
    comparison = bench.comparison
    ledgers: dict[str, dict[str, Record]] = {}
    for ledger in comparison.ledgers:
        ledgers[ledger.kind] = {
            arm.name: _found(
                [
                    record
                    for record in records
                    if (record["ledger"], record["method"]) == (ledger.kind, arm.name)
                ],
                arm.settings,
            )
            for arm in bench.arms[ledger.kind]
        }
    return {
        "trials": comparison.trials,
        "share": comparison.trial_share,
        "seed": comparison.seed + SEED,
        "metric": METRIC,
        "space": [{"name": factor.name, "most": factor.most} for factor in SPACE],
        "ledgers": ledgers,
    }


def winners(tuning: Record) -> dict[str, dict[str, int]]:
    """Kind of ledger -> name of arm -> the point that won."""
    return {
        kind: {name: found["point"] for name, found in by_arm.items()}
        for kind, by_arm in tuning["ledgers"].items()
    }


def winning_settings(tuning: Record, kind: str, name: str) -> dict[str, Setting]:
    """What the winner of an arm sets of its own in a ledger; nothing where that is its recipe."""
    found = tuning["ledgers"][kind][name]
    return next((t["settings"] for t in found["trials"] if t["point"] == found["point"]), {})


def _found(records: Sequence[Record], own: Mapping[str, Any]) -> Record:
    trials = [_trial(record, own) for record in records]
    known = [trial for trial in trials if trial["value"] is not None]
    best = min(known, key=lambda trial: (trial["value"], trial["point"]), default=None)
    return {
        "point": 0 if best is None else best["point"],
        "seconds": sum(trial["seconds"] for trial in trials),
        "trials": trials,
    }


def _trial(record: Record, own: Mapping[str, Any]) -> Record:
    entry = record.get("metrics", {}).get(METRIC) or {"value": None, "low": None, "high": None}
    set_by_it = {n: v for n, v in record["settings"].items() if own.get(n) != v}
    return {
        "point": record["point"],
        "factors": factors_of(record["point"]),
        "settings": set_by_it,
        "state": record["state"],
        **{part: entry[part] for part in ("value", "low", "high")},
        **{part: record[part] for part in ("seconds", "cpu_seconds", "images", "steps")},
        "measuring_cpu_seconds": record.get("measuring_cpu_seconds"),
        **({"reason": record["reason"]} if "reason" in record else {}),
    }
