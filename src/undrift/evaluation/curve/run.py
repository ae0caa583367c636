"""``undrift curve``: draw with many samplers from the same noise, measure, and keep every point."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from undrift.data.findings import finding_lines
from undrift.errors import UsageError
from undrift.evaluation.curve.asked import Curve
from undrift.evaluation.curve.cells import LEARNED, Cell, Skipped, cells_of
from undrift.evaluation.curve.journal import Journal
from undrift.evaluation.curve.measuring import Measuring
from undrift.evaluation.curve.pairs import add_differences
from undrift.evaluation.curve.result import FILES, result_of, write_result
from undrift.evaluation.drawing import OnDrawn, Sampling, draw
from undrift.evaluation.opening import check, open_reference
from undrift.evaluation.reference import ReferenceImages
from undrift.evaluation.stored_reference import StoredReference
from undrift.evaluation.target import Target, open_target
from undrift.files.lock import FileLock
from undrift.files.ownership import check_replaceable
from undrift.metrics import Comparison, chosen_metrics
from undrift.pipelines import DiffusionPipeline
from undrift.report.cost import duration
from undrift.report.refresh import refresh
from undrift.runs.directory import make_folder
from undrift.runs.recipes import choose_device
from undrift.schema import to_plain
from undrift.training.distributed import World
from undrift.version import __version__
from undrift.wording import plural


class Watcher:
    """Told how a curve goes on; raises to stop it. This one says nothing."""

    def plan(self, lines: list[str], done: int, total: int) -> None:
        """What is about to be done, what it will cost, and how many points are there already."""

    def drawn(self, cell: Cell) -> OnDrawn | None:
        """Told of the samples of ``cell``."""

    def cell(self, cell: Cell, done: int, total: int, left: float) -> None:
        """Told after each point: how many there are now, and the seconds that the rest takes."""


def run_curve(asked: Curve, watcher: Watcher | None = None) -> dict[str, Any]:
    """Measure every point, and write ``curve.json`` and ``curve.png``.

    Points that were measured before, under the same protocol, are taken from the journal.

    Returns:
        ``cells``: per point ``sampler``, ``nfe``, ``steps``, ``seconds`` (per image) and
        ``metrics``; ``best``: per metric what `best_within` finds; ``skipped``; ``floors``;
        ``protocol`` and what else the numbers depend on. Of several processes only the first
        one's is complete.

    Raises:
        UsageError: no model, or a sampler, number or metric that cannot be.
        UndriftError: what cannot be opened, drawn or compared; see the parts.
    """
    watcher = Watcher() if watcher is None else watcher
    names = chosen_metrics(asked.metrics)
    device = choose_device(asked.device)
    subject = open_target(asked.target, ema=asked.ema, weights=asked.weights)
    if subject.pipeline is None:
        raise UsageError(f"{asked.target}: samples, not a model; a curve needs a run or a pipeline")
    pipeline = DiffusionPipeline.of(
        subject.pipeline, "there are none to compare; `undrift evaluate` measures it"
    )
    folder = _folder(asked, subject)
    if subject.run is not None and asked.out is None:
        subject.run.check_writable("make room, or name another place by --out")
    if asked.out is not None:
        for name in FILES:
            check_replaceable("--out", folder / name)
    reference = open_reference(subject, asked.reference, asked.split)
    check(subject, reference)
    with World.join(device) as world, contextlib.ExitStack() as stack:
        pipeline.to(world.device)
        cells, skipped = cells_of(
            pipeline, asked.samplers, asked.nfe, guidance=asked.guidance, grid=asked.grid
        )
        if not cells:
            raise UsageError(f"no point can be had: {skipped[0].sampler}, {skipped[0].reason}")
        depends = _depends_on(asked, subject, reference, names, device)
        if world.first:
            make_folder(folder)
            stack.enter_context(FileLock(folder, ".curve.LOCK"))
        journal = Journal(folder, depends)
        records = [journal.read(cell) for cell in cells]
        missing = [k for k, record in enumerate(records) if record is None]
        pace = _pace(pipeline, asked) if missing else 0.0
        lines = _plan(asked, cells, skipped, missing, pace / world.size)
        lines += [] if reference.report is None else finding_lines(reference.report)
        watcher.plan(lines, len(cells) - len(missing), len(cells))
        world.barrier()  # nobody reads the journal any more
        measuring = None
        if world.first and missing:
            measuring = Measuring(asked, subject, reference, names, device)
        for place, k in enumerate(missing):
            cell = cells[k]
            sampling = _sampling(asked, cell)
            drawn = draw(subject, pipeline, asked.n, sampling, world, watcher.drawn(cell))
            if measuring is None:
                continue
            began = time.perf_counter()
            records[k] = record = {
                **vars(cell),
                "seconds": drawn.seconds / asked.n,
                **to_plain(measuring.measure(drawn.images)),
            }
            journal.write(cell, record)
            rest = missing[place + 1 :]
            left = pace * asked.n * sum(cells[j].nfe for j in rest) / world.size
            left += (time.perf_counter() - began) * len(rest)
            watcher.cell(cell, len(cells) - len(rest), len(cells), left)
        if not world.first:
            return {}
        found = result_of(asked, subject, [r for r in records if r is not None], skipped, names)
        if any(best["runner_up"] for best in found["best"][names[0]]):
            if measuring is None:
                measuring = Measuring(asked, subject, reference, names, device)
            _pair(found["best"][names[0]], asked, subject, pipeline, measuring, world)
        write_result(folder, found, owned=asked.out is None)
        if subject.run is not None and folder == subject.run.path / "evaluation":
            refresh(subject.run.path)
        return found


def _sampling(asked: Curve, cell: Cell) -> Sampling:
    grid = None if cell.sampler == LEARNED else asked.grid
    return Sampling(asked.seed, cell.steps, cell.sampler, asked.guidance, grid)


def _pair(
    best: list[dict[str, Any]],
    asked: Curve,
    subject: Target,
    pipeline: DiffusionPipeline,
    measuring: Measuring,
    world: World,
) -> None:
    """Compare each best point with its runner-up, image by image; the samples are in the cache."""
    alone = World(0, 1, world.local_rank, world.device)

    def drawn(sampler: str, nfe: int, steps: int) -> Comparison:
        sampling = _sampling(asked, Cell(sampler, nfe, steps))
        return measuring.comparison(draw(subject, pipeline, asked.n, sampling, alone).images)

    add_differences(best, chosen_metrics(asked.metrics)[0], drawn)


def _folder(asked: Curve, subject: Target) -> Path:
    if asked.out is not None:
        return Path(asked.out)
    if subject.run is None:
        raise UsageError(f"{asked.target}: it belongs to no run; name a folder by --out")
    return subject.run.path / "evaluation"


def _depends_on(
    asked: Curve, subject: Target, reference: ReferenceImages, names: Sequence[str], device: str
) -> dict[str, Any]:
    stored = isinstance(reference, StoredReference)
    return {
        "version": __version__,
        "model": subject.fingerprint,
        "reference": reference.fingerprint,
        "split": asked.split,
        "features": [asked.features or reference.space, asked.weights_file],
        "n": asked.n,
        "metrics": list(names),
        "seed": asked.seed,
        "guidance": asked.guidance,
        "grid": asked.grid,
        "device": device,
        "threads": torch.get_num_threads(),
    } | ({"images": reference.header.images} if stored else {})


def _pace(pipeline: DiffusionPipeline, asked: Curve) -> float:
    """Seconds per network forward of one image, from one batch that is thrown away."""
    count = min(pipeline.batch_size, asked.n)
    settings: dict[str, Any] = {"sampler": "euler", "grid": asked.grid, "guidance": asked.guidance}
    pipeline(1, steps=1, **settings)
    timed = pipeline(count, steps=2, **settings)
    return timed.seconds / (timed.nfe * count)


def _plan(
    asked: Curve, cells: list[Cell], skipped: list[Skipped], missing: list[int], pace: float
) -> list[str]:
    names = list(dict.fromkeys(cell.sampler for cell in cells))
    lines = [
        f"{asked.target}: {plural(len(cells), 'point')} of {plural(asked.n, 'sample')}, "
        f"{', '.join(names)}"
    ]
    if len(missing) < len(cells):
        lines.append(f"{len(cells) - len(missing)} of them were measured before")
    for sampler in dict.fromkeys(one.sampler for one in skipped):
        without = [one for one in skipped if one.sampler == sampler]
        budgets = ", ".join(str(one.nfe) for one in without)
        lines.append(f"no {sampler} at {budgets} evaluations: {without[0].reason}")
    forwards = asked.n * sum(cells[k].nfe for k in missing)
    if missing:
        lines.append(
            f"{plural(forwards, 'network evaluation')} to make, about "
            f"{duration(forwards * pace)}, and the "
            "measuring"
        )
    return lines
