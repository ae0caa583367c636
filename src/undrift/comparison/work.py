"""A run of a comparison: trained, then measured, then a result; a failure is a result too."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from statistics import fmean

from undrift.comparison.executor import Command, Outcome, reason_of
from undrift.comparison.journal import Attempt, Attempts, Journal
from undrift.comparison.methods import Run
from undrift.comparison.settings import Compare
from undrift.errors import DivergedError, UndriftError, UsageError
from undrift.files.reading import read_mapping
from undrift.metrics.results import (
    MapResult,
    MaskResult,
    MetricResult,
    PromptResult,
    SwapResult,
    read_measurements,
)
from undrift.options.train import flag
from undrift.results.comparison import EndState, FailedRun, MeasuredRun, RunMetric, RunResult
from undrift.results.evaluation import EvaluationResult
from undrift.runs.directory import RunDirectory
from undrift.runs.training_facts import TrainingFacts, training_facts


class RunWork:
    """Commands and result of one run.

    Args:
        comparison: the comparison.
        run: the run.
        journal: files of the comparison.
        threads: CPU threads.
        teacher: of a student, which is done before.

    Attributes:
        run: the run.
        result: once there is one.
    """

    def __init__(
        self,
        comparison: Compare,
        run: Run,
        journal: Journal,
        threads: int,
        teacher: RunWork | None = None,
    ) -> None:
        self.run = run
        self.teacher = teacher
        self._comparison = comparison
        self._journal = journal
        self._threads = threads
        self._stage = ""
        self.result = journal.result(run)

    def next(self) -> Command | None:
        """Training, then measuring; None once there is a result."""
        if self.result is not None:
            return None
        teacher = None if self.teacher is None else self.teacher.result
        if isinstance(teacher, FailedRun):
            reason = f"its teacher, {teacher.name}, failed"
            self.result = self._failed(reason, teacher.code, diverged=False)
            return None
        self._stage = "evaluate" if self._trained() else "train"
        words = self._train() if self._stage == "train" else self._evaluate()
        return Command(tuple(words), self._journal.log(self.run), self._threads)

    def ended(self, outcome: Outcome) -> None:
        """Store what the command has made.

        Divergence is the result of a run. What failed for another reason is not stored, so that the
        next command tries it again: the cause may lie outside.
        """
        if self._stage == "train":
            attempt = Attempt(outcome.code, outcome.seconds, outcome.cpu_seconds)
            self._journal.write_trained(self.run, Attempts((*self._attempts.attempts, attempt)))
        if outcome.code:
            reason = reason_of(outcome.code, self._journal.log(self.run))
            diverged = outcome.code == DivergedError.exit_code
            self.result = self._failed(reason, outcome.code, diverged=diverged)
            if diverged:
                self._journal.write_result(self.run, self.result)
        elif self._stage == "evaluate":
            try:
                measured = replace(self._done(), measuring_cpu_seconds=outcome.cpu_seconds)
            except UndriftError as error:
                self.result = self._failed(str(error), error.exit_code)
            else:
                self.result = measured
                self._journal.write_result(self.run, measured)

    def _train(self) -> list[str]:
        run, comparison = self.run, self._comparison
        words, settings = ["train", str(comparison.data)], comparison.own(run)
        if self.teacher is not None:
            words, settings = ["distill", str(self.teacher._folder)], comparison.distilling
        words += ["--method", run.method.base, "--seed", str(run.seed)]
        for name, value in run.own_budget.length.items():
            words += [f"--{name}", str(value)]
        for name, value in settings.items():
            if name == "conditional":
                words += [] if value else ["--unconditional"]
            elif isinstance(value, bool):
                words += [flag(name)] if value else []
            elif isinstance(value, tuple):
                words += [flag(name), *value] if value else []
            elif value is not None:
                words += [flag(name), str(value)]
        return [*words, "--threads", str(self._threads), "--out", str(self._folder)]

    def _evaluate(self) -> list[str]:
        comparison = self._comparison
        words = ["evaluate", str(self._folder), "--metrics", *comparison.metrics]
        words += ["--n", str(comparison.n)]
        words += ["--features", comparison.space, "--seed", str(comparison.seed)]
        for word, value in (
            ("--reference", comparison.reference),
            ("--feature-weights", comparison.feature_weights),
            ("--split", comparison.split),
        ):
            words += [] if value is None else [word, str(value)]
        words += ["--download"] if comparison.download else []
        words += ["--device", comparison.device, "--threads", str(self._threads)]
        return [*words, "--out", str(self._journal.evaluation(self.run))]

    @property
    def _folder(self) -> Path:
        return self._journal.run(self.run)

    @property
    def _attempts(self) -> Attempts:
        return self._journal.trained(self.run) or Attempts()

    def _trained(self) -> bool:
        try:
            state = RunDirectory(self._folder).status().state
        except UndriftError:
            return False  # training again says what is wrong with it
        return state == "done" and self._journal.trained(self.run) is not None

    def _result(self, state: EndState, training: TrainingFacts) -> RunResult:
        """What results of all states have.

        What a student has cost its teacher has cost, too.
        """
        run, attempts = self.run, self._attempts
        own = RunResult(
            name=run.name,
            method=run.method.name,
            base=run.method.base,
            settings=dict(run.method.settings),
            budget=run.budget.kind,
            amount=run.budget.amount,
            seed=run.seed,
            point=run.point,
            state=state,
            threads=self._threads,
            workers=self._comparison.workers,
            attempts=len(attempts.attempts),
            processor_share=attempts.processor_share,
            process_seconds=attempts.seconds,
            cpu_seconds=attempts.cpu_seconds,
            **vars(training),
        )
        if self.teacher is None or self.teacher.result is None:
            return own
        before = self.teacher.result
        cpu_seconds = own.cpu_seconds
        if cpu_seconds is not None and before.cpu_seconds is not None:
            cpu_seconds += before.cpu_seconds
        return replace(
            own,
            images=own.images + before.images,
            seconds=own.seconds + before.seconds,
            process_seconds=own.process_seconds + before.process_seconds,
            cpu_seconds=cpu_seconds,
        )

    def _done(self) -> MeasuredRun:
        path = self._journal.evaluation(self.run)
        try:
            plain = read_mapping(path, UsageError, "")
            found = read_measurements(EvaluationResult, plain, str(path))
        except UsageError as error:
            raise UsageError("its evaluation left no result; run again") from error
        return MeasuredRun(
            **vars(self._result("done", training_facts(self._folder))),
            metrics={name: _metric(one) for name, one in found.metrics.items()},
            missing=found.missing,
            features=found.features,
            reference=found.reference,
            protocol=found.protocol,
            sampling=found.sampling,
            nfe=found.cost.nfe,
        )

    def _failed(self, reason: str, code: int, *, diverged: bool = False) -> FailedRun:
        try:
            facts = training_facts(self._folder)
        except UndriftError:
            facts = TrainingFacts()  # the reason says more of a run whose events cannot be read
        return FailedRun(
            **vars(self._result("diverged" if diverged else "failed", facts)),
            stage=self._stage,
            reason=reason,
            code=code,
        )


def _metric(found: MetricResult) -> RunMetric:
    shared = {field.name for field in fields(MetricResult)} & {f.name for f in fields(RunMetric)}
    values = {name: getattr(found, name) for name in shared}
    match found:
        case PromptResult(chance=chance) | SwapResult(chance=chance) | MaskResult(shuffled=chance):
            pass
        case MapResult(shuffled=by_map):
            chance = fmean(by_map.values())
        case _:
            chance = None
    return RunMetric(**values, chance=chance)
