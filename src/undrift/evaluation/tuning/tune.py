"""``undrift tune-sampler``: the best sampler of so many evaluations for one trained model.

The images are divided: one half to fit, one quarter to choose by, one quarter to measure what is
kept. For each number of steps, the candidates are the best classical rule on the best fixed grid,
the best rule on the grid that dynamic programming finds, that one with coefficients by regression,
and the same refined by gradient; the one that is best on the second part is kept. Where real images
are at hand, the last step of what is kept is fitted to them, on further images. Its error beside
the fixed one's is that on the third part.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from undrift.evaluation.tuning.calibration import FITTED, TESTED, calibrate
from undrift.evaluation.tuning.cases import FINE, PART, Source, draw_cases, few_of
from undrift.evaluation.tuning.classical import Candidate, best_fixed, best_rule, measured
from undrift.evaluation.tuning.likeness import Likeness
from undrift.pipelines.diffusion.learned import LearnedFacts, LearnedSampler
from undrift.results.curve import Interval
from undrift.results.tuning import DataDistance, SamplerError, StageError, TunedSampler
from undrift.sampling.learned import (
    Cases,
    Trajectory,
    errors,
    refine,
    regress,
    shortest_path,
    step_costs,
)
from undrift.wording import plural

ROUNDS, UPDATES, PATIENCE = 6, 5, 3
NEARER = 2 / 3
"""Share of the best fixed sampler's error that the calibrated last step may have."""

_FEW = 8
_BACKWARD = 3.0  # forward and backward together, in forwards; measured anew before each tuning
_RESAMPLES = 4000


class TuningProgress:
    """Callbacks of a tuning; an exception stops it. These do nothing."""

    def plan(self, lines: list[str]) -> None:
        """Called before the work, with a description of it and its cost."""

    def progress(self, doing: str, done: float, left: float) -> None:
        """Called during the work: what it is, the share that is done, and seconds left."""

    def result(self, row: TunedSampler) -> None:
        """Called after each number of steps."""


@dataclass
class Clock:
    """Forwards done of forwards expected, and the time that they took.

    Attributes:
        total: forwards of one image that are expected.
        progress: its callbacks.
        done: forwards so far.
    """

    total: float
    progress: TuningProgress
    done: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    def add(self, doing: str, forwards: float) -> None:
        """Count ``forwards``, and report the progress."""
        self.done = min(self.done + forwards, self.total)
        passed = time.perf_counter() - self.began
        left = passed / max(self.done, 1.0) * (self.total - self.done)
        self.progress.progress(doing, self.done / self.total, left)


@dataclass(frozen=True, eq=False)
class Groups:
    """The images of a tuning.

    Attributes:
        fit: to fit samplers to.
        choose: to choose among them.
        few: the first of ``choose``.
        test: to measure the one that is kept.
    """

    fit: list[Cases]
    choose: list[Cases]
    few: list[Cases]
    test: list[Cases]

    @property
    def count(self) -> int:
        """Images in all."""
        return sum(len(one.start) for one in (*self.fit, *self.choose, *self.test))


def forwards(steps: Sequence[int], samples: int, calibrated: bool) -> float:
    """About how many forwards of one image a tuning takes."""
    fit, choose = samples // 2, samples // 4
    search = 60 * _FEW + 6 * choose
    learn = 3 * fit + ROUNDS * (UPDATES * 1.15 * _BACKWARD * fit + choose)
    last = (FITTED + TESTED) * samples if calibrated else 0
    return FINE * samples + sum(k * (search + learn + 2 * choose + last) for k in steps)


def seconds_per_forward(source: Source) -> float:
    """Of one image, measured."""
    denoise, noise = source.bound(range(PART))
    times = source.times()
    x = noise * source.schedule(times[0]).sigma
    best = float("inf")
    with torch.no_grad():
        for _ in range(3):
            began = time.perf_counter()
            denoise(x, times[0])
            best = min(best, time.perf_counter() - began)
    return best / PART


def draw_groups(source: Source, samples: int, clock: Clock) -> Groups:
    """Solve all images finely."""
    ends = [0, samples // 2, samples // 2 + samples // 4, samples]

    def on_part(images: int) -> None:
        clock.add(f"solving in {FINE} steps", images * FINE)

    parts = [
        draw_cases(source, range(first, last), on_part)
        for first, last in zip(ends, ends[1:], strict=False)
    ]
    rows = range(ends[1], ends[2])
    return Groups(parts[0], parts[1], few_of(source, rows, parts[1], _FEW), parts[2])


def tune(
    source: Source,
    groups: Groups,
    cost: torch.Tensor,
    steps: int,
    clock: Clock,
    likeness: Likeness | None = None,
) -> tuple[LearnedSampler, TunedSampler]:
    """Find the best sampler of ``steps`` evaluations.

    Args:
        source: the model.
        groups: the images.
        cost: of every step along the fine solutions of ``groups.fit``.
        steps: number of steps.
        clock: counts the work.
        likeness: to the data, which the last step is fitted to; None leaves it.

    Returns:
        The sampler, and its errors on ``groups.test``.
    """
    schedule, fit, choose = source.schedule, groups.fit, groups.choose
    images = sum(len(one.start) for one in fit)
    fixed = best_fixed(source, steps, groups.few, choose)
    clock.add(f"{plural(steps, 'step')}: fixed grids", 60 * _FEW * steps)
    nodes = shortest_path(cost, steps)
    rule = best_rule(fit[0].path.times[nodes], "searched grid", groups.few, source)
    searched = measured(rule.name, rule.table, choose, source)
    on_nodes = [Cases(one.denoise, one.path.at(nodes)) for one in fit]
    regressed = measured("regressed", regress(on_nodes, searched.table, schedule), choose, source)
    clock.add(f"{plural(steps, 'step')}: searched grid", 3 * images * steps)

    def on_round(done: int, fitted: float, kept: float) -> None:
        clock.add(f"{plural(steps, 'step')}: refining", UPDATES * 1.15 * _BACKWARD * images * steps)

    start = min(searched, regressed, key=lambda candidate: candidate.error)
    found = refine(
        fit,
        choose,
        start.table,
        schedule,
        source.spread,
        rounds=ROUNDS,
        updates=UPDATES,
        patience=PATIENCE,
        on_round=on_round,
    )
    refined = Candidate("refined", found.table, found.error)
    kept = min(fixed, searched, regressed, refined, key=lambda candidate: candidate.error)
    distance: DataDistance | None = None
    if likeness is not None:
        last = calibrate(
            source,
            kept.table,
            likeness,
            choose,
            count=groups.count,
            furthest=max(kept.error, NEARER * fixed.error),
            on_part=lambda count: clock.add(f"{plural(steps, 'step')}: last step", count * steps),
        )
        distance = DataDistance(last.before, last.after)
        if last.table is not kept.table:
            kept = measured(f"{kept.name}, calibrated", last.table, choose, source)
    stages = {"fixed": fixed, "searched": searched, "regressed": regressed, "refined": refined}
    tested = {
        name: errors(groups.test, one.table, schedule).numpy() for name, one in stages.items()
    }
    after = errors(groups.test, kept.table, schedule).numpy()
    row = _row(steps, kept, fixed, searched, tested, after, source.seed, distance)
    facts = LearnedFacts(
        steps=steps,
        guidance=source.guidance,
        method=kept.name,
        error=float(after.mean()),
        fixed=fixed.name,
        fixed_error=float(tested["fixed"].mean()),
        seed=source.seed,
        images=images,
    )
    return LearnedSampler(kept.table.detached(), facts), row


def tune_all(
    source: Source,
    steps: Sequence[int],
    samples: int,
    progress: TuningProgress,
    likeness: Likeness | None = None,
) -> tuple[dict[int, LearnedSampler], tuple[TunedSampler, ...], float]:
    """Tune every number of steps; returns samplers, rows and the seconds it took."""
    began = time.perf_counter()
    total = forwards(steps, samples, likeness is not None)
    expected = total * seconds_per_forward(source)
    progress.plan(
        [
            f"{plural(samples, 'image')}, solved in {FINE} steps: half to fit, a quarter to "
            "choose by, a quarter to test",
            f"about {total:,.0f} network evaluations of one image, {expected / 60:.1f} min",
        ]
    )
    clock = Clock(total, progress)
    groups = draw_groups(source, samples, clock)
    path = Trajectory.joined([one.path for one in groups.fit])
    cost = step_costs(path, source.schedule, source.spread)
    found, rows = {}, []
    for count in steps:
        found[count], row = tune(source, groups, cost, count, clock, likeness)
        rows.append(row)
        progress.result(row)
    return found, tuple(rows), time.perf_counter() - began


def _row(
    steps: int,
    kept: Candidate,
    fixed: Candidate,
    searched: Candidate,
    tested: dict[str, np.ndarray],
    after: np.ndarray,
    seed: int,
    distance: DataDistance | None,
) -> TunedSampler:
    before = tested["fixed"]
    draws = np.random.default_rng([seed, steps])
    chosen = draws.integers(0, len(after), (_RESAMPLES, len(after)))
    low, high = np.quantile(_reduction(after[chosen], before[chosen]), [0.025, 0.975])
    return TunedSampler(
        steps=steps,
        kept=kept.name,
        fixed=SamplerError(float(before.mean()), fixed.name),
        searched=SamplerError(float(tested["searched"].mean()), searched.name),
        regressed=StageError(float(tested["regressed"].mean())),
        refined=StageError(float(tested["refined"].mean())),
        error=float(after.mean()),
        reduction=Interval(float(_reduction(after, before)), float(low), float(high)),
        tested_on=len(after),
        times=tuple(kept.table.times.tolist()),
        model_times=tuple(kept.table.model_times.tolist()),
        distance=distance,
    )


def _reduction(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Share of the mean error along the last axis that has gone; 0 where there was none."""
    mean = before.mean(-1)
    return np.where(mean > 0, 1 - after.mean(-1) / np.where(mean > 0, mean, 1.0), 0.0)
