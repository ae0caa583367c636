"""The measurements of a study beyond its comparisons: a job, a process and a file each.

A job has a name; ``undrift claims ... --part NAME`` does it and writes ``parts/NAME.json``, so that
jobs run wherever runs do and are not repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

from undrift.claims.comparisons import (
    DIFFUSION,
    INPAINTING,
    LIKELIHOOD,
    MAIN,
    STACKED,
    TAIL,
)
from undrift.claims.datasets import tail_path
from undrift.claims.evidence import TIMED, Comparisons
from undrift.claims.measures.inpainting import inpaintings
from undrift.claims.measures.likelihood import bits, refusal
from undrift.claims.measures.modes import plane, stacked, tail
from undrift.claims.measures.sampling_cost import by_steps, times
from undrift.claims.measures.trade_off import trade_off
from undrift.claims.study import Study
from undrift.comparison.executor import Command, Outcome, reason_of
from undrift.comparison.journal import read_stored, write_json
from undrift.results.claims import AnyMeasurement
from undrift.results.comparison import BudgetKind, MeasuredRun
from undrift.runs.device import choose_device
from undrift.schema import to_plain


@dataclass(frozen=True)
class Job:
    """One measurement.

    Attributes:
        name: ``kind/run``; unique.
        measure: makes it.
    """

    name: str
    measure: Callable[[], AnyMeasurement]

    def path(self, folder: Path) -> Path:
        """Its file in the study's folder."""
        return folder / "parts" / f"{self.name.replace('/', '_')}.json"

    def do(self, folder: Path) -> None:
        """Measure in this process and write the file, with the processor time of all its threads.

        Raises:
            UsageError: if it cannot be written.
        """
        before = time.process_time()
        found = self.measure()
        found = replace(found, cpu_seconds=time.process_time() - before)
        write_json(self.path(folder), to_plain(found))

    def read(self, folder: Path) -> AnyMeasurement | None:
        """The measurement; None where there is none that can be read."""
        return read_stored(get_args(AnyMeasurement), self.path(folder))


class JobWork:
    """The command that does a job.

    Args:
        job: the job.
        study: of which study.

    Attributes:
        job: the job.
        failed: the reason, if it failed.
    """

    def __init__(self, job: Job, study: Study) -> None:
        self.job = job
        self.failed: str | None = None
        self._study = study
        self._log = study.folder / "logs" / f"{job.name.replace('/', '_')}.txt"
        self._started = False

    def next(self) -> Command | None:
        """See `Work.next`."""
        if self._started:
            return None
        self._started = True
        self._log.parent.mkdir(parents=True, exist_ok=True)
        words = (*self._study.words, "--part", self.job.name)
        return Command(words, self._log, self._study.run_threads)

    def ended(self, outcome: Outcome) -> None:
        """See `Work.ended`."""
        if outcome.code:
            self.failed = reason_of(outcome.code, self._log)


class _Jobs:
    """Makes the jobs of finished runs."""

    def __init__(self, study: Study, comparisons: Comparisons) -> None:
        self.study, self._comparisons = study, comparisons

    def done(self, name: str, budget: BudgetKind | None = None) -> list[tuple[MeasuredRun, Path]]:
        """Finished runs of a comparison with their folders, at one budget if it is named."""
        found = self._comparisons.get(name)
        return [
            (run, self.study.folder / name / "runs" / run.name)
            for run in (found.runs if found else ())
            if isinstance(run, MeasuredRun) and budget in (None, run.budget)
        ]

    def each(self, name: str, measure: Callable[[MeasuredRun, Path], AnyMeasurement]) -> list[Job]:
        """A job for every finished run of a comparison."""
        return [job(name, run, partial(measure, run, path)) for run, path in self.done(name)]


def job(kind: str, run: MeasuredRun, measure: Callable[[], AnyMeasurement]) -> Job:
    """The job of ``kind`` of a run."""
    return Job(f"{kind}/{run.name}", measure)


def jobs_of(study: Study, comparisons: Comparisons) -> list[Job]:
    """Everything that is measured in processes of its own, as many at a time as there are places.

    Args:
        study: the study.
        comparisons: what each found, by name.
    """
    size, seed, device, n = study.size, study.seed, choose_device(study.device), study.size.main.n
    jobs = _Jobs(study, comparisons)
    made: list[Job] = []
    for name in ("ring8", "grid25"):
        made += jobs.each(name, partial(plane, name=name, n=size.points.n, seed=seed))
    if size.stacked is not None and study.mnist is not None:
        measure = partial(stacked, mnist=study.mnist, n=size.stacked.n, seed=seed)
        made += jobs.each(STACKED, measure)
    measure = partial(tail, source=study.data, tail_of=tail_path(study), n=size.tail.n, seed=seed)
    made += jobs.each(TAIL, measure)
    for run, path in jobs.done(LIKELIHOOD):
        # other images for each run, so that the interval over seeds includes their choice
        measure = partial(bits, run, path, size.scored, run.seed, study.device)
        made.append(job("bits", run, measure))
    for run, path in jobs.done(MAIN):
        if run.base == DIFFUSION:
            made.append(
                job("steps", run, partial(by_steps, run, path, size.steps, n, seed, device))
            )
    for run, path in jobs.done(MAIN, TIMED):
        diffusion = run.base == DIFFUSION
        values = size.guidances if diffusion else size.truncations
        made.append(job("dial", run, partial(trade_off, run, path, values, n, seed, device)))
        if not diffusion and run.seed == seed:
            made.append(job("answer", run, partial(refusal, run, path)))
    done = jobs.done(INPAINTING)
    for run, path in done:
        others = {
            other.method: folder
            for other, folder in done
            if other.seed == run.seed and other.method != run.method
        }
        if run.method == DIFFUSION and others:
            measure = partial(inpaintings, run, path, others, study.data, size.inpainted, run.seed)
            made.append(job("filling", run, measure))
    return made


def timed_jobs(study: Study, comparisons: Comparisons) -> list[Job]:
    """What is timed: one after the other, while nothing else runs."""
    device, threads = choose_device(study.device), study.run_threads
    made: dict[str, Job] = {}
    for run, path in _Jobs(study, comparisons).done(MAIN, TIMED):
        steps: Sequence[int | None] = study.size.steps if run.base == DIFFUSION else (None,)
        measure = partial(times, run, path, steps, device, threads)
        made.setdefault(run.method, job("times", run, measure))
    return list(made.values())
