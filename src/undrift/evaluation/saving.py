"""Where results are written; one that can't be written where it should be is saved elsewhere."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from undrift.errors import UndriftError, UnsavedResultError, UsageError
from undrift.files.cache import cache_directory
from undrift.files.durable import write_file, write_output
from undrift.options import EvaluateOptions
from undrift.report.refresh import refresh
from undrift.results import EvaluationResult
from undrift.runs.directory import RunDirectory
from undrift.schema import to_plain


def json_bytes(result: object) -> bytes:
    """A result, a dataclass, as the content of a JSON file."""
    return (json.dumps(to_plain(result), indent=1, allow_nan=False) + "\n").encode()


@contextlib.contextmanager
def saved_elsewhere(result: object, save: Callable[[Path], None]) -> Iterator[None]:
    """Write ``result`` inside; where that fails, save it elsewhere and raise.

    The other places are a new folder in the cache, in the system's folder for temporary files, and
    in the working folder: the first that can be written.

    Args:
        result: attached to the error.
        save: writes everything into an empty folder.

    Raises:
        UnsavedResultError: the result cannot be written where it should be; the message says where
            it is.
    """
    try:
        yield
    except (OSError, UsageError) as error:
        place = _elsewhere(save)
        where = "and there is no other place for the result"
        if place is not None:
            where = f"the result is in {place}"
        raise UnsavedResultError(f"{error}; {where}", result) from error


def _elsewhere(save: Callable[[Path], None]) -> Path | None:
    """The folder that ``save`` could write into."""
    for root in (cache_directory, lambda: Path(tempfile.gettempdir()), Path.cwd):
        with contextlib.suppress(OSError, UndriftError):
            root().mkdir(parents=True, exist_ok=True)
            place = Path(tempfile.mkdtemp(prefix="undrift-result-", dir=root()))
            with contextlib.ExitStack() as half_written:
                half_written.callback(shutil.rmtree, place, ignore_errors=True)
                save(place)
                half_written.pop_all()
            return place
    return None


def save_evaluation(
    result: EvaluationResult,
    closest: bytes | None,
    options: EvaluateOptions,
    against: str | None,
    run: RunDirectory | None,
) -> None:
    """Write ``result`` into ``run`` and its report, if there is one, and to ``options.out``.

    Args:
        result: what was measured.
        closest: PNG of the closest pairs; written beside it, under its name with ``-closest.png``.
        options: of the evaluation.
        against: name or hash of the second target.
        run: the run that was evaluated.

    Raises:
        UnsavedResultError: it cannot be written; see `saved_elsewhere`.
    """
    text = json_bytes(result)

    def save(folder: Path) -> None:
        write_file(folder / "evaluation.json", text)
        if closest is not None:
            write_file(folder / "evaluation-closest.png", closest)

    with saved_elsewhere(result, save):
        if options.out is not None:
            out = Path(options.out)
            write_output(out, text)
            if closest is not None:
                write_output(out.with_name(f"{out.stem}-closest.png"), closest)
        if run is not None:
            name = file_name(result, options, against)
            run.write_bytes(f"evaluation/{name}", text)
            if closest is not None:
                stem = name.removesuffix(".json")
                run.write_bytes(f"evaluation/{stem}-closest.png", closest)
            refresh(run.path)


def file_name(result: EvaluationResult, options: EvaluateOptions, against: str | None) -> str:
    """Name of a result in a run: different for every protocol, so that none is overwritten."""
    space = result.features.name.replace("@", "-").replace("/", "-")
    settings, split = result.sampling, result.reference.split
    steps = f"{settings.get('sampler', '')}-{settings.get('steps', '')}"
    weights = [options.ema, options.weights, options.metrics, against]
    rest = [settings, options.reference_n, *weights, result.reference.fingerprint]
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True, default=str).encode()).hexdigest()[:6]
    pair = "-against" if against else ""
    return f"{space}-{split}-{steps}-{options.n}-{options.seed}-{digest}{pair}.json"
