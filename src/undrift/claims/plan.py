"""Which pieces a study has, given the runs that are finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from undrift.claims.evidence import DIFFUSION, LEDGER
from undrift.claims.measures.bits import answer_of, bits
from undrift.claims.measures.modes import plane, tail, triples
from undrift.claims.measures.sampling_cost import by_steps, times
from undrift.claims.measures.steering import dial, filling
from undrift.claims.pieces import Piece, Record
from undrift.claims.study import Study
from undrift.claims.tables import FILLING, LIKELIHOOD, MAIN, POINTS, STACKS
from undrift.claims.worlds import TAIL

Tables = Mapping[str, Record]
"""What each table of a study found, by its name."""


def pieces_of(study: Study, tables: Tables, device: Any) -> list[Piece]:  # noqa: ANN401 - a Literal
    """Everything that is measured in processes of its own, as many at a time as there are places.

    Args:
        study: what is asked for.
        tables: its tables.
        device: ``cpu`` or ``cuda``.
    """
    size, seed = study.size, study.seed
    made: list[Piece] = []
    for name in POINTS:
        made += _each(study, tables, name, partial(plane, name=name, n=size.points.n, seed=seed))
    if size.stacked is not None and study.mnist is not None:
        measure = partial(triples, mnist=study.mnist, n=size.stacked.n, seed=seed)
        made += _each(study, tables, STACKS, measure)
    measure = partial(
        tail,
        source=study.data,
        tail_of=study.folder / "data" / TAIL,
        n=size.tail.n,
        seed=seed,
    )
    made += _each(study, tables, "tail", measure)
    for run in _done(tables, LIKELIHOOD):
        # other images for each run, so that the interval over seeds has room for their choice
        measure = partial(bits, _path(study, LIKELIHOOD, run), size.scored, run["seed"], device)
        made.append(_piece("bits", run, measure))
    n = size.main.n
    for run in _done(tables, MAIN):
        if run["family"] == DIFFUSION:
            measure = partial(by_steps, _path(study, MAIN, run), size.steps, n, seed, device)
            made.append(_piece("steps", run, measure))
    for run in _done(tables, MAIN, LEDGER):
        path = _path(study, MAIN, run)
        diffusion = run["family"] == DIFFUSION
        values = size.guidances if diffusion else size.truncations
        made.append(_piece("dial", run, partial(dial, path, values, n, seed, device)))
        if not diffusion and run["seed"] == seed:
            made.append(_piece("answer", run, partial(answer_of, path)))
    return made + _fillings(study, tables)


def timed_pieces(study: Study, tables: Tables, device: str, threads: int) -> list[Piece]:
    """What is timed: one after the other, while nothing else runs."""
    made: dict[str, Piece] = {}
    for run in _done(tables, MAIN, LEDGER):
        steps: Sequence[int | None] = (None,)
        if run["family"] == DIFFUSION:
            steps = study.size.steps
        path = _path(study, MAIN, run)
        piece = _piece("times", run, partial(times, path, steps, device, threads))
        made.setdefault(run["method"], piece)
    return list(made.values())


def _done(tables: Tables, name: str, ledger: str | None = None) -> list[Record]:
    """Finished runs of a table, of one ledger if it is named."""
    return [
        run
        for run in tables.get(name, {}).get("runs", ())
        if run["state"] == "done" and ledger in (None, run["ledger"])
    ]


def _path(study: Study, table: str, run: Record) -> Path:
    return study.folder / table / "runs" / run["name"]


def _each(study: Study, tables: Tables, name: str, measure: Callable[..., Record]) -> list[Piece]:
    """A piece for every finished run of a table."""
    return [
        _piece(name, run, partial(measure, _path(study, name, run))) for run in _done(tables, name)
    ]


def _piece(kind: str, run: Record, measure: Callable[[], Record]) -> Piece:
    facts = {name: run[name] for name in ("method", "ledger", "seed")} | {"kind": kind}
    return Piece(f"{kind}/{run['name']}", lambda: {**facts, **measure()})


def _fillings(study: Study, tables: Tables) -> list[Piece]:
    """One piece per seed, named after its run of diffusion: all methods fill in the same halves."""
    done = _done(tables, FILLING)
    made = []
    for ours in (run for run in done if run["method"] == DIFFUSION):
        seed = ours["seed"]
        runs = {run["method"]: _path(study, FILLING, run) for run in done if run["seed"] == seed}
        if len(runs) > 1:
            measure = partial(filling, runs, study.data, study.size.filled, seed)
            made.append(_piece("filling", ours, measure))
    return made
