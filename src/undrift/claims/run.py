"""``undrift claims``: every comparison, every measurement, six verdicts, one report."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from undrift.advice import named
from undrift.claims.claims import CLAIMS
from undrift.claims.comparisons import MAIN, SWEEP, chosen_of, main_comparison, other_comparisons
from undrift.claims.datasets import load_classes, load_digits, make_datasets
from undrift.claims.evidence import Evidence
from undrift.claims.jobs import Job, JobWork, jobs_of, timed_jobs
from undrift.claims.page import render, sections_of
from undrift.claims.study import STUDY, Study
from undrift.comparison import Compare, ComparisonProgress, run_comparison
from undrift.comparison.executor import Executor, LocalExecutor
from undrift.comparison.scheduling import Work, work_off
from undrift.data.findings import finding_lines
from undrift.errors import UsageError
from undrift.files.durable import write_output
from undrift.files.lock import FileLock
from undrift.names import shell_line
from undrift.report.record import RunRecord
from undrift.results.claims import ClaimsResult, StudyCost
from undrift.results.comparison import MeasuredRun, read_comparison
from undrift.runs.directory import check_folder, make_folder
from undrift.schema import to_plain
from undrift.version import __version__


class ClaimsProgress:
    """Callbacks of a study; an exception stops it. These do nothing."""

    def loaded(self, lines: list[str]) -> None:
        """Called with what loading the images found."""

    def plan(self, runs: Mapping[str, int]) -> None:
        """Called with the number of runs of each comparison, its trials among them."""

    def comparison(self, name: str) -> ComparisonProgress:
        """The callbacks of a comparison."""
        return ComparisonProgress()

    def measurement(self, name: str, done: int, total: int, failed: str | None) -> None:
        """Called after each measurement; ``failed`` says why it could not be made."""


def run_study(
    study: Study, progress: ClaimsProgress | None = None, executor: Executor | None = None
) -> ClaimsResult:
    """Make the study ``study`` and write its ``report.json`` and ``report.html``.

    Runs and measurements that are finished are not repeated.

    Raises:
        UsageError: data without classes, a folder with another study or something else, or one that
            cannot be made.
        DataError: data that cannot be read.
    """
    progress = ClaimsProgress() if progress is None else progress
    check_folder(study.folder, STUDY, {"LOCK"}, "a study")
    began = time.perf_counter()
    data = load_classes(study.data)
    progress.loaded(finding_lines(data.report, training=True))
    make_folder(study.folder)
    lock = FileLock(study.folder)
    lock.acquire()
    try:
        with contextlib.ExitStack() as stack:
            places = executor
            if places is None:
                places = stack.enter_context(contextlib.closing(LocalExecutor(study.places)))
            digits = load_digits(study)  # before anything is written: the right ones may follow
            study.store()
            make_datasets(study, data, digits)
            main = main_comparison(study)
            found = {MAIN: run_comparison(main, progress.comparison(MAIN), places)}
            others = other_comparisons(study, data, study.store_chosen(chosen_of(found[MAIN])))
            planned = {MAIN: main, **others}
            progress.plan({name: _runs(compared) for name, compared in planned.items()})
            for name, compared in others.items():
                callbacks = progress.comparison(name)
                found[name] = run_comparison(compared, callbacks, places, brief=True)
            jobs = jobs_of(study, found)
            failed = _do(jobs, study, places, progress)
        timed = timed_jobs(study, found)
        with contextlib.closing(LocalExecutor(1)) as alone:
            failed |= _do(timed, study, alone, progress)
        measured = {job.name: job.read(study.folder) for job in (*jobs, *timed)}
        known = {name: one for name, one in measured.items() if one is not None}
        evidence = Evidence(study.size, found, known)
        result = _result(study, evidence, failed, time.perf_counter() - began)
        _write(study, result, evidence)
        return result
    finally:
        lock.release()


def make_part(study: Study, name: str) -> None:
    """Make the measurement ``name`` of a study whose runs are finished.

    Raises:
        UsageError: there is no such measurement, or a run of it is not finished.
    """
    found = {path.parent.name: read_comparison(path) for path in study.folder.glob("*/report.json")}
    jobs = [*jobs_of(study, found), *timed_jobs(study, found)]
    chosen = next((job for job in jobs if job.name == name), None)
    if chosen is None:
        known = ", ".join(job.name for job in jobs[:3]) or "none yet: make the study"
        raise UsageError(f"{named('part')} {name}: {study.out} has no such part; it has {known}")
    chosen.do(study.folder)


def _do(
    jobs: Sequence[Job], study: Study, executor: Executor, progress: ClaimsProgress
) -> dict[str, str]:
    """Do the jobs that are not done; returns the reasons of those that failed, by name."""
    missing = [job for job in jobs if job.read(study.folder) is None]
    done = len(jobs) - len(missing)
    failed: dict[str, str] = {}

    def ended(work: Work) -> None:
        nonlocal done
        if isinstance(work, JobWork):
            done += 1
            if work.failed is not None:
                failed[work.job.name] = work.failed
            progress.measurement(work.job.name, done, len(jobs), work.failed)

    work_off([JobWork(job, study) for job in missing], executor, ended)
    return failed


def _runs(compared: Compare) -> int:
    return len(compared.methods) * len(compared.budgets) * (compared.trials + compared.seeds)


def _result(
    study: Study, evidence: Evidence, failed: Mapping[str, str], seconds: float
) -> ClaimsResult:
    return ClaimsResult(
        version=__version__,
        command=shell_line(("undrift", *study.words)),
        preset=study.preset,
        data=study.data,
        claims=tuple(claim.measure(evidence) for claim in CLAIMS.values()),
        comparisons=evidence.comparisons,
        measurements=evidence.measurements,
        failed=failed,
        cost=_cost(evidence, seconds),
    )


def _cost(evidence: Evidence, seconds: float) -> StudyCost:
    """What the study cost; ``seconds`` is the wall clock of this command."""
    runs = [run for found in evidence.comparisons.values() for run in found.runs]
    trials = [
        trial
        for found in evidence.comparisons.values()
        if found.tuning is not None
        for by_method in found.tuning.budgets.values()
        for tuned in by_method.values()
        for trial in tuned.trials
    ]
    made = [*runs, *trials]
    measuring = [
        *(run.measuring_cpu_seconds for run in runs if isinstance(run, MeasuredRun)),
        *(trial.measuring_cpu_seconds for trial in trials if trial.state == "done"),
        *(one.cpu_seconds for one in evidence.measurements.values()),
    ]
    return StudyCost(
        runs=len(runs),
        trials=len(trials),
        failed_runs=sum(run.state != "done" for run in runs),
        training_seconds=sum(one.seconds for one in made),
        processor_seconds=sum(one.cpu_seconds or 0.0 for one in made),
        measurements=len(measuring),
        measuring_processor_seconds=sum(one or 0.0 for one in measuring),
        measurements_of_unknown_cost=sum(one is None for one in measuring),
        images_seen=sum(one.images for one in made),
        command_seconds=seconds,
    )


def _write(study: Study, result: ClaimsResult, evidence: Evidence) -> None:
    """Write ``report.json``, a PNG of every figure and ``report.html``; the numbers first."""
    folder = study.folder
    text = json.dumps(to_plain(result), indent=1, allow_nan=False) + "\n"
    write_output(folder / "report.json", text.encode(), owned=True)
    histories = {
        run.name: RunRecord.read(path).history
        for run in result.comparisons[SWEEP].runs
        if (path := folder / SWEEP / "runs" / run.name).is_dir()
    }
    claims = sections_of(result, replace(evidence, histories=histories))
    html = render(folder, result, claims)
    for chart in (one for claim in claims for one in claim.charts):
        path = folder / "figures" / f"{chart.name}.png"
        write_output(path, chart.png(), durable=False, owned=True)
    write_output(folder / "report.html", html.encode(), owned=True)
