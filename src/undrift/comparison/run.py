"""``undrift compare``: train every method with every seed alike, measure all alike, and report."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from undrift.advice import named
from undrift.ambient import own_settings
from undrift.arguments import keywords_of
from undrift.comparison.cost import parameters_of, speed_of, training_flops
from undrift.comparison.executor import Executor, LocalExecutor
from undrift.comparison.figures import all_metrics
from undrift.comparison.journal import OWN, PROTOCOL, Journal, MeasuredBy
from undrift.comparison.methods import Method, Run
from undrift.comparison.page import write_page
from undrift.comparison.plan import Plan, open_plan
from undrift.comparison.scheduling import Work, work_off
from undrift.comparison.sentences import remarks
from undrift.comparison.settings import Compare, students_remarks
from undrift.comparison.slurm import SlurmExecutor
from undrift.comparison.summary import budget_result
from undrift.comparison.tuning import measured_on_validation, trial_runs, tuned, tuning_of
from undrift.comparison.verdicts import MARGINS
from undrift.comparison.work import RunWork
from undrift.data.findings import finding_lines
from undrift.errors import UsageError
from undrift.families.student.recipe import SHARE
from undrift.files.durable import write_output
from undrift.files.lock import FileLock
from undrift.metrics import chosen_metrics
from undrift.metrics.catalogue import METRICS
from undrift.names import shell_line
from undrift.options import CompareOptions
from undrift.options.train import seconds
from undrift.results.comparison import (
    BudgetClaim,
    BudgetKind,
    ComparisonProtocol,
    ComparisonResult,
    ComparisonTuning,
    FailedRun,
    MeasuredRun,
    MethodSpeed,
    ParameterCounts,
    RunResult,
)
from undrift.runs.configuration import RunConfig
from undrift.runs.device import choose_device
from undrift.runs.directory import check_folder, make_folder
from undrift.schema import to_plain
from undrift.version import __version__
from undrift.wording import plural

Results = Sequence[MeasuredRun | FailedRun]
Parameters = Mapping[BudgetKind, Mapping[str, ParameterCounts]]


class ComparisonProgress:
    """Callbacks of a comparison; an exception stops it. These do nothing."""

    def plan(self, lines: list[str], done: int, total: int) -> None:
        """Called once before the work: what it is, and how many runs are finished."""

    def run(self, result: RunResult, done: int, total: int, left: float | None) -> None:
        """Called after each run; ``left`` is about the seconds that the rest takes."""


@dataclass(frozen=True)
class CompareCall(CompareOptions):
    """Arguments of `compare`: data and methods, beside the options.

    Attributes:
        data: what ``undrift train`` takes.
        methods: names, or a `Method` with settings of its own; all are contrasted with the first.
            Methods that need a teacher, such as ``consistency``, are distilled from
            ``diffusion``, which has to be among them.
        executor: ``local``, in processes on this machine, ``slurm``, on a cluster, or any
            `Executor` of your own.
    """

    data: str | os.PathLike[str]
    _: KW_ONLY
    methods: Sequence[str | Method] = ("diffusion", "r3gan")
    executor: Executor | Literal["local", "slurm"] = "local"


@own_settings()
@keywords_of(CompareCall)
def compare(call: CompareCall) -> ComparisonResult:
    """Train methods alike and compare what they learn.

    The arguments are the fields of `CompareCall` and `undrift.options.CompareOptions`. The same
    call again resumes an interrupted comparison.

    Returns:
        ``result.budgets[0].methods``, per method its metrics as means over seeds with intervals,
        its costs, its share of failed runs, and its differences to the first method.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    own = None if isinstance(call.executor, str) else call.executor
    where = call.executor if isinstance(call.executor, str) else "local"
    settings = Compare.of(call, os.fspath(call.data), call.methods, executor=where)
    return run_comparison(settings, executor=own)


def run_comparison(
    comparison: Compare,
    progress: ComparisonProgress | None = None,
    executor: Executor | None = None,
    *,
    brief: bool = False,
) -> ComparisonResult:
    """Train and measure every run, and write ``report.json``, pictures and ``report.html``.

    Runs that are finished under the same protocol are not repeated.

    Args:
        comparison: the comparison.
        progress: its callbacks.
        executor: where runs are made; by default in processes on this machine.
        brief: leave out the timing of samples, the pictures and the page; then runs of which none
            could be measured are a result too.

    Raises:
        UsageError: methods that cannot be trained on this data, a folder with another comparison,
            or no run at all that could be measured.
        DataError: images that are missing, empty or too broken.
    """
    progress = ComparisonProgress() if progress is None else progress
    folder = Path(comparison.out)
    check_folder(folder, PROTOCOL, OWN, "a comparison")
    elsewhere = comparison.executor == "slurm"
    executor = _cluster(comparison, folder) if executor is None and elsewhere else executor
    threads = comparison.threads if elsewhere and comparison.threads else _threads(comparison)
    plan = open_plan(
        comparison, comparison.device if elsewhere else choose_device(comparison.device)
    )
    journal = Journal(folder, _measured_by(comparison, plan.device, threads))
    make_folder(folder)
    lock = FileLock(folder)
    lock.acquire()
    try:
        journal.prepare(plan.shared(threads), plan.own)
        parameters: Parameters = {
            kind: {
                method.name: parameters_of(
                    plan.configs[kind][method.name], plan.teacher(kind, method)
                )
                for method in methods
            }
            for kind, methods in plan.methods.items()
        }
        trials = _trials(plan, folder, threads)
        ready = all(work.result is not None for work in trials)
        tuning, chosen = _tuned(plan, trials) if ready else (None, plan)
        works = _works(chosen, journal, threads) if ready else []
        calls = _Calls(progress, [*trials, *works], len(trials) + len(plan.runs))
        progress.plan(_plan_lines(plan, parameters, calls.done, threads), calls.done, calls.total)
        with _places(executor, comparison.workers) as places:
            if not ready:
                calls.work_off(trials, places)
                tuning, chosen = _tuned(plan, trials)
                works = _works(chosen, journal, threads)
            for students in (False, True):  # which begin when their teachers are done
                calls.work_off([one for one in works if bool(one.teacher) == students], places)
        results = [work.result for work in works if work.result is not None]
        lost = [one for one in results if isinstance(one, FailedRun) and one.state == "failed"]
        if not brief and len(lost) == len(results):
            raise UsageError(f"no run could be measured: {lost[0].reason}")
        speeds = _speeds(chosen, journal, [] if brief else results, threads)
        found = _result(chosen, results, tuning, parameters, speeds, threads)
        _write(folder, found, pictures=not brief)
        return found
    finally:
        lock.release()


class _Calls:
    """Calls back after each run.

    Args:
        progress: the callbacks.
        works: those that may be done already.
        total: how many there will be.
    """

    def __init__(self, progress: ComparisonProgress, works: Sequence[RunWork], total: int) -> None:
        self.done = self._before = sum(work.result is not None for work in works)
        self.total = total
        self._progress, self._began = progress, time.monotonic()

    def work_off(self, works: Sequence[RunWork], executor: Executor) -> None:
        """Do those of ``works`` that are not done."""
        work_off([work for work in works if work.result is None], executor, self._call)

    def _call(self, work: Work) -> None:
        if isinstance(work, RunWork) and work.result is not None:
            self.done += 1
            each = (time.monotonic() - self._began) / (self.done - self._before)
            left = each * (self.total - self.done)
            self._progress.run(work.result, self.done, self.total, left)


@contextlib.contextmanager
def _places(executor: Executor | None, workers: int) -> Iterator[Executor]:
    """Where commands run: ``executor``, or processes that end with the comparison."""
    if executor is not None:
        yield executor
    else:
        with contextlib.closing(LocalExecutor(workers)) as local:
            yield local


def _cluster(comparison: Compare, folder: Path) -> Executor:
    return SlurmExecutor(
        folder / "slurm",
        places=comparison.workers,
        partition=comparison.slurm_partition,
        minutes=comparison.slurm_minutes,
        gpus=int(comparison.device == "cuda"),
    )


def _works(plan: Plan, journal: Journal, threads: int) -> list[RunWork]:
    works: dict[tuple[str | None, BudgetKind, int], RunWork] = {}
    name = None if plan.comparison.teacher is None else plan.comparison.teacher.name
    for run in sorted(plan.runs, key=lambda run: run.method.distilled):
        kind, seed = run.budget.kind, run.seed
        teacher = works[name, kind, seed] if run.method.distilled else None
        works[run.method.name, kind, seed] = RunWork(
            plan.comparison, run, journal, threads, teacher
        )
    return [works[run.method.name, run.budget.kind, run.seed] for run in plan.runs]


def _trials(plan: Plan, folder: Path, threads: int) -> list[RunWork]:
    """The trials, if any; their results are stored apart from those of the runs."""
    if not plan.comparison.trials:
        return []
    comparison = measured_on_validation(plan.comparison)
    journal = Journal(folder, _measured_by(comparison, plan.device, threads))
    return [RunWork(comparison, run, journal, threads) for run in trial_runs(plan)]


def _tuned(plan: Plan, trials: Sequence[RunWork]) -> tuple[ComparisonTuning | None, Plan]:
    if not trials:
        return None, plan
    tuning = tuning_of(plan, [work.result for work in trials if work.result is not None])
    return tuning, tuned(plan, tuning)


def _threads(comparison: Compare) -> int:
    """CPU threads of each run: the requested number, or an equal part of the cores."""
    cores = os.cpu_count() or 1
    threads = comparison.threads or max(1, cores // comparison.workers)
    if threads * comparison.workers > cores:
        raise UsageError(
            f"{named('workers')} {comparison.workers} of {plural(threads, 'thread')}: this "
            "machine has "
            f"{plural(cores, 'core')}, and "
            "runs that wait for each other do not compare; give fewer"
        )
    return threads


def _measured_by(comparison: Compare, device: str, threads: int) -> MeasuredBy:
    reference, weights = comparison.reference, comparison.feature_weights
    return MeasuredBy(
        version=__version__,
        metrics=tuple(chosen_metrics(comparison.metrics)),
        n=comparison.n,
        reference=None if reference is None else str(reference),
        features=(comparison.space, None if weights is None else str(weights)),
        split=comparison.split,
        seed=comparison.seed,
        device=device,
        threads=threads,
    )


def _speeds(
    plan: Plan, journal: Journal, results: Results, threads: int
) -> dict[BudgetKind, dict[str, MethodSpeed]]:
    """Cost of sampling: one finished run of each method and budget, one after the other."""
    # a cluster's runs are timed here, where there may be no GPU
    device = plan.device if torch.cuda.is_available() else "cpu"
    done = {result.name for result in results if result.state == "done"}
    speeds: dict[BudgetKind, dict[str, MethodSpeed]] = {
        budget.kind: {} for budget in plan.comparison.budgets
    }
    for run in plan.runs:
        kind, name = run.budget.kind, run.method.name
        if run.name not in done or name in speeds[kind]:
            continue
        speed = journal.speed(run)
        if speed is None:
            sampling = speed_of(journal.run(run), device, threads)
            flops = _training_flops(plan, run, results, device)
            speed = MethodSpeed(**vars(sampling), training_flops=flops, device=device)
            journal.write_speed(run, speed)
        speeds[kind][name] = replace(speed, run=run.name)
    return speeds


def _training_flops(plan: Plan, run: Run, results: Results, device: str) -> float:
    """Operations of training per image seen, of a student and its teacher per image of both."""
    images, configs = plan.data.split("train"), plan.configs[run.budget.kind]
    teacher = plan.comparison.teacher if run.method.distilled else None
    before = None if teacher is None else configs[teacher.name]
    own = training_flops(configs[run.method.name], images, device, before)
    if teacher is None or before is None:
        return own
    seen = {result.name: result.images for result in results}
    share = seen[replace(run, method=teacher).name] / seen[run.name]
    return share * training_flops(before, images, device) + (1 - share) * own


def _result(
    plan: Plan,
    results: Results,
    tuning: ComparisonTuning | None,
    parameters: Parameters,
    speeds: Mapping[BudgetKind, Mapping[str, MethodSpeed]],
    threads: int,
) -> ComparisonResult:
    comparison = plan.comparison
    done = [result for result in results if isinstance(result, MeasuredRun)]
    measured = tuple(
        name
        for name in chosen_metrics(comparison.metrics)
        if any(name in one.metrics for one in done)
    )
    tables = tuple(
        budget_result(budget, comparison.methods, results, measured)
        for budget in comparison.budgets
    )
    protocol = ComparisonProtocol(
        **vars(plan.shared(threads)),
        parameters=None if comparison.parameters is None else str(comparison.parameters),
        n=comparison.n,
        sample_seed=comparison.seed,
        workers=comparison.workers,
        measuring=done[0].protocol if done else "",
    )
    return ComparisonResult(
        version=__version__,
        command=shell_line(comparison.command),
        data=comparison.data,
        methods=tuple(method.name for method in comparison.methods),
        method_settings=tuple(method.as_result() for method in comparison.methods),
        seeds=tuple(comparison.seed + place for place in range(comparison.seeds)),
        metrics=measured,
        titles={
            name: next(one.metrics[name].name for one in done if name in one.metrics)
            for name in measured
        },
        better={name: METRICS[name].better for name in measured},
        margins={name: MARGINS[name].words for name in measured if name in MARGINS},
        claims=tuple(
            BudgetClaim(**vars(claim), budget=table.kind)
            for table in tables
            for claim in table.claims
        ),
        budgets=tables,
        tuning=tuning,
        missing={
            name: reason
            for one in done
            for name, reason in one.missing.items()
            if name not in measured
        },
        parameters=parameters,
        speeds=speeds,
        protocol=protocol,
        runs=tuple(results),
        remarks=(
            *students_remarks(comparison),
            *remarks(results, tables, parameters, protocol, tuning),
        ),
        configs={
            kind: {name: _anywhere(config) for name, config in by_method.items()}
            for kind, by_method in plan.configs.items()
        },
    )


def _anywhere(config: RunConfig) -> RunConfig:
    """The same without the folder of the data."""
    return replace(config, data=replace(config.data, path=None))


def _write(folder: Path, found: ComparisonResult, *, pictures: bool) -> None:
    """Write ``report.json`` and, with ``pictures``, ``compare-*.png`` and ``report.html``."""
    for table in found.budgets if pictures else ():
        chart = all_metrics(found, table)
        if chart is not None:
            write_output(folder / f"{chart.name}.png", chart.png(dpi=160), owned=True)
    text = json.dumps(to_plain(found), indent=1, allow_nan=False) + "\n"
    write_output(folder / "report.json", text.encode(), owned=True)
    if pictures:
        write_page(folder, found)


def _plan_lines(plan: Plan, parameters: Parameters, before: int, threads: int) -> list[str]:
    comparison = plan.comparison
    methods, budgets = comparison.methods, comparison.budgets
    lines = [
        f"{comparison.data}: {plural(len(plan.runs), 'run')}, "
        f"{', '.join(method.name for method in methods)}, "
        f"{plural(comparison.seeds, 'seed')} each"
    ]
    lines += finding_lines(plan.data.report, training=True)
    if comparison.trials:
        trials = comparison.trials * len(methods) * len(budgets)
        lines.append(
            f"{plural(trials, 'trial')} before them: {comparison.trials} of each, its recipe first"
        )
    lines += [budget.heading(methods) for budget in budgets]
    lines += [
        f"{name}: {count.generator:,} parameters of the generator, {count.all:,} in all"
        for name, count in parameters[budgets[0].kind].items()
    ]
    at_once = f"{comparison.workers} at a time, " if comparison.workers > 1 else "one at a time, "
    lines.append(f"{at_once}{plural(threads, 'thread')} each")
    if before:
        lines.append(f"{before} of them were finished before")
    if comparison.budget is not None:
        runs = comparison.seeds + comparison.trials * comparison.trial_share
        each = sum(SHARE if method.distilled else 1 for method in methods)
        in_all = seconds(comparison.budget) * runs * each / comparison.workers
        lines.append(
            f"the timed runs train for {in_all / 60:.3g} minutes in all; sampling and measuring "
            "come on top"
        )
    return lines
