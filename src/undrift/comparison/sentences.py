"""A comparison in sentences: what was found first, each with its number and its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from undrift.advice import possible
from undrift.metrics.seeds import OverSeeds
from undrift.report.history import History
from undrift.report.levels import contrast_over_seeds
from undrift.report.metric_table import SHARES, amount, title_of
from undrift.results.comparison import (
    BudgetKind,
    BudgetResult,
    ComparisonProtocol,
    ComparisonResult,
    ComparisonTuning,
    MeasuredRun,
    MethodResult,
    ParameterCounts,
    RunResult,
    Standing,
)
from undrift.results.verdict import ClaimResult, Verdict
from undrift.wording import dimensions, plural

STANDINGS: Mapping[Standing, tuple[str, str]] = {
    "better": ("good", "better, by more than the margin"),
    "worse": ("bad", "worse, by more than the margin"),
    "alike": ("", "alike: any difference is within the margin"),
    "open": (
        "warn",
        "open: the interval does not show whether a difference beyond the margin is there",
    ),
}
"""Tone and meaning of each standing."""

VERDICTS: Mapping[Verdict, str] = {
    "supported": "good",
    "not supported": "bad",
    "mixed": "warn",
    "inconclusive": "warn",
}
"""Tone of each verdict."""


def lead_of(found: ComparisonResult) -> str:
    """What was compared, on what and for how long."""
    height, width, channels = found.protocol.image_shape
    runs, done = len(found.runs), sum(run.state == "done" for run in found.runs)
    lost = "" if done == runs else f"; {runs - done} of {plural(runs, 'run')} failed"
    budgets = " and at ".join(table.words for table in found.budgets)
    return (
        f"{', '.join(found.methods)}: each trained with {plural(len(found.seeds), 'seed')} on the "
        f"same {plural(found.protocol.train_images, 'image')} "
        f"of {dimensions(height, width)}x{channels}, at {budgets}, and measured alike{lost}."
    )


def claim_number(claim: ClaimResult) -> str:
    """The effect of a claim with its interval, and what it rests on."""
    number = "not measured"
    if claim.value is not None:
        number = _points(claim.value)
        if claim.low is not None and claim.high is not None:
            low, high = _points(claim.low), _points(claim.high)
            number += f" (95% interval {low.removesuffix(' points')} to {high})"
        number += f": {claim.unit}"
    return f"{number}; {claim.reason}."


def _points(share: float) -> str:
    return signed("coverage", share)


def signed(metric: str, value: float) -> str:
    """A difference: ``+0.12``, or ``+3.1 points`` of a hundred between shares."""
    sign = "" if value == 0 else "+" if value > 0 else "−"
    return f"{sign}{size(metric, abs(value))}"


def size(metric: str, value: float) -> str:
    """How large a difference is: shares differ by points, not by percent of each other."""
    return f"{100 * value:.3g} points" if metric in SHARES else amount(metric, value)


def interval(metric: str, entry: OverSeeds) -> str:
    """``-0.1 to +0.3``; for one seed there is none."""
    if entry.low is None or entry.high is None:
        return "no interval: one seed"
    low, high = signed(metric, entry.low), signed(metric, entry.high)
    return f"{low.removesuffix(' points')} to {high}"


def level_lines(
    methods: Sequence[str], histories: Mapping[str, Sequence[tuple[int, History]]]
) -> list[str]:
    """At which noise levels the last validations of each method differ from the first's.

    Args:
        methods: names, in order; those without noise levels are left out.
        histories: method -> seed and history of each of its runs.
    """
    last = {
        method: {seed: history.main[-1] for seed, history in runs if history.main}
        for method, runs in histories.items()
    }
    first, *others = [name for name in methods if last.get(name)] or [""]
    found = ((name, contrast_over_seeds(last[first], last[name])) for name in others)
    return [
        f"{name}, validation error against {first}: {differences.words()}."
        for name, differences in found
        if differences is not None
    ]


def headlines(found: ComparisonResult) -> list[str]:
    """The first metric of every budget and method, as lines for a terminal."""
    lines = []
    for table in found.budgets:
        for row in table.methods[1:]:
            for metric, entry in list(row.contrasts.items())[:1]:
                lines.append(
                    f"{table.words}: {row.method} less {found.methods[0]} in "
                    f"{title_of(metric)} {signed(metric, entry.value)} "
                    f"({interval(metric, entry)}; {plural(entry.n, 'seed')}): {entry.standing}"
                )
    return lines


def tuning_words(tuning: ComparisonTuning | None) -> str:
    """How settings were chosen, for a protocol."""
    if tuning is None:
        return "each method's recipe; nothing was tuned for any method"
    space = "; ".join(f"{axis.name} x 1/{axis.most:g} to {axis.most:g}" for axis in tuning.space)
    length = (
        "as long as a run" if tuning.share == 1 else f"for {tuning.share:.0%} of a run's length"
    )
    return (
        f"{plural(tuning.trials, 'trial')} of each method, its recipe the first, then the same "
        f"quasi-random points of one space ({space}; a factor that a method lacks is left out), "
        f"each trained {length} with seed {tuning.seed}; the settings with the lowest "
        f"{title_of(tuning.metric)} to the validation images are used with every seed"
    )


def tuning_lines(tuning: ComparisonTuning | None) -> list[str]:
    """The best trials, for a terminal."""
    lines = []
    for kind, by_method in ({} if tuning is None else tuning.budgets).items():
        for name, found in by_method.items():
            point, values = found.point, {trial.point: trial.value for trial in found.trials}
            metric = tuning.metric if tuning else ""
            line = f"tuned at equal {kind}: {name} by {f'trial {point}' if point else 'its recipe'}"
            if values.get(point) is not None:
                line += f", {title_of(metric)} {amount(metric, values[point])}"
            if point and values.get(0) is not None:
                line += f" (its recipe {amount(metric, values[0])})"
            lines.append(line)
    return lines


def _failed_trials(tuning: ComparisonTuning | None) -> list[str]:
    """Methods some of whose trials failed, and that had fewer chances."""
    lines = []
    for kind, by_method in ({} if tuning is None else tuning.budgets).items():
        for name, found in by_method.items():
            every = len(found.trials)
            lost = [trial for trial in found.trials if trial.value is None]
            if lost:
                ending = "" if len(lost) < every else "; its recipe is used"
                lines.append(
                    f"{name}, tuned at equal {kind}: {len(lost)} of "
                    f"{plural(every, 'trial')} failed and "
                    f"were not chosen from ({lost[0].reason or lost[0].state}){ending}"
                )
    return lines


ENOUGH = 0.9
"""Share of the processor time of an undisturbed run below which a run was disturbed."""


def remarks(
    runs: Sequence[RunResult],
    tables: Sequence[BudgetResult],
    parameters: Mapping[BudgetKind, Mapping[str, ParameterCounts]],
    protocol: ComparisonProtocol,
    tuning: ComparisonTuning | None,
) -> tuple[str, ...]:
    """What a reader has to know before the tables: everything that is not as it should be."""
    lines = _unlike(runs)
    for table in tables:
        lines += [line for line in _sizes(parameters[table.kind]) if line not in lines]
        lines += [line for line in table.floors_missing if line not in lines]
        for row in table.methods:
            lines += _lost(row, table)
        if any(row.done == 1 for row in table.methods):
            hint = possible("give more {seeds}", "it takes several")
            lines.append(f"{table.words}: one seed has no interval; {hint}")
    if protocol.device == "cpu":
        lines += _disturbed(runs)
    return (*lines, *_failed_trials(tuning))


def _lost(row: MethodResult, table: BudgetResult) -> list[str]:
    """Runs of a method that are in no mean, and those that are but count as failed."""
    where, lost, lines = f"{row.method}, {table.words}", row.runs - row.done, []
    if lost:
        lines.append(
            f"{where}: {lost} of {plural(row.runs, 'run')} failed and are in no mean "
            f"({row.reasons[0]})"
        )
    if bad := len(row.reasons) - lost:
        lines.append(
            f"{where}: {bad} of {plural(row.runs, 'run')} ended collapsed or diverged by their "
            "periodic evaluations; they are in the means, and count as failed"
        )
    return lines


def _disturbed(runs: Sequence[RunResult]) -> list[str]:
    """Runs that got clearly less processor time than others of their kind, or than one core has.

    The cores that several threads use depend on the method, so a run is held against the most that
    a run of the same method got.
    """
    shares: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        if run.processor_share:
            shares.setdefault((run.method, run.budget), []).append(run.processor_share)
    low = [mine for mine in shares.values() if min(mine) < ENOUGH * max(1.0, *mine)]
    if not low:
        return []
    worst = min(low, key=lambda mine: min(mine) / max(mine))
    return [
        f"runs of one method got {min(worst):.2f} to {max(worst):.2f} processor cores: something "
        "else used them, so seconds do not compare, and equal seconds were not equal work; repeat "
        "on an idle machine"
    ]


def _sizes(parameters: Mapping[str, ParameterCounts]) -> list[str]:
    """Generators are meant to be of one size, within 10 %."""
    sizes = {name: counts.generator for name, counts in parameters.items()}
    first, size = next(iter(sizes.items()))
    far = {name: count for name, count in sizes.items() if abs(count / size - 1) > 0.1}
    if not far:
        return []
    words = ", ".join(f"{name} {count:,} ({count / size:.2g} times)" for name, count in far.items())
    return [f"generators are not of one size within 10 %: {first} {size:,}, {words}"]


def _unlike(runs: Sequence[RunResult]) -> list[str]:
    """Numbers of different feature spaces or references do not compare."""
    done = [run for run in runs if isinstance(run, MeasuredRun)]
    for what, kinds in (
        ("feature spaces", {repr(run.features) for run in done}),
        ("references", {repr(run.reference) for run in done}),
    ):
        if len(kinds) > 1:
            return [f"runs were measured with different {what}: their numbers do not compare"]
    return []
