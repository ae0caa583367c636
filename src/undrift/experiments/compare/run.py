"""``undrift compare``: train every arm with every seed alike, measure all alike, and report."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from undrift.errors import UsageError
from undrift.experiments.compare.asked import Compare
from undrift.experiments.compare.cells import Cell
from undrift.experiments.compare.executor import Executor, LocalExecutor
from undrift.experiments.compare.inference import parameters_of, speed_of
from undrift.experiments.compare.journal import Journal
from undrift.experiments.compare.page import write_page
from undrift.experiments.compare.result import result_of, write_result
from undrift.experiments.compare.scheduling import Work, work_off
from undrift.experiments.compare.work import CellWork
from undrift.metrics import chosen_metrics
from undrift.runs.configuration import RunConfig
from undrift.runs.images import load_images
from undrift.runs.recipes import choose_device, resolve
from undrift.runs.settings import seconds
from undrift.training.lock import FileLock


class Watcher:
    """Told how a comparison goes on; raises to stop it. This one says nothing."""

    def plan(self, lines: list[str], done: int, total: int) -> None:
        """What is about to be done, and how many runs are there already."""

    def run(self, record: dict[str, Any], done: int, total: int, left: float | None) -> None:
        """Told after each run; ``left`` is about how many seconds the rest takes."""


def run_comparison(
    asked: Compare,
    watcher: Watcher | None = None,
    executor: Executor | None = None,
    *,
    brief: bool = False,
) -> dict[str, Any]:
    """Train and measure every cell, and write ``report.json``, pictures and ``report.html``.

    Runs that are finished under the same protocol are not repeated.

    Args:
        asked: the comparison.
        watcher: told how it goes on.
        executor: where runs are made; by default in processes on this machine.
        brief: leave out the times of drawing, the pictures and the page.

    Returns:
        ``ledgers``: see `ledger_table`; ``runs``: every record; ``parameters``, ``speeds``,
        ``remarks`` and ``protocol``.

    Raises:
        UsageError: methods that cannot be trained on this data, a folder with another comparison,
            or no run at all that could be measured.
        DataError: images that are missing, empty or too broken.
    """
    watcher = Watcher() if watcher is None else watcher
    threads = _threads(asked)
    device = choose_device(asked.device)
    configs, protocol = resolved(asked, device, threads)
    folder = Path(asked.out)
    journal = Journal(folder, _measured_by(asked, device, threads))
    journal.prepare(
        protocol,
        {
            f"{arm.name}-{ledger.name}": {"method": arm.method, **arm.settings}
            for ledger in asked.ledgers
            for arm in asked.arms
        },
    )
    lock = FileLock(folder)
    lock.acquire()
    try:
        works = [CellWork(asked, cell, journal, threads) for cell in asked.cells]
        before = sum(work.record is not None for work in works)
        parameters = {
            kind: {name: parameters_of(config) for name, config in by_arm.items()}
            for kind, by_arm in configs.items()
        }
        watcher.plan(_plan(asked, parameters, before, threads), before, len(works))
        if executor is not None:
            _work_off(works, executor, watcher)
        else:
            with contextlib.closing(LocalExecutor(asked.workers)) as local:
                _work_off(works, local, watcher)
        records = [work.record for work in works if work.record is not None]
        if all(record["state"] == "failed" for record in records):
            raise UsageError(f"no run could be measured: {records[0]['reason']}")
        timed = [] if brief else records
        speeds = _speeds(asked, journal, timed, device, threads)
        found = result_of(asked, records, parameters, speeds, protocol, threads)
        write_result(folder, found, pictures=not brief)
        if not brief:
            write_page(folder, found, configs)
        return found
    finally:
        lock.release()


def _work_off(works: Sequence[CellWork], executor: Executor, watcher: Watcher) -> None:
    began, made = time.monotonic(), 0
    before = sum(work.record is not None for work in works)

    def told(work: Work) -> None:
        nonlocal made
        if isinstance(work, CellWork) and work.record is not None:
            made += 1
            rest = len(works) - before - made
            left = (time.monotonic() - began) / made * rest
            watcher.run(work.record, before + made, len(works), left)

    work_off([work for work in works if work.record is None], executor, told)


def _threads(asked: Compare) -> int:
    """CPU threads of each run: what is asked for, or an equal part of the cores."""
    cores = os.cpu_count() or 1
    threads = asked.threads or max(1, cores // asked.workers)
    if threads * asked.workers > cores:
        raise UsageError(
            f"--workers {asked.workers} of {threads} threads: this machine has {cores} cores, and "
            "runs that wait for each other do not compare; give fewer"
        )
    return threads


def resolved(
    asked: Compare, device: str, threads: int
) -> tuple[dict[str, dict[str, RunConfig]], dict[str, Any]]:
    """What each arm is trained with in each ledger, and what all of them share.

    Args:
        asked: the comparison.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads of each run.
    """
    from undrift import __version__

    first = asked.settings(asked.cells[0])
    data = load_images(asked.data, first)
    configs = {
        ledger.kind: {
            arm.name: resolve(
                asked.data,
                asked.settings(Cell(arm, ledger, asked.seed)),
                data,
                device=device,
            )
            for arm in asked.arms
        }
        for ledger in asked.ledgers
    }
    protocol = {
        "version": __version__,
        "data": asked.data,
        "fingerprint": data.fingerprint,
        "train_images": len(data.split("train")),
        "shape": list(data.split("train").shape),
        "classes": len(data.class_names) if asked.conditional else 0,
        **{name: value for name, value in asked.alike.items() if name != "device"},
        "device": device,
        "threads": threads,
    }
    return configs, protocol


def _measured_by(asked: Compare, device: str, threads: int) -> dict[str, Any]:
    from undrift import __version__

    return {
        "version": __version__,
        "metrics": list(chosen_metrics(asked.metrics)),
        "n": asked.n,
        "reference": asked.reference,
        "features": [asked.features, asked.weights_file],
        "split": asked.split,
        "seed": asked.seed,
        "device": device,
        "threads": threads,
    }


def _speeds(
    asked: Compare,
    journal: Journal,
    records: Sequence[dict[str, Any]],
    device: str,
    threads: int,
) -> dict[str, Any]:
    """How fast each arm draws: one finished run of each ledger, one after the other."""
    done = {record["name"] for record in records if record["state"] == "done"}
    speeds: dict[str, dict[str, Any]] = {ledger.kind: {} for ledger in asked.ledgers}
    for cell in asked.cells:
        known = speeds[cell.ledger.kind]
        if cell.name not in done or cell.arm.name in known:
            continue
        found = journal.speed(cell)
        if found is None:
            found = speed_of(journal.run(cell), device, threads)
            journal.write_speed(cell, found)
        known[cell.arm.name] = {**found, "run": cell.name}
    return speeds


def _plan(
    asked: Compare,
    parameters: dict[str, dict[str, dict[str, int]]],
    before: int,
    threads: int,
) -> list[str]:
    total, s = len(asked.cells), "" if asked.seeds == 1 else "s"
    names = ", ".join(arm.name for arm in asked.arms)
    lines = [
        f"{asked.data}: {total} runs, {names}, {asked.seeds} seed{s} each",
        *(ledger.words for ledger in asked.ledgers),
        *(
            f"{name}: {count['generator']:,} parameters of the generator, {count['all']:,} in all"
            for name, count in parameters[asked.ledgers[0].kind].items()
        ),
    ]
    at_once = f"{asked.workers} at a time, " if asked.workers > 1 else "one at a time, "
    lines.append(f"{at_once}{threads} thread{'' if threads == 1 else 's'} each")
    if before:
        lines.append(f"{before} of them were finished before")
    if asked.budget is not None:
        timed = sum(c.ledger.kind == "seconds" for c in asked.cells)
        total_seconds = seconds(asked.budget) * timed / asked.workers
        lines.append(
            f"the timed runs train for {total_seconds / 60:.3g} minutes in all; sampling and "
            "measuring come on top"
        )
    return lines
