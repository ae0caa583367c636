"""From the records of all runs to one table per ledger: means over seeds, and contrasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, Literal, cast

from undrift.advice import possible
from undrift.comparison.cells import Arm, Ledger
from undrift.comparison.verdicts import (
    MARGINS,
    Finding,
    World,
    control,
    coverage,
    inference,
    likelihood,
    scaling_finding,
    stability,
    standing,
)
from undrift.metrics import floor_notes
from undrift.metrics.bounded import POSITIVE, Range
from undrift.metrics.catalogue import METRICS
from undrift.metrics.seeds import OverSeeds, over_seeds, paired_over_seeds
from undrift.metrics.wilson import wilson_interval
from undrift.runs.collapse import FAILED
from undrift.wording import plural

Record = dict[str, Any]

ENOUGH = 0.9
"""Share of the processor time of an undisturbed run below which a run was disturbed."""

_COSTS = ("images", "steps", "seconds", "cpu_seconds", "processor_share", "nfe")


def ledger_table(
    ledger: Ledger, arms: Sequence[Arm], records: Sequence[Record], names: Sequence[str]
) -> Record:
    """What ``records`` say of one ledger.

    Returns:
        ``methods``, one record per arm: ``method``, its name, and ``family``, its method, ``runs``,
        ``done``, ``failed`` (of the runs that say so, the share that diverged or whose samples went
        bad: ``count``, ``of``, ``value``, ``low``, ``high``, Wilson's), ``reasons`` of them and of
        those without samples, ``metrics``: name -> mean over seeds with
        its interval and ``values`` by seed, ``costs``: likewise, and ``contrasts`` to the first
        arm, paired by seed, with ``margin`` and ``standing``; ``floors``: name -> what real images
        score, and ``floors_missing``: lines on those that were not measured; ``claims``: verdicts
        on those that such a table can decide, where a diffusion model is held against GANs.
    """
    mine = [
        one for one in records if (one["ledger"], one["amount"]) == (ledger.kind, ledger.amount)
    ]
    rows = [_row(arm, [one for one in mine if one["method"] == arm.name], names) for arm in arms]
    for row in rows[1:]:
        row["contrasts"] = {
            name: found
            for name in names
            if (found := _contrast(name, row["metrics"], rows[0]["metrics"])) is not None
        }
    return {
        "kind": ledger.kind,
        "amount": ledger.amount,
        "words": ledger.words,
        "methods": rows,
        "floors": _floors(mine, names),
        "floors_missing": list(
            dict.fromkeys(
                line
                for one in mine
                if one["state"] == "done"
                for line in floor_notes(
                    {
                        name: one["metrics"][name].get("floor_missing")
                        for name in names
                        if name in one["metrics"]
                    }
                )
            )
        ),
        "claims": claims_of(rows, ledger.kind),
    }


def _row(arm: Arm, records: Sequence[Record], names: Sequence[str]) -> Record:
    done = [one for one in records if one["state"] == "done"]
    bad = [one for one in records if one["state"] != "done" or has_failed(one)]
    failed, known = failures_of(records)
    low, high = wilson_interval(failed, known) if known else (None, None)
    return {
        "method": arm.name,
        "family": arm.method,
        "runs": len(records),
        "done": len(done),
        "failed": {
            "count": failed,
            "of": known,
            "value": failed / known if known else None,
            "low": low,
            "high": high,
        },
        "reasons": [f"seed {one['seed']}: {_reason(one)}" for one in bad],
        "metrics": {
            name: found
            for name in names
            if (
                found := _mean(
                    {one["seed"]: _value(one, name) for one in done}, METRICS[name].within
                )
            )
            is not None
        },
        "missing": {
            name: reason for one in done for name, reason in one["missing"].items() if name in names
        },
        "costs": {
            name: found
            for name in _COSTS
            if (found := _mean({one["seed"]: one.get(name) for one in done}, POSITIVE)) is not None
        },
        "contrasts": {},
    }


def has_failed(record: Record) -> bool:
    """Whether training went wrong: it diverged, or its samples went bad and stayed bad."""
    return record["state"] == "diverged" or record["health"] in FAILED


def failures_of(records: Sequence[Record]) -> tuple[int, int]:
    """Failed runs, and all that say whether training goes wrong.

    One that was lost to something else (killed, no memory, no disk) says nothing of its method.
    """
    failed = sum(map(has_failed, records))
    return failed, failed + sum(one["state"] == "done" and not has_failed(one) for one in records)


def _reason(record: Record) -> str:
    """Why a run has no samples, or counts as failed with those that it has."""
    if record["state"] != "done":
        return record["reason"]
    return f"{record['health'].replace('_', ' ')} in the end, by its looks at samples"


def _value(record: Record, name: str) -> float | None:
    entry = record["metrics"].get(name)
    return None if entry is None else entry["value"]


def _mean(values: dict[int, float | None], within: Range) -> Record | None:
    known = {seed: float(value) for seed, value in values.items() if value is not None}
    found = over_seeds(known, within)
    return None if found is None else {**vars(found), "values": known}


def _contrast(name: str, mine: Record, first: Record) -> Record | None:
    """The method less the first one, seed by seed, and how it stands to it."""
    if name not in mine or name not in first:
        return None
    ours, theirs = mine[name]["values"], first[name]["values"]
    found = paired_over_seeds(ours, theirs, METRICS[name].within)
    if found is None:
        return None
    margin = MARGINS[name].of(_paired_mean(first[name]["values"], found, mine[name]["values"]))
    better = cast(Literal["lower", "higher"], METRICS[name].better)
    stands = standing(found.low, found.high, margin, better)
    return {**vars(found), "margin": margin, "standing": stands}


def _paired_mean(first: dict[int, float], found: OverSeeds, mine: dict[int, float]) -> float:
    """The first method's mean over the seeds that are compared."""
    return sum(value for seed, value in first.items() if seed in mine) / found.n


def claims_of(rows: Sequence[Record], equal: str) -> list[Record]:
    """The six verdicts on what is said of the two families, from the rows of a table.

    Three of them take more than such a table, and say so. There are none without GANs, and none
    unless there is one arm of diffusion: of several, which one would stand for the family?

    Args:
        rows: of the table.
        equal: what all runs had the same of: seconds or images.
    """
    family = {row["method"]: row for row in rows if row["family"] != "diffusion"}
    diffusions = [row for row in rows if row["family"] == "diffusion"]
    if len(diffusions) != 1 or not family:
        return []
    diffusion = diffusions[0]

    def both(metric: str) -> tuple[dict[int, float], dict[str, dict[int, float]]]:
        def of(row: Record) -> dict[int, float]:
            return row["metrics"].get(metric, {}).get("values", {})

        return of(diffusion), {name: of(row) for name, row in family.items()}

    def failures(row: Record) -> tuple[int, int]:
        return row["failed"]["count"], row["failed"]["of"]

    findings = (
        stability(failures(diffusion), {name: failures(row) for name, row in family.items()}),
        coverage({"held-out images": World(*both("coverage"))}),
        _left_open(scaling_finding([])),
        control({equal: both("label_accuracy")}, ({}, {})),
        _left_open(likelihood({}, {}, {})),
        _left_open(inference({})),
    )
    return [finding.to_json() for finding in findings]


def _left_open(finding: Finding) -> Finding:
    return replace(finding, reason=f"{finding.reason}; `undrift claims` does that")


def _floors(records: Sequence[Record], names: Sequence[str]) -> dict[str, float]:
    floors: dict[str, float] = {}
    for name in names:
        known = [
            one["metrics"][name]["floor"]
            for one in records
            if one["state"] == "done" and one["metrics"].get(name, {}).get("floor") is not None
        ]
        if known:
            floors[name] = fmean(known)
    return floors


def remarks(found: Record) -> list[str]:
    """What a reader has to know before the tables: everything that is not as it should be."""
    lines = _unlike(found["runs"])
    for table in found["ledgers"]:
        for line in _parameters(found["parameters"][table["kind"]]):
            lines += [] if line in lines else [line]
        lines += [line for line in table["floors_missing"] if line not in lines]
        for row in table["methods"]:
            where, lost = f"{row['method']}, {table['words']}", row["runs"] - row["done"]
            if lost:
                lines.append(
                    f"{where}: {lost} of {plural(row['runs'], 'run')} failed and are in no mean "
                    f"({row['reasons'][0]})"
                )
            if bad := len(row["reasons"]) - lost:
                lines.append(
                    f"{where}: {bad} of {plural(row['runs'], 'run')} ended collapsed or "
                    "diverged by their "
                    "looks at samples; they are in the means, and count as failed"
                )
        if any(row["done"] == 1 for row in table["methods"]):
            hint = possible("give more --seeds", "it takes several")
            lines.append(f"{table['words']}: one seed says nothing of others; {hint}")
    if found["protocol"]["device"] == "cpu":
        lines += _disturbed(found["runs"])
    return lines


def _disturbed(runs: Sequence[Record]) -> list[str]:
    """Runs that got clearly less processor time than others of their kind, or than one core has.

    What several threads use of their cores depends on the method, so it is held against the most
    that a run of the same arm got.
    """
    shares: dict[tuple[str, str], list[float]] = {}
    for one in runs:
        if one["processor_share"]:
            shares.setdefault((one["method"], one["ledger"]), []).append(one["processor_share"])
    low = [mine for mine in shares.values() if min(mine) < ENOUGH * max(1.0, *mine)]
    if not low:
        return []
    worst = min(low, key=lambda mine: min(mine) / max(mine))
    return [
        f"runs of one method got {min(worst):.2f} to {max(worst):.2f} processor cores: something "
        "else used them, so seconds do not compare, and equal seconds were not equal work; repeat "
        "on an idle machine"
    ]


def _parameters(parameters: dict[str, Record]) -> list[str]:
    """Generators are meant to be of one size, within 10 %."""
    sizes = {name: entry["generator"] for name, entry in parameters.items()}
    first, size = next(iter(sizes.items()))
    far = {name: count for name, count in sizes.items() if abs(count / size - 1) > 0.1}
    if not far:
        return []
    words = ", ".join(f"{name} {count:,} ({count / size:.2g} times)" for name, count in far.items())
    return [f"generators are not of one size within 10 %: {first} {size:,}, {words}"]


def _unlike(runs: Sequence[Record]) -> list[str]:
    """Numbers of different spaces or references are no comparison."""
    for what, key in (("feature spaces", "features"), ("references", "reference")):
        kinds = {repr(sorted(one[key].items())) for one in runs if one["state"] == "done"}
        if len(kinds) > 1:
            return [f"runs were measured with different {what}: their numbers do not compare"]
    return []
