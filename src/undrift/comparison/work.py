"""One cell of a comparison: train, then measure, then a record; a failure is a record too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from undrift.comparison.cells import Cell
from undrift.comparison.executor import Command, Outcome, reason_of
from undrift.comparison.journal import Journal, read_json
from undrift.comparison.settings import Compare
from undrift.errors import DivergedError, UndriftError
from undrift.options.train import flag
from undrift.runs.directory import RunDirectory
from undrift.runs.training_facts import UNKNOWN, training_facts

_KEPT = ("name", "value", "low", "high", "floor", "floor_missing", "n", "n_reference", "protocol")


class CellWork:
    """Commands and record of one cell.

    Args:
        comparison: the comparison.
        cell: the run.
        journal: where everything is kept.
        threads: CPU threads.

    Attributes:
        cell: the run.
        record: its result, once there is one: ``state`` is "done", "diverged" or "failed".
    """

    def __init__(self, comparison: Compare, cell: Cell, journal: Journal, threads: int) -> None:
        self.cell = cell
        self._comparison = comparison
        self._journal = journal
        self._threads = threads
        self._stage = ""
        self.record = journal.result(cell)

    def next(self) -> Command | None:
        """Training, then measuring; None when there is a record."""
        if self.record is not None:
            return None
        self._stage = "evaluate" if self._trained() else "train"
        words = self._train() if self._stage == "train" else self._evaluate()
        return Command(tuple(words), self._journal.log(self.cell), self._threads)

    def ended(self, outcome: Outcome) -> None:
        """Keep what the command has made.

        A run that diverged has its result. What failed for another reason is recorded now and
        tried again by the next command, since the cause may lie outside.
        """
        if self._stage == "train":
            self._keep_attempt(outcome)
        if outcome.code:
            state = "diverged" if outcome.code == DivergedError.exit_code else "failed"
            self.record = self._failed(
                state, reason_of(outcome.code, self._journal.log(self.cell)), outcome.code
            )
            if state == "diverged":
                self._journal.write_result(self.cell, self.record)
        elif self._stage == "evaluate":
            try:
                self.record = {**self._done(), "measuring_cpu_seconds": outcome.cpu_seconds}
            except UndriftError as error:
                self.record = self._failed("failed", str(error), error.exit_code)
            if self.record["state"] == "done":
                self._journal.write_result(self.cell, self.record)

    def _train(self) -> list[str]:
        cell, comparison = self.cell, self._comparison
        words = ["train", comparison.data, "--method", cell.arm.method, "--seed", str(cell.seed)]
        for name, value in cell.ledger.length.items():
            words += [f"--{name}", str(value)]
        for name, value in comparison.own(cell).items():
            if name == "conditional":
                words += [] if value else ["--unconditional"]
            elif isinstance(value, bool):
                words += [flag(name)] if value else []
            elif value is not None:
                words += [flag(name), str(value)]
        return [*words, "--threads", str(self._threads), "--out", str(self._run)]

    def _evaluate(self) -> list[str]:
        comparison = self._comparison
        words = [
            "evaluate",
            str(self._run),
            "--metrics",
            *comparison.metrics,
            "--n",
            str(comparison.n),
        ]
        words += ["--features", comparison.space, "--seed", str(comparison.seed)]
        for word, value in (
            ("--reference", comparison.reference),
            ("--feature-weights", comparison.feature_weights),
            ("--split", comparison.split),
        ):
            words += [] if value is None else [word, value]
        words += ["--download"] if comparison.download else []
        words += ["--device", comparison.device, "--threads", str(self._threads)]
        return [*words, "--out", str(self._journal.evaluation(self.cell))]

    @property
    def _run(self) -> Path:
        return self._journal.run(self.cell)

    def _trained(self) -> bool:
        try:
            state = RunDirectory(self._run).status().get("state")
        except UndriftError:
            return False  # training again says what is wrong with it
        return state == "done" and self._journal.trained(self.cell) is not None

    def _keep_attempt(self, outcome: Outcome) -> None:
        """Add up what the processes of a run cost that was stopped and resumed."""
        before = self._journal.trained(self.cell) or {"attempts": []}
        attempt = {"code": outcome.code, "seconds": outcome.seconds, "cpu": outcome.cpu_seconds}
        self._journal.write_trained(self.cell, {"attempts": [*before["attempts"], attempt]})

    def _base(self, state: str, facts: dict[str, Any]) -> dict[str, Any]:
        cell = self.cell
        attempts = (self._journal.trained(cell) or {"attempts": []})["attempts"]
        known = [one for one in attempts if one["cpu"] is not None]
        wall = sum(one["seconds"] for one in known)
        cpu = sum(one["cpu"] for one in known)
        return {
            "name": cell.name,
            "method": cell.arm.name,
            "family": cell.arm.method,
            "settings": dict(cell.arm.settings),
            "ledger": cell.ledger.kind,
            "amount": cell.ledger.amount,
            "seed": cell.seed,
            "point": cell.point,
            "state": state,
            "threads": self._threads,
            "workers": self._comparison.workers,
            "attempts": len(attempts),
            "processor_share": cpu / wall if wall else None,
            "process_seconds": sum(one["seconds"] for one in attempts),
            "cpu_seconds": cpu if known else None,
            **facts,
        }

    def _done(self) -> dict[str, Any]:
        found = read_json(self._journal.evaluation(self.cell))
        if found is None or not isinstance(found.get("metrics"), dict):
            return self._failed("failed", "its evaluation left no result; run again", 0)
        return {
            **self._base("done", training_facts(self._run)),
            "metrics": {
                name: {part: one.get(part) for part in _KEPT}
                for name, one in found["metrics"].items()
            },
            "missing": found["missing"],
            "features": found["features"],
            "reference": found["reference"],
            "protocol": found["protocol"],
            "sampling": found["sampling"],
            "nfe": found["cost"]["nfe"],
        }

    def _failed(self, state: str, reason: str, code: int) -> dict[str, Any]:
        try:
            facts = training_facts(self._run)
        except UndriftError:
            facts = UNKNOWN  # the reason says more of a run whose events cannot be read
        return {**self._base(state, facts), "stage": self._stage, "reason": reason, "code": code}
