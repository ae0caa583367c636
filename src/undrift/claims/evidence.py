"""From the tables and pieces of a study to the six findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from undrift.claims.pieces import recorded
from undrift.claims.preset import Preset
from undrift.claims.tables import SCALING, SEEN
from undrift.comparison import failures_of
from undrift.comparison.verdicts import (
    STACKED_SEEDS,
    Finding,
    Part,
    World,
    control,
    coverage,
    inference,
    likelihood,
    scaling,
    scaling_finding,
    scaling_unmeasured,
    slope,
    stability,
)

Record = dict[str, Any]
Values = dict[int, float]

DIFFUSION = "diffusion"


def findings(
    preset: Preset, tables: Mapping[str, Record], pieces: Mapping[str, Record]
) -> list[Finding]:
    """The six findings, in the order in which they are told.

    Args:
        preset: of the study.
        tables: name -> what `undrift.comparison.run_comparison` found.
        pieces: name -> record of every piece that was made.
    """
    return [
        stability(*_failures(preset, tables)),
        coverage(_worlds(tables, pieces)),
        scaling_finding(_slopes(tables)),
        control(
            {kind: _values(tables["main"], kind, "label_accuracy") for kind in _kinds(tables)},
            _filled(pieces),
        ),
        likelihood(*_bits(pieces)),
        inference(_ratios(tables, pieces)),
    ]


def _failures(
    preset: Preset, tables: Mapping[str, Record]
) -> tuple[tuple[int, int], dict[str, tuple[int, int]]]:
    """Failed runs and all that say so, of each method over all learning rates and seeds."""
    runs = tables.get("sweep", {}).get("runs", ())
    counts = {
        family: failures_of([run for run in runs if run["family"] == family])
        for family in {run["family"] for run in runs}
    }
    gans = {name: counts[name] for name in preset.swept if name != DIFFUSION and name in counts}
    return counts.get(DIFFUSION, (0, 0)), gans


def _worlds(tables: Mapping[str, Record], pieces: Mapping[str, Record]) -> dict[str, World]:
    worlds: dict[str, World] = {}
    for kind in _kinds(tables):
        words = f"held-out images at equal {kind}"
        worlds[words] = World(*_values(tables["main"], kind, "coverage"))
    for name, words in (
        ("ring8", "modes of a ring of 8"),
        ("grid25", "modes of a grid of 25"),
        ("stacked", "1,000 stacked digits"),
        ("tail", "rare classes"),
    ):
        world = World(*_shares(pieces, name))
        if world.diffusion:
            needed = STACKED_SEEDS if name == "stacked" else world.needed
            worlds[words] = replace(world, needed=needed)
    return worlds


def _kinds(tables: Mapping[str, Record]) -> list[str]:
    """What the runs of the main table have the same of: seconds, and images."""
    return [ledger["kind"] for ledger in tables.get("main", {}).get("ledgers", ())]


def _shares(pieces: Mapping[str, Record], kind: str) -> tuple[Values, dict[str, Values]]:
    """``share`` of every piece of a kind, by method and seed."""
    by_method: dict[str, Values] = {}
    for record in recorded(pieces, kind):
        by_method.setdefault(record["method"], {})[record["seed"]] = record["share"]
    return by_method.pop(DIFFUSION, {}), by_method


def _values(table: Record | None, kind: str, metric: str) -> tuple[Values, dict[str, Values]]:
    """A metric by seed in one ledger of a table: of the diffusion model, and of each GAN."""
    rows = [
        row
        for ledger in (table or {}).get("ledgers", ())
        if ledger["kind"] == kind
        for row in ledger["methods"]
    ]
    by_method = {
        row["method"]: dict(row["metrics"].get(metric, {}).get("values", {})) for row in rows
    }
    return by_method.pop(DIFFUSION, {}), by_method


def _slopes(tables: Mapping[str, Record]) -> list[Part]:
    parts: list[Part] = []
    table = tables[SCALING]["ledgers"][0] if SCALING in tables else {}
    floor = table.get("floors", {}).get("fd")
    if floor is None:  # no run of it could be measured, or no real images at the same sizes
        return [scaling_unmeasured(line) for line in table.get("floors_missing", ())]
    for along, points_of in (("parameters", sized), ("images seen", seen)):
        ours: dict[str, Values] = {}
        gans: dict[str, Values] = {}
        for (family, method, seed), points in points_of(tables).items():
            fall = slope(points, floor)
            if fall is not None:
                (ours if method == DIFFUSION else gans).setdefault(family, {})[seed] = fall
        parts += scaling(ours, gans, along)
    return parts


Points = dict[tuple[str, str, int], list[tuple[float, float]]]
"""(family, method, seed) -> size and distance of every finished run."""


def sized(tables: Mapping[str, Record]) -> Points:
    """Distance against the parameters that draw."""
    found = tables.get(SCALING)
    if found is None:
        return {}
    sizes = found["parameters"][found["ledgers"][0]["kind"]]
    return _points([(sizes[run["method"]]["generator"], run) for run in found["runs"]])


def seen(tables: Mapping[str, Record]) -> Points:
    """Distance against real images seen, of the middle size of each family."""
    again = {arm for name in SEEN for arm in tables.get(name, {}).get("methods", ())}
    return _points(
        [
            (float(found["ledgers"][0]["amount"]), run)
            for name in (*SEEN, SCALING)
            for found in [tables.get(name)]
            if found is not None
            for run in found["runs"]
            if run["method"] in again
        ]
    )


def _points(runs: Sequence[tuple[float, Record]]) -> Points:
    made: Points = {}
    for x, run in runs:
        value = run.get("metrics", {}).get("fd", {}).get("value")
        if run["state"] == "done" and value is not None:
            family = run["method"].rsplit("-", 1)[0]
            made.setdefault((family, run["family"], run["seed"]), []).append((x, value))
    return made


def _filled(pieces: Mapping[str, Record]) -> tuple[Values, dict[str, Values]]:
    """Decibels on hidden pixels, by method and seed."""
    by_method: dict[str, Values] = {}
    for record in recorded(pieces, "filling"):
        for method, found in record["methods"].items():
            by_method.setdefault(method, {})[record["seed"]] = found["psnr_of_mean"]["value"]
    return by_method.pop(DIFFUSION, {}), by_method


def _bits(
    pieces: Mapping[str, Record],
) -> tuple[Values, dict[str, Values], dict[str, Values]]:
    baseline: Values = {}
    held_out: dict[str, Values] = {}
    train: dict[str, Values] = {}
    names = {"elbo": "bound", "ode": "ODE"}
    for record in recorded(pieces, "bits"):
        seed = record["seed"]
        baseline[seed] = record["histogram"]
        for into, part in ((held_out, record["held_out"]), (train, record["train"])):
            for method, entry in part.items():
                into.setdefault(names[method], {})[seed] = entry["value"]
    return baseline, held_out, train


def _ratios(
    tables: Mapping[str, Record], pieces: Mapping[str, Record]
) -> dict[str, dict[int, float | None]]:
    """Time of the diffusion model over each GAN's, at the GAN's distance, by contrast and seed."""
    times = {record["method"]: record for record in recorded(pieces, "times")}
    if DIFFUSION not in times:
        return {}
    by_steps = {point["steps"]: point["batch_ms"] for point in times[DIFFUSION]["points"]}
    made: dict[str, dict[int, float | None]] = {}
    for kind in _kinds(tables):
        curves = {
            record["seed"]: [(point["steps"], point["fd"]["value"]) for point in record["points"]]
            for record in recorded(pieces, "steps")
            if record["ledger"] == kind
        }
        _, gans = _values(tables["main"], kind, "fd")
        for gan, by_seed in gans.items():
            if gan in times:
                other = times[gan]["points"][0]["batch_ms"]
                made[f"models of equal {kind}, against {gan}"] = {
                    seed: _fewest(curves[seed], distance, by_steps, other)
                    for seed, distance in by_seed.items()
                    if seed in curves
                }
    return made


LEDGER = "seconds"
"""The ledger of the runs whose dials and times are measured."""


def _fewest(
    curve: Sequence[tuple[int, float]], distance: float, times: Mapping[int, float], other: float
) -> float | None:
    """Time at the first number of steps that reaches ``distance``, over ``other``."""
    for steps, value in sorted(curve):
        if value <= distance:
            return times[steps] / other
    return None
