"""``undrift compare``: train every arm with every seed alike, measure all alike, and report."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from undrift.ambient import own_settings
from undrift.arguments import keywords_of
from undrift.comparison.bench import Bench, open_bench
from undrift.comparison.cells import Arm
from undrift.comparison.executor import Executor, LocalExecutor
from undrift.comparison.flops import training_flops
from undrift.comparison.inference import parameters_of, speed_of
from undrift.comparison.journal import OWN, PROTOCOL, Journal
from undrift.comparison.page import write_page
from undrift.comparison.result import result_of, write_result
from undrift.comparison.scheduling import Work, work_off
from undrift.comparison.settings import Compare
from undrift.comparison.slurm import SlurmExecutor
from undrift.comparison.tuning import (
    measured_on_validation,
    trial_cells,
    tuning_of,
    winners,
)
from undrift.comparison.work import CellWork
from undrift.data.findings import finding_lines
from undrift.errors import UsageError
from undrift.files.lock import FileLock
from undrift.metrics import chosen_metrics
from undrift.options import CompareOptions
from undrift.options.train import seconds
from undrift.runs.directory import check_folder, make_folder
from undrift.runs.recipes import choose_device
from undrift.schema import to_plain
from undrift.version import __version__
from undrift.wording import plural


class ComparisonProgress:
    """Callbacks of a comparison; an exception stops it. These do nothing."""

    def plan(self, lines: list[str], done: int, total: int) -> None:
        """Called once before the work: what it is, and how many runs are finished."""

    def run(self, record: dict[str, Any], done: int, total: int, left: float | None) -> None:
        """Called after each run; ``left`` is about the seconds that the rest takes."""


@dataclass(frozen=True)
class CompareCall(CompareOptions):
    """Arguments of `compare`: data and methods, beside the options.

    Attributes:
        data: what ``undrift train`` takes.
        methods: names, or an `Arm` for a method with settings of its own; all are contrasted with
            the first.
        executor: ``local``, in processes on this machine, ``slurm``, on a cluster, or any
            `Executor` of your own.
    """

    data: str | os.PathLike[str]
    _: KW_ONLY
    methods: Sequence[str | Arm] = ("diffusion", "r3gan")
    executor: Executor | Literal["local", "slurm"] = "local"


@own_settings()
@keywords_of(CompareCall)
def compare(call: CompareCall) -> dict[str, Any]:
    """Train methods alike and compare what they learn.

    The arguments are the fields of `CompareCall` and `undrift.options.CompareOptions`. The same
    call again goes on where it was stopped.

    Returns:
        ``result["ledgers"][0]["methods"]``, per method its metrics as means over seeds with
        intervals, its costs, its share of failed runs, and its contrasts to the first method.

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
) -> dict[str, Any]:
    """Train and measure every cell, and write ``report.json``, pictures and ``report.html``.

    Runs that are finished under the same protocol are not repeated.

    Args:
        comparison: the comparison.
        progress: its callbacks.
        executor: where runs are made; by default in processes on this machine.
        brief: leave out the times of drawing, the pictures and the page; then runs of which none
            could be measured are a result too.

    Returns:
        ``ledgers``: see `ledger_table`; ``tuning``: see `tuning_of`, None where nothing is tuned;
        ``runs``: every record; ``parameters``, ``speeds``, ``remarks`` and ``protocol``.

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
    bench = open_bench(
        comparison, comparison.device if elsewhere else choose_device(comparison.device)
    )
    journal = Journal(folder, _measured_by(comparison, bench.device, threads))
    protocol = bench.protocol(threads)
    make_folder(folder)
    lock = FileLock(folder)
    lock.acquire()
    try:
        journal.prepare(protocol, bench.own)
        parameters = {
            kind: {name: parameters_of(config) for name, config in by_arm.items()}
            for kind, by_arm in bench.configs.items()
        }
        trials = _trials(bench, folder, threads)
        ready = all(work.record is not None for work in trials)
        tuning, tuned = _tuned(bench, trials) if ready else (None, bench)
        works = _works(tuned, journal, threads) if ready else []
        total = len(trials) + len(bench.cells)
        telling = _Reporting(progress, [*trials, *works], total)
        progress.plan(_plan(bench, parameters, telling.done, threads), telling.done, total)
        with _places(executor, comparison.workers) as places:
            if not ready:
                telling.work_off(trials, places)
                tuning, tuned = _tuned(bench, trials)
                works = _works(tuned, journal, threads)
            telling.work_off(works, places)
        records = [work.record for work in works if work.record is not None]
        if not brief and all(record["state"] == "failed" for record in records):
            raise UsageError(f"no run could be measured: {records[0]['reason']}")
        speeds = _speeds(tuned, journal, [] if brief else records, threads)
        found = result_of(comparison, records, tuning, parameters, speeds, protocol, threads)
        found["configs"] = _plain(tuned)
        write_result(folder, found, pictures=not brief)
        if not brief:
            write_page(folder, found)
        return found
    finally:
        lock.release()


class _Reporting:
    """Calls back after each run.

    Args:
        progress: the callbacks.
        works: those that may be done already.
        total: how many there will be.
    """

    def __init__(self, progress: ComparisonProgress, works: Sequence[CellWork], total: int) -> None:
        self.done = self._before = sum(work.record is not None for work in works)
        self._progress, self._total, self._began = progress, total, time.monotonic()

    def work_off(self, works: Sequence[CellWork], executor: Executor) -> None:
        """Do those of ``works`` that are not done."""
        work_off([work for work in works if work.record is None], executor, self._tell)

    def _tell(self, work: Work) -> None:
        if isinstance(work, CellWork) and work.record is not None:
            self.done += 1
            each = (time.monotonic() - self._began) / (self.done - self._before)
            left = each * (self._total - self.done)
            self._progress.run(work.record, self.done, self._total, left)


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


def _plain(bench: Bench) -> dict[str, dict[str, Any]]:
    """Kind of ledger -> arm -> what it is trained with, as plain data."""
    return {
        kind: {
            name: to_plain(replace(config, data=replace(config.data, path=None)))
            for name, config in by_arm.items()
        }
        for kind, by_arm in bench.configs.items()
    }


def _works(bench: Bench, journal: Journal, threads: int) -> list[CellWork]:
    return [CellWork(bench.comparison, cell, journal, threads) for cell in bench.cells]


def _trials(bench: Bench, folder: Path, threads: int) -> list[CellWork]:
    """The trials, if any; their results are stored apart from those of the runs."""
    if not bench.comparison.trials:
        return []
    comparison = measured_on_validation(bench.comparison)
    journal = Journal(folder, _measured_by(comparison, bench.device, threads))
    return [CellWork(comparison, cell, journal, threads) for cell in trial_cells(bench)]


def _tuned(bench: Bench, trials: Sequence[CellWork]) -> tuple[dict[str, Any] | None, Bench]:
    if not trials:
        return None, bench
    tuning = tuning_of(bench, [work.record for work in trials if work.record is not None])
    return tuning, bench.tuned(winners(tuning))


def _threads(comparison: Compare) -> int:
    """CPU threads of each run: the requested number, or an equal part of the cores."""
    cores = os.cpu_count() or 1
    threads = comparison.threads or max(1, cores // comparison.workers)
    if threads * comparison.workers > cores:
        raise UsageError(
            f"--workers {comparison.workers} of {plural(threads, 'thread')}: this machine has "
            f"{plural(cores, 'core')}, and "
            "runs that wait for each other do not compare; give fewer"
        )
    return threads


def _measured_by(comparison: Compare, device: str, threads: int) -> dict[str, Any]:

    return {
        "version": __version__,
        "metrics": list(chosen_metrics(comparison.metrics)),
        "n": comparison.n,
        "reference": comparison.reference,
        "features": [comparison.space, comparison.feature_weights],
        "split": comparison.split,
        "seed": comparison.seed,
        "device": device,
        "threads": threads,
    }


def _speeds(
    bench: Bench, journal: Journal, records: Sequence[dict[str, Any]], threads: int
) -> dict[str, Any]:
    """How fast each arm draws: one finished run of each ledger, one after the other.

    Beside it what arithmetic an image costs in training.
    """
    # a cluster's runs are timed here, where there may be no GPU
    device = bench.device if torch.cuda.is_available() else "cpu"
    done = {record["name"] for record in records if record["state"] == "done"}
    speeds: dict[str, dict[str, Any]] = {ledger.kind: {} for ledger in bench.comparison.ledgers}
    for cell in bench.cells:
        kind, name = cell.ledger.kind, cell.arm.name
        if cell.name not in done or name in speeds[kind]:
            continue
        found = journal.speed(cell)
        if found is None:
            found = speed_of(journal.run(cell), device, threads)
            learnt = training_flops(bench.configs[kind][name], bench.data.split("train"), device)
            found = {**found, "training_flops": learnt, "device": device}
            journal.write_speed(cell, found)
        speeds[kind][name] = {**found, "run": cell.name}
    return speeds


def _plan(
    bench: Bench, parameters: dict[str, dict[str, dict[str, int]]], before: int, threads: int
) -> list[str]:
    comparison = bench.comparison
    total = len(bench.cells)
    names = ", ".join(arm.name for arm in comparison.arms)
    lines = [
        f"{comparison.data}: {plural(total, 'run')}, {names}, "
        f"{plural(comparison.seeds, 'seed')} each"
    ]
    lines += finding_lines(bench.data.report, training=True)
    if comparison.trials:
        trials = comparison.trials * len(comparison.arms) * len(comparison.ledgers)
        lines.append(
            f"{plural(trials, 'trial')} before them: {comparison.trials} of each, its recipe first"
        )
    first = comparison.ledgers[0].kind
    lines += [
        *(ledger.words for ledger in comparison.ledgers),
        *(
            f"{name}: {count['generator']:,} parameters of the generator, {count['all']:,} in all"
            for name, count in parameters[first].items()
        ),
    ]
    at_once = f"{comparison.workers} at a time, " if comparison.workers > 1 else "one at a time, "
    lines.append(f"{at_once}{plural(threads, 'thread')} each")
    if before:
        lines.append(f"{before} of them were finished before")
    if comparison.budget is not None:
        runs = comparison.seeds + comparison.trials * comparison.trial_share
        in_all = seconds(comparison.budget) * runs * len(comparison.arms) / comparison.workers
        lines.append(
            f"the timed runs train for {in_all / 60:.3g} minutes in all; sampling and measuring "
            "come on top"
        )
    return lines
