"""The files of a run directory, read for the report: what is missing is listed, never made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from undrift.data.report import DataReport
from undrift.errors import ModelFileError, UsageError
from undrift.files.document import Document
from undrift.files.reading import mapping, read_json
from undrift.files.yaml_reading import read_yaml
from undrift.json_types import JsonObject
from undrift.metrics.results import read_measurements
from undrift.report.history import History
from undrift.results import CurveResult, EvaluationResult
from undrift.results.curve import GuidanceResult
from undrift.results.evaluation import FirstMetrics
from undrift.results.steps import StepsResult
from undrift.runs.directory import RunDirectory, Status
from undrift.runs.events import Event, read_events
from undrift.schema import check_known, from_plain

_ADVICE = "restore it or delete it"

Read = TypeVar("Read")


@dataclass(frozen=True)
class Grid:
    """One picture of a sample grid, or of one-step denoising, on disk.

    Attributes:
        step: optimiser updates before it.
        weights: which weights drew it: "ema", "raw" or "".
        path: the PNG.
    """

    step: int
    weights: str
    path: Path


@dataclass(frozen=True)
class RunRecord:
    """Everything that a run directory says about itself.

    Attributes:
        name: of the directory.
        config: ``config.yaml``; empty if missing.
        data: ``data.json``; empty if missing.
        environment: ``environment.json``; empty if missing.
        status: ``status.json``.
        evaluation: ``evaluation/first.json``; without metrics if missing.
        steps: ``evaluation/steps.json``; None of what is no student.
        curve: ``evaluation/curve.json``; None if no curve was measured.
        guidance: ``evaluation/guidance.json``; None if no curve along guidance was measured.
        evaluations: what ``undrift evaluate`` measured of this run, latest first.
        history: ``metrics.jsonl``.
        grids: sample grids that exist, oldest first.
        one_steps: pictures of one-step denoising that exist, oldest first.
        missing: names of the files that were not there.
    """

    name: str
    config: Document
    data: Document
    environment: Document
    status: Status
    evaluation: FirstMetrics
    steps: StepsResult | None
    curve: CurveResult | None
    guidance: GuidanceResult | None
    evaluations: tuple[EvaluationResult, ...]
    history: History
    grids: tuple[Grid, ...]
    one_steps: tuple[Grid, ...]
    missing: tuple[str, ...]

    @classmethod
    def read(cls, directory: Path) -> RunRecord:
        """Read what ``directory`` holds.

        Raises:
            ModelFileError: it is no directory, or a file that is there cannot be read.
        """
        if not directory.is_dir():
            raise ModelFileError(f"{directory}: no such run directory; name one in runs/")
        missing: list[str] = []

        def plain(name: str) -> JsonObject:
            path = directory / name
            if not path.exists():
                missing.append(name)
                return {}
            return _mapping(path)

        config = plain("config.yaml")
        data = plain("data.json")
        _read(partial(check_known, DataReport), data, directory / "data.json")
        environment = plain("environment.json")
        status = RunDirectory(directory).status()
        if status == Status():
            missing.append("status.json")
        first = plain("evaluation/first.json")
        curve = _later(CurveResult, directory / "evaluation/curve.json")
        guidance = _later(GuidanceResult, directory / "evaluation/guidance.json")
        steps = _later(StepsResult, directory / "evaluation/steps.json")
        events = directory / "metrics.jsonl"
        if not events.exists():
            missing.append(events.name)
        history = History.of(read_events(events))
        grids = _grids(directory, history.grids)
        if not grids:
            missing.append("samples/step_*.png")
        return cls(
            directory.resolve().name,
            Document(entries=config),
            Document(entries=data),
            Document(entries=environment),
            status,
            _read(FirstMetrics.read, first, directory / "evaluation/first.json"),
            steps,
            curve,
            guidance,
            _evaluations(directory / "evaluation"),
            history,
            grids,
            _grids(directory, history.one_steps),
            tuple(missing),
        )


def _evaluations(folder: Path) -> tuple[EvaluationResult, ...]:
    """The results there that were measured after the run, as `undrift evaluate` writes them."""
    paths = [
        path
        for path in folder.glob("*.json")
        if path.name not in ("first.json", "curve.json", "guidance.json", "steps.json")
    ]
    paths.sort(key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)
    read = partial(read_measurements, EvaluationResult)
    return tuple(
        _read(read, plain, path)
        for path in paths
        if {"metrics", "sampling"} <= (plain := _mapping(path)).keys()
    )


def _later(kind: type[Read], path: Path) -> Read | None:
    """The result in ``path``; None where there is no such file."""
    if not path.exists():
        return None
    return _read(partial(from_plain, kind), _mapping(path), path)


def _read(read: Callable[[JsonObject, str], Read], plain: JsonObject, path: Path) -> Read:
    try:
        return read(plain, str(path))
    except UsageError as error:
        raise ModelFileError(f"{error}; {_ADVICE}") from error


def _mapping(path: Path) -> JsonObject:
    read = read_yaml if path.suffix == ".yaml" else read_json
    return mapping(read(path, ModelFileError, _ADVICE), str(path), ModelFileError, _ADVICE)


def _grids(directory: Path, events: Sequence[Event]) -> tuple[Grid, ...]:
    found: dict[tuple[int, str], Grid] = {}
    for event in events:
        name = event.text("file")
        for path in (directory / name, directory / "samples" / name):
            if name and path.is_file():
                step, weights = event.step or 0, event.weights or ""
                found[step, weights] = Grid(step, weights, path)
                break
    return tuple(found[place] for place in sorted(found))
