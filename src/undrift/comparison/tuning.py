r"""Equal tuning: the same number of trials for every method, evaluated on validation images.

Each trial is a run with settings of the search space and a seed of its own, trained on the training
images; the Frechet distance of its samples to the validation images decides. All runs of a method
get the settings of its best trial, and are measured on other images.

The search space is declared once for all methods. A trial multiplies numbers of a method's recipe
by factors; the same points for every method:

===============  ==========  ======================================================================
learning rate    1/4 to 4    peak of its schedule; all its optimisers' rates keep their ratio
batch size       1/2 to 2    in steps of 8 images; a GAN recipe may adapt its penalty to it
regularisation   1/4 to 4    of a GAN the gradient penalty's weight, of a class-conditional
                             diffusion model the label dropout
===============  ==========  ======================================================================

Trial k has the coordinates

.. math::

    u_k = (\tfrac12 + \phi_b(k)) \bmod 1, \qquad \phi_b(k) = \sum_i d_i b^{-i-1}          \quad (1)

with d the digits of k, lowest first, in base b = 2, 3, 5 for the three axes (Halton's sequence,
shifted), and the factors :math:`r^{2u - 1}` for ranges from 1/r to r (2). Trial 0 is the recipe
itself, and more trials begin with fewer ones' and fill the space more evenly.

A factor that a method lacks (no penalty: sngan, dcgan; no classes), or that the comparison fixes
for all (--batch-size), is left out for it. No trial is wasted: along each of the other axes all
still have different values, unlike those of a grid.

References: Halton, "On the efficiency of certain quasi-random sequences of points" (1960), for (1);
Bergstra & Bengio, "Random search for hyper-parameter optimization" (2012), for the last remark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from undrift.comparison.methods import Budget, Method, Run
from undrift.comparison.plan import Plan
from undrift.comparison.settings import Compare
from undrift.families import family_of
from undrift.families.parameters import drawing_parameters
from undrift.results.comparison import (
    BudgetKind,
    ComparisonTuning,
    FailedRun,
    MeasuredRun,
    SearchAxis,
    Setting,
    Trial,
    TunedMethod,
)
from undrift.runs.configuration import RunConfig

METRIC = "fd"
"""What decides between trials: the lowest."""

SEED = 2**32
"""Difference between the seed of trials and that of the first run: more than there are seeds."""

STEP = 8
"""Images that the batch size of a trial is a multiple of."""


@dataclass(frozen=True)
class Factor(SearchAxis):
    """One axis of the space.

    Attributes:
        base: b, of the digits that give its coordinate.
    """

    base: int

    def at(self, trial: int) -> float:
        """The factor of a trial."""
        mirrored, place = 0.0, 1.0
        while trial:
            trial, digit = divmod(trial, self.base)
            place /= self.base
            mirrored += digit * place
        return self.most ** (2 * ((0.5 + mirrored) % 1) - 1)  # (1), (2)


SPACE = (
    Factor("learning rate", 4.0, 2),
    Factor("batch size", 2.0, 3),
    Factor("regularisation", 4.0, 5),
)


def factors_of(trial: int) -> dict[str, float]:
    """Factor of each axis for a trial; all 1 for trial 0."""
    return {factor.name: factor.at(trial) for factor in SPACE}


def settings_of(
    trial: int, config: RunConfig, own: Mapping[str, Setting | None]
) -> dict[str, Setting]:
    """What a trial sets, as fields of `TrainOptions`; nothing for trial 0.

    Args:
        trial: its number.
        config: the recipe that it multiplies, resolved.
        own: what the comparison and the method have set already.
    """
    if trial == 0:
        return {}
    factors = factors_of(trial)
    family = family_of(config.model)
    found: dict[str, Setting] = {
        "learning_rate": _rounded(family.peak_rate(config.model) * factors["learning rate"])
    }
    if own.get("batch_size") is None:
        steps = round(config.training.batch_size * factors["batch size"] / STEP)
        found["batch_size"] = STEP * max(1, steps)
    if (regularised := family.regularisation(config.model)) is not None:
        name, value, largest = regularised
        strength = factors["regularisation"] * float(own.get(name) or value)
        found[name] = min(largest, _rounded(strength))
    return found


def _rounded(number: float) -> float:
    return float(f"{number:.3g}")


def measured_on_validation(comparison: Compare) -> Compare:
    """``comparison`` as its trials are measured."""
    return replace(comparison, metrics=(METRIC,), reference=None, split="validation", trials=0)


def trial_runs(plan: Plan) -> tuple[Run, ...]:
    """Every trial, number by number, so that an interrupted tuning has all methods alike."""
    comparison = plan.comparison
    return tuple(
        Run(
            _of_full_size(plan, _at(plan, method, budget, point), budget),
            budget.times(comparison.trial_share),
            comparison.seed + SEED,
            point,
            trial=True,
        )
        for point in range(comparison.trials)
        for budget in comparison.budgets
        for method in plan.methods[budget.kind]
    )


def _at(plan: Plan, method: Method, budget: Budget, point: int) -> Method:
    """``method`` with the settings of a point of the search space."""
    config = plan.configs[budget.kind][method.name]
    alike = {k: v for k, v in plan.comparison.alike.items() if not isinstance(v, tuple)}
    return method.with_settings(settings_of(point, config, {**alike, **method.settings}))


def _of_full_size(plan: Plan, method: Method, budget: Budget) -> Method:
    """``method`` with the size of its runs set, where a shorter budget's recipe has another."""
    share = plan.comparison.trial_share
    if budget.kind == "images" or share == 1 or "parameters" in method.settings:
        return method
    size = drawing_parameters(plan.configs[budget.kind][method.name].model)
    return method.with_settings({"parameters": str(size)})


def tuning_of(plan: Plan, trials: Sequence[MeasuredRun | FailedRun]) -> ComparisonTuning:
    """What the trials found."""
    comparison = plan.comparison
    return ComparisonTuning(
        trials=comparison.trials,
        share=comparison.trial_share,
        seed=comparison.seed + SEED,
        metric=METRIC,
        space=tuple(SearchAxis(factor.name, factor.most) for factor in SPACE),
        budgets={
            budget.kind: {
                method.name: _best(
                    [
                        run
                        for run in trials
                        if (run.budget, run.method) == (budget.kind, method.name)
                    ],
                    method.settings,
                )
                for method in plan.methods[budget.kind]
            }
            for budget in comparison.budgets
        },
    )


def tuned(plan: Plan, tuning: ComparisonTuning) -> Plan:
    """``plan`` with every method at its best trial."""
    points: dict[BudgetKind, dict[str, int]] = {
        kind: {name: found.point for name, found in by_method.items()}
        for kind, by_method in tuning.budgets.items()
    }
    methods: dict[BudgetKind, tuple[Method, ...]] = {
        budget.kind: tuple(
            _at(plan, method, budget, points[budget.kind][method.name])
            for method in plan.methods[budget.kind]
        )
        for budget in plan.comparison.budgets
    }
    return plan.tuned(methods, points)


def _best(runs: Sequence[MeasuredRun | FailedRun], own: Mapping[str, Setting]) -> TunedMethod:
    trials = tuple(_trial(run, own) for run in runs)
    known = [(trial.value, trial.point) for trial in trials if trial.value is not None]
    return TunedMethod(
        point=min(known)[1] if known else 0,
        seconds=sum(trial.seconds for trial in trials),
        trials=trials,
    )


def _trial(run: MeasuredRun | FailedRun, own: Mapping[str, Setting]) -> Trial:
    measured = run if isinstance(run, MeasuredRun) else None
    metric = measured.metrics.get(METRIC) if measured else None
    return Trial(
        point=run.point,
        factors=factors_of(run.point),
        settings={name: value for name, value in run.settings.items() if own.get(name) != value},
        state=run.state,
        value=metric.value if metric else None,
        low=metric.low if metric else None,
        high=metric.high if metric else None,
        seconds=run.seconds,
        cpu_seconds=run.cpu_seconds,
        images=run.images,
        steps=run.steps,
        measuring_cpu_seconds=measured.measuring_cpu_seconds if measured else None,
        reason=run.reason if isinstance(run, FailedRun) else None,
    )
