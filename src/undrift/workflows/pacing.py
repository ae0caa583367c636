r"""Keeping a run within its budget: its steps are planned anew from the pace that is measured.

The probe before the first step sees a few seconds of a machine that may become busy or idle. So
when 1/8, 1/4 and 1/2 of the run are done, the updates that are left are those that fit into the
rest of the budget B. With E seconds spent so far, c seconds per update since the last such point
and p the progress,

    steps = s + (B - E - reserve (1 - p) B - V) / c,                                        (1)

within an eighth and eight times of what was left. The new number is in ``config.yaml`` before it is
used, so that a resume and a repeat of the run make the same weights; a repeat measures nothing.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import torch

from undrift.families import family_of
from undrift.limits import MOST_TRAINING_STEPS
from undrift.options.train import seconds
from undrift.runs import configuration
from undrift.runs.configuration import RunConfig
from undrift.runs.directory import RunDirectory
from undrift.runs.events import EventLog
from undrift.runs.log import RunLog
from undrift.training.distributed import World
from undrift.training.pacing import Pace
from undrift.training.plan import TrainingPlan
from undrift.wording import clock, plural
from undrift.workflows.planning import RESERVE, evaluation_seconds, validation_seconds

POINTS = (1 / 8, 1 / 4, 1 / 2)
"""Progress at which a run is planned anew."""

MOST_CHANGE = 8
"""Factor by which the updates that are left may change at one point."""

LEAST_CHANGE = 0.02
"""Share of the updates that are left below which a change is not worth it."""

FEW_UPDATES = 4
"""Updates below which their pace says less than the probe's."""


class BudgetPacing:
    """The `undrift.training.pacing.Pacing` of a run under a budget.

    Args:
        run: its directory.
        config: its configuration; ``replan`` is True.
        world: the ranks; the first one measures and writes.
        log: where changes are written.
        events: of the run; None on other ranks than the first.
        spent: seconds of the budget that were spent before now.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: RunConfig,
        world: World,
        log: RunLog,
        events: EventLog | None,
        spent: float,
    ) -> None:
        self.config = config
        self._run = run
        self._world = world
        self._log = log
        self._events = events
        self._began = time.perf_counter() - spent

    def replan(self, plan: TrainingPlan, step: int, pace: Pace) -> TrainingPlan:
        """``plan``, or the one with the length of (1), which is stored by then."""
        if not self.config.replan or not is_due(plan, step):
            return plan
        steps = torch.tensor(plan.steps)
        if self._world.first:
            elapsed = time.perf_counter() - self._began
            measured = pace.seconds() if pace.updates >= FEW_UPDATES else None
            per_step = measured or self.config.seconds_per_step or 0.0
            steps = torch.tensor(fitting_steps(self.config, plan, step, elapsed, per_step))
            pace.restart()
            self._store(plan.replanned(step, int(steps)), step, elapsed, per_step)
        steps = steps.to(self._world.device)
        self._world.broadcast([steps])
        changed = plan.replanned(step, int(steps))
        self.config = _with_plan(self.config, changed)
        return changed

    def finish(self) -> RunConfig:
        """The configuration of a run whose last step is made: its length is final."""
        if self.config.replan:  # too short for all of the points
            self.config = replace(self.config, replan=False)
            if self._world.first:
                self._run.write_text("config.yaml", configuration.dump(self.config))
        return self.config

    def _store(self, plan: TrainingPlan, step: int, elapsed: float, per_step: float) -> None:
        config = _with_plan(self.config, plan)
        self._run.write_text("config.yaml", configuration.dump(config))
        before = self.config.training.steps
        if self._events is not None:
            self._events.write(
                "replan",
                step=step,
                steps=plan.steps,
                before=before,
                elapsed=elapsed,
                seconds_per_step=per_step,
            )
        if plan.steps != before:
            rate = plan.batch_size / per_step
            self._log.say(
                f"step {step}: {clock(elapsed)} of {config.budget} spent, {rate:.0f} images/s: "
                f"{plural(plan.steps, 'step')} in all now, {before:,} before"
            )


def is_due(plan: TrainingPlan, step: int) -> bool:
    """Whether a run with ``plan`` is planned anew after update ``step``."""
    last = plan.replans[-1].step if plan.replans else 0
    return last < step < plan.steps and _passed(plan, step) > _passed(plan, last)


def fitting_steps(
    config: RunConfig, plan: TrainingPlan, step: int, elapsed: float, per_step: float
) -> int:
    """Updates of the whole run that keep its budget, equation (1) within its bounds.

    Args:
        config: of the run, with a budget.
        plan: as it is.
        step: updates made.
        elapsed: seconds of the budget that they and all else have taken.
        per_step: seconds that an update takes.
    """
    budget = seconds(config.budget or "")
    left = plan.steps - step
    reserve = RESERVE * (1 - plan.progress(step)) * budget + validation_seconds(config)
    fitting = (budget - elapsed - reserve) / max(1e-9, per_step + evaluation_seconds(config))
    if abs(fitting - left) <= LEAST_CHANGE * left:
        return plan.steps
    updates = int(min(max(fitting, math.ceil(left / MOST_CHANGE)), left * MOST_CHANGE))
    fewest = family_of(config.model).fewest_steps(config.model)
    return min(max(step + updates, fewest, step + 1), MOST_TRAINING_STEPS)


def _passed(plan: TrainingPlan, step: int) -> int:
    return sum(plan.progress(step) >= point for point in POINTS)


def _with_plan(config: RunConfig, plan: TrainingPlan) -> RunConfig:
    """``config`` with ``plan``, which is changed no more once the last point is passed."""
    more = _passed(plan, plan.replans[-1].step) < len(POINTS)
    return replace(config, training=plan, replan=more)
