"""The best that fixed grids and classical rules do: what a learned sampler has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from undrift.errors import UsageError
from undrift.evaluation.tuning.cases import Source
from undrift.sampling import GRIDS, SAMPLERS, grid, solver
from undrift.sampling.learned import Cases, Table, errors, tables

_GRIDS = (*(name for name in GRIDS if name != "leading"), "karras:7")
_FINALISTS = 3


@dataclass(frozen=True, eq=False)
class Candidate:
    """A sampler and how far it is from the fine solution.

    Attributes:
        name: ``SAMPLER on GRID``, or how it was found.
        table: its numbers.
        error: mean root mean square difference, on the images that it was compared on.
    """

    name: str
    table: Table
    error: float


def measured(name: str, table: Table, cases: Sequence[Cases], source: Source) -> Candidate:
    """A candidate with its error on ``cases``."""
    return Candidate(name, table, float(errors(cases, table, source.schedule).mean()))


def best_fixed(
    source: Source, steps: int, few: Sequence[Cases], cases: Sequence[Cases]
) -> Candidate:
    """The best rule on the best fixed grid.

    Every grid is tried with two rules, the best grids with every rule that has a table, and the
    best pairs are compared once more.

    Args:
        source: the model.
        steps: number of steps.
        few: images for the search.
        cases: images for the last comparison.

    Raises:
        UsageError: if no grid suits the model.
    """
    grids = _fixed_grids(source, steps)
    tried = [
        candidate
        for name, times in grids.items()
        for candidate in _on_grid(name, times, ("dpmpp_2m", "euler"), few, source)
    ]
    if not tried:
        raise UsageError("no fixed grid suits this model: sample it with the steps that it needs")
    tried.sort(key=lambda candidate: candidate.error)
    best = list(dict.fromkeys(one.name.split(" on ")[1] for one in tried))[:_FINALISTS]
    tried += [
        candidate
        for name in best
        for candidate in _on_grid(name, grids[name], SAMPLERS, few, source)
    ]
    tried.sort(key=lambda candidate: candidate.error)
    finalists = {one.name: one for one in reversed(tried[: 2 * _FINALISTS])}
    last = [measured(one.name, one.table, cases, source) for one in finalists.values()]
    return min(last, key=lambda candidate: candidate.error)


def best_rule(times: Tensor, name: str, cases: Sequence[Cases], source: Source) -> Candidate:
    """The best rule on one grid."""
    found = _on_grid(name, times, SAMPLERS, cases, source)
    return min(found, key=lambda candidate: candidate.error)


def _on_grid(
    name: str, times: Tensor, samplers: Sequence[str], cases: Sequence[Cases], source: Source
) -> list[Candidate]:
    rules = {sampler: solver(sampler) for sampler in samplers}
    return [
        measured(f"{rule} on {name}", table, cases, source)
        for rule, table in tables(rules, source.schedule, times).items()
    ]


def _fixed_grids(source: Source, steps: int) -> dict[str, Tensor]:
    """Grids by name, without those that begin where the network is uninformative."""
    spec, rule = source.pipeline.spec, source.pipeline.denoiser.parameterization
    found = {}
    for name in _GRIDS:
        times = grid(name, source.schedule, steps, rho=spec.rho, sigma_min=spec.sigma_min)
        if rule.well_posed_at(source.schedule(times[0])):
            found[name] = times
    return found
