"""Which pieces a study has, given the runs that are finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from undrift.data import ImageSet
from undrift.experiments.compare import Compare
from undrift.experiments.compare.cells import Cell
from undrift.experiments.study.asked import Study
from undrift.experiments.study.evidence import DIFFUSION, LEDGER
from undrift.experiments.study.measures.bits import answer_of, bits
from undrift.experiments.study.measures.modes import plane, tail, triples
from undrift.experiments.study.measures.sampling_cost import by_steps, times
from undrift.experiments.study.measures.steering import dial, filling
from undrift.experiments.study.pieces import Piece, cells_of, run_of
from undrift.experiments.study.tables import FILLING, LIKELIHOOD, MAIN, POINTS
from undrift.experiments.study.worlds import TAIL

Done = Mapping[str, Sequence[str]]
"""Names of the finished runs of each table."""


def pieces_of(
    study: Study, tables: Mapping[str, Compare], data: ImageSet, done: Done, device: str
) -> list[Piece]:
    """Everything that is measured in processes of its own, as many at a time as there are places.

    Args:
        study: what is asked for.
        tables: its tables.
        data: its images.
        done: which runs are finished.
        device: ``cpu`` or ``cuda``.
    """
    size, seed = study.size, study.seed
    made: list[Piece] = []
    for name in POINTS:
        made += _by_cell(
            name, tables, done, lambda run, name=name: plane(run, name, size.points.n, seed)
        )
    if "stacked" in tables and study.mnist is not None and size.stacked is not None:
        mnist, n = study.mnist, size.stacked.n
        made += _by_cell("stacked", tables, done, lambda run: triples(run, mnist, n, seed))
    tail_of = study.folder / "data" / TAIL
    made += _by_cell("tail", tables, done, lambda run: tail(run, data, tail_of, size.tail.n, seed))
    made += _by_cell(
        LIKELIHOOD, tables, done, lambda run: bits(run, size.scored, seed, device), kind="bits"
    )
    main = tables[MAIN]
    for cell in cells_of(main, done.get(MAIN, ()), LEDGER):
        run = run_of(main, cell)
        values = size.guidances if cell.arm.method == DIFFUSION else size.truncations
        made.append(
            _piece("dial", cell, lambda run=run, values=values: dial(run, values, main.n, seed))
        )
        if cell.arm.method == DIFFUSION:
            made.append(
                _piece(
                    "steps",
                    cell,
                    lambda run=run: by_steps(run, size.steps, main.n, seed, device),
                )
            )
        elif cell.seed == seed:
            made.append(_piece("answer", cell, lambda run=run: answer_of(run)))
    return made + _fillings(study, tables[FILLING], data, done.get(FILLING, ()))


def timed_pieces(
    study: Study, tables: Mapping[str, Compare], done: Done, device: str, threads: int
) -> list[Piece]:
    """What is timed: one after the other, while nothing else runs."""
    main = tables[MAIN]
    made = []
    seen: set[str] = set()
    for cell in cells_of(main, done.get(MAIN, ()), LEDGER):
        if cell.arm.name in seen:
            continue
        seen.add(cell.arm.name)
        run = run_of(main, cell)
        steps: Sequence[int | None] = study.size.steps if cell.arm.method == DIFFUSION else (None,)
        made.append(
            _piece("times", cell, lambda run=run, steps=steps: times(run, steps, device, threads))
        )
    return made


def _by_cell(
    name: str,
    tables: Mapping[str, Compare],
    done: Done,
    measure: Any,  # noqa: ANN401 - a function of a run's folder
    kind: str | None = None,
) -> list[Piece]:
    table = tables[name]
    return [
        _piece(kind or name, cell, partial(measure, run_of(table, cell)))
        for cell in cells_of(table, done.get(name, ()))
    ]


def _piece(kind: str, cell: Cell, measure: Any) -> Piece:  # noqa: ANN401 - a function without arguments
    facts = {"kind": kind, "method": cell.arm.name, "seed": cell.seed}
    return Piece(f"{kind}/{cell.name}", lambda: {**facts, **measure()})


def _fillings(study: Study, table: Compare, data: ImageSet, done: Sequence[str]) -> list[Piece]:
    """One piece per seed: all methods fill in the same halves, for the same time."""
    made = []
    for place in range(table.seeds):
        seed = table.seed + place
        runs = {
            cell.arm.name: run_of(table, cell)
            for cell in cells_of(table, done)
            if cell.seed == seed
        }
        if DIFFUSION in runs and len(runs) > 1:
            made.append(
                Piece(
                    f"filling/{seed}",
                    lambda runs=runs, seed=seed: {
                        "kind": "filling",
                        "seed": seed,
                        **filling(runs, data, study.size.filled, seed),
                    },
                )
            )
    return made
