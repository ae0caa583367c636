"""Samples of a pipeline, drawn in blocks that are cached: an interrupted evaluation goes on.

The blocks lie in ``$UNDRIFT_CACHE/samples/<key>/``; the key names the weights and every setting
that an image depends on. Several processes share the work, block by block.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from undrift.errors import DataError, UsageError
from undrift.evaluation.conditions import Conditions, samples_of
from undrift.evaluation.target import Target
from undrift.files.arrays import npz_bytes, read_npz
from undrift.files.cache import cache_directory
from undrift.files.durable import write_file
from undrift.json_types import JsonObject
from undrift.metrics import Images
from undrift.options import EvaluateOptions
from undrift.pipelines import Pipeline
from undrift.schema import from_plain, to_plain
from undrift.training.distributed import World

BLOCK = 250
"""Images of a block: the most that is lost when a process is killed."""

OnDrawn = Callable[[int, int, float], None]
"""Called as (images done, images in all, expected seconds for the rest)."""


@dataclass(frozen=True)
class Sampling:
    """How samples are drawn; None is the pipeline's own default.

    Attributes:
        seed: seed of the initial noise.
        steps: steps of the sampler.
        sampler: its name.
        guidance: guidance scale.
        grid: how the steps are spaced.
    """

    seed: int = 0
    steps: int | None = None
    sampler: str | None = None
    guidance: float | None = None
    grid: str | None = None

    @classmethod
    def of(cls, options: EvaluateOptions) -> Sampling:
        """The settings among the options of an evaluation."""
        return cls(options.seed, options.steps, options.sampler, options.guidance, options.grid)

    @property
    def given(self) -> list[str]:
        """Names of the settings that are not left to the pipeline, but for the seed."""
        return [name for name, value in vars(self).items() if name != "seed" and value is not None]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Samples and what they cost.

    Attributes:
        images: the samples and their labels.
        nfe: network evaluations per image.
        seconds: of sampling, over all processes.
        settings: that the images depend on.
        rows: (n,) number of each image in the set it was taken from; None is 0 to n - 1.
    """

    images: Images
    nfe: float
    seconds: float
    settings: JsonObject
    rows: NDArray[np.int64] | None = None


def draw(
    target: Target,
    pipeline: Pipeline,
    n: int,
    sampling: Sampling,
    world: World,
    on_drawn: OnDrawn | None = None,
    conditions: Conditions | None = None,
) -> Drawn:
    """Draw images 0 to ``n - 1`` of the seed; those in the cache are taken from there.

    Args:
        target: whose the pipeline is.
        pipeline: draws.
        n: number of images.
        sampling: settings.
        world: the processes that share the work.
        on_drawn: called with the progress.
        conditions: captions and numbers to draw with; None leaves these open.

    Raises:
        UsageError: an impossible setting, or a cache that cannot be written.
    """
    depends = f"{target.fingerprint}|{sampling}"
    if conditions is not None:
        depends += f"|{conditions.key}"
    key = hashlib.sha256(depends.encode()).hexdigest()[:24]
    folder = cache_directory() / "samples" / key
    with _in_cache(folder):
        folder.mkdir(parents=True, exist_ok=True)
    starts = list(range(0, n, BLOCK))
    began, drawn = time.perf_counter(), 0
    for number, start in enumerate(starts):
        count = min(BLOCK, n - start)
        if number % world.size == world.rank and _read(folder, start, count) is None:
            if not drawn and on_drawn is not None:
                on_drawn(start, n, _forecast(pipeline, start, n, sampling, conditions) / world.size)
                began = time.perf_counter()
            _draw_block(pipeline, folder, start, count, sampling, conditions)
            drawn += count
        if drawn and on_drawn is not None:
            pace = (time.perf_counter() - began) / drawn
            on_drawn(start + count, n, pace * (n - start - count) / world.size)
    world.barrier()
    blocks = [_read(folder, start, min(BLOCK, n - start)) for start in starts]
    found = [block for block in blocks if block is not None]
    if len(found) < len(blocks):
        raise UsageError(f"the cache {folder} loses what is written: set UNDRIFT_CACHE")
    labels = [block.labels for block in found if block.labels is not None]
    images = Images(
        np.concatenate([block.images for block in found]),
        np.concatenate(labels) if len(labels) == len(found) else None,
    )
    notes = [block.notes for block in found]
    own = {"n", "first"}
    if conditions is not None:
        own |= {"labels", "prompts", "numbers", "maps"}
    settings = {k: v for k, v in notes[0].settings.items() if k not in own}
    if conditions is not None:
        settings["conditions"] = conditions.source
        images = conditions.given(images.images, images.labels)
    seconds = sum(block.notes.seconds * len(block.images) / block.notes.n for block in found)
    return Drawn(images, notes[0].nfe, seconds, settings)


@contextlib.contextmanager
def _in_cache(folder: Path) -> Iterator[None]:
    """Write into ``folder`` inside.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"the cache {folder} cannot be written ({error.strerror}): set UNDRIFT_CACHE"
        ) from error


def _forecast(
    pipeline: Pipeline, start: int, n: int, sampling: Sampling, conditions: Conditions | None
) -> float:
    """Seconds that the rest would take one process, measured on a few images."""
    few = min(16, n - start)
    timed = samples_of(pipeline, few, start, conditions, **vars(sampling))
    return timed.seconds / few * (n - start)


def _draw_block(
    pipeline: Pipeline,
    folder: Path,
    start: int,
    count: int,
    sampling: Sampling,
    conditions: Conditions | None,
) -> None:
    samples = samples_of(pipeline, count, start, conditions, **vars(sampling))
    notes = _Notes(count, samples.nfe, samples.seconds, samples.settings)
    arrays = {"images": samples.images, "notes": np.array(json.dumps(to_plain(notes)))}
    if samples.labels is not None:
        arrays["labels"] = samples.labels
    with _in_cache(folder):
        write_file(_path(folder, start), npz_bytes(arrays), durable=False)


@dataclass(frozen=True)
class _Notes:
    """What is stored beside the images of a block: how many, their cost and settings."""

    n: int
    nfe: float
    seconds: float
    settings: JsonObject


@dataclass(frozen=True, eq=False)
class _Block:
    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    notes: _Notes


def _read(folder: Path, start: int, count: int) -> _Block | None:
    """The first ``count`` images of a block, or None where there are fewer or it is damaged."""
    try:
        found, _ = read_npz(_path(folder, start), None, DataError, "")
    except DataError:
        return None
    if "notes" not in found or len(found.get("images", ())) < count:
        return None
    notes = from_plain(_Notes, json.loads(str(found["notes"])), str(_path(folder, start)))
    labels = found["labels"][:count] if "labels" in found else None
    return _Block(found["images"][:count], labels, notes)


def _path(folder: Path, start: int) -> Path:
    return folder / f"block-{start:08d}.npz"
