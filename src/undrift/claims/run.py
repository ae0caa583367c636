"""``undrift claims``: every table, every piece, six findings, one report."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from undrift.claims.evidence import findings
from undrift.claims.kept import STUDY, keep_asked, keep_chosen
from undrift.claims.pieces import Piece, PieceWork, known
from undrift.claims.plan import pieces_of, timed_pieces
from undrift.claims.result import result_of, write_result
from undrift.claims.study import Study
from undrift.claims.tables import MAIN, chosen_of, main_table, other_tables
from undrift.claims.worlds import (
    STACKED,
    TAIL,
    load_study,
    make_tail,
)
from undrift.comparison import Compare, ComparisonProgress, read_json, run_comparison
from undrift.comparison.executor import Executor, LocalExecutor
from undrift.comparison.scheduling import Work, work_off
from undrift.data import ImageSet
from undrift.data.findings import finding_lines
from undrift.data.stacking import check_digits, write_stacked
from undrift.errors import UsageError
from undrift.files.lock import FileLock
from undrift.options.train import TrainOptions
from undrift.runs.directory import check_folder, make_folder
from undrift.runs.images import load_images
from undrift.runs.recipes import choose_device

Record = dict[str, Any]


class ClaimsProgress:
    """Callbacks of a study; an exception stops it. These do nothing."""

    def loaded(self, lines: list[str]) -> None:
        """Called with what loading the images found."""

    def plan(self, runs: Mapping[str, int]) -> None:
        """Called with the number of runs of each table, its trials among them."""

    def table(self, name: str) -> ComparisonProgress:
        """The callbacks of a table of runs."""
        return ComparisonProgress()

    def piece(self, name: str, done: int, total: int, failed: str | None) -> None:
        """Called after each measurement; ``failed`` says why it could not be made."""


def run_study(
    study: Study, progress: ClaimsProgress | None = None, executor: Executor | None = None
) -> Record:
    """Make the study ``study`` and write its ``report.json`` and ``report.html``.

    Runs and pieces that are finished are not repeated.

    Returns:
        ``claims``: the six findings; ``tables``, ``pieces``, ``seconds`` and ``protocol``.

    Raises:
        UsageError: data without classes, a folder with another study or something else, or one that
            cannot be made.
        DataError: data that cannot be read.
    """
    progress = ClaimsProgress() if progress is None else progress
    check_folder(study.folder, STUDY, {"LOCK"}, "a study")
    began = time.perf_counter()
    device = choose_device(study.device)
    data = load_study(study.data)
    progress.loaded(finding_lines(data.report, training=True))
    make_folder(study.folder)
    lock = FileLock(study.folder)
    lock.acquire()
    try:
        with contextlib.ExitStack() as stack:
            places = executor
            if places is None:
                places = stack.enter_context(contextlib.closing(LocalExecutor(study.places)))
            digits = _digits(study)  # before anything is written: the right ones may follow
            keep_asked(study)
            _make_worlds(study, data, digits)
            asked = {MAIN: main_table(study)}
            found = {MAIN: run_comparison(asked[MAIN], progress.table(MAIN), places)}
            chosen = keep_chosen(study, chosen_of(found[MAIN]))
            asked |= other_tables(study, data, chosen)
            progress.plan({name: _runs(table) for name, table in asked.items()})
            for name, table in asked.items():
                if name != MAIN:
                    found[name] = run_comparison(table, progress.table(name), places, brief=True)
            threads = _threads(study)
            pieces = pieces_of(study, found, device)
            failed = _make(pieces, study, threads, places, progress)
        timed = timed_pieces(study, found, device, threads)
        with contextlib.closing(LocalExecutor(1)) as alone:
            failed |= _make(timed, study, threads, alone, progress)
        records = known([*pieces, *timed], study.folder)
        result = result_of(
            study,
            found,
            records,
            failed,
            findings(study.size, found, records),
            time.perf_counter() - began,
        )
        write_result(study.folder, result, asked)
        return result
    finally:
        lock.release()


def make_part(study: Study, name: str) -> None:
    """Make the piece ``name`` of a study whose runs are finished.

    Raises:
        UsageError: there is no such piece, or a run of it is not finished.
    """
    device = choose_device(study.device)
    found = {path.parent.name: read_json(path) or {} for path in study.folder.glob("*/report.json")}
    pieces = [
        *pieces_of(study, found, device),
        *timed_pieces(study, found, device, _threads(study)),
    ]
    chosen = next((piece for piece in pieces if piece.name == name), None)
    if chosen is None:
        known_names = ", ".join(piece.name for piece in pieces[:3]) or "none yet: make the study"
        raise UsageError(f"--part {name}: {study.out} has no such part; it has {known_names}")
    chosen.make(study.folder)


def _digits(study: Study) -> ImageSet | None:
    """The digits to stack; None where the study has no such part, or they are stacked already.

    Raises:
        DataError: data that cannot be read.
        UsageError: no grey digits.
    """
    if study.mnist is None or study.size.stacked is None or _stacked(study).exists():
        return None
    digits = load_images(study.mnist, TrainOptions(holdout=0.0)).split("train")
    check_digits(digits)
    return digits


def _stacked(study: Study) -> Path:
    return study.folder / "data" / STACKED


def _make_worlds(study: Study, data: ImageSet, digits: ImageSet | None) -> None:
    """Data of the study's own, before any run."""
    if digits is not None:
        path = _stacked(study)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_stacked(path, digits, study.size.stacked_images, study.seed)
    make_tail(study.folder / "data" / TAIL, data, study.seed)


def _make(
    pieces: Sequence[Piece],
    study: Study,
    threads: int,
    executor: Executor,
    progress: ClaimsProgress,
) -> dict[str, str]:
    """Make what is not there; returns the reasons of those that could not be, by name."""
    works = [PieceWork(piece, study, threads) for piece in pieces]
    done = sum(work.made for work in works)
    failed: dict[str, str] = {}

    def told(work: Work) -> None:
        nonlocal done
        if isinstance(work, PieceWork):
            done += 1
            if work.failed is not None:
                failed[work.piece.name] = work.failed
            progress.piece(work.piece.name, done, len(works), work.failed)

    work_off([work for work in works if not work.made], executor, told)
    return failed


def _runs(table: Compare) -> int:
    return len(table.arms) * len(table.ledgers) * (table.trials + table.seeds)


def _threads(study: Study) -> int:
    cores = os.cpu_count() or 1
    return study.threads or max(1, cores // study.places)
