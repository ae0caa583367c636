"""What a run writes and shows while it trains."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from PIL import Image
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from undrift.data import ImageSet
from undrift.data.scatter import on_plane
from undrift.errors import DivergedError
from undrift.json_types import JsonObject, JsonValue
from undrift.pipelines import Pipeline, SampleSpec, image_grid
from undrift.pipelines.maps import maps_of
from undrift.runs.directory import RunDirectory
from undrift.runs.events import EventLog
from undrift.runs.log import RunLog
from undrift.runs.periodic_evaluation import KernelDistanceOnly, PeriodicEvaluation
from undrift.runs.progress import OnTraining, TrainingProgress
from undrift.schema import to_plain
from undrift.training.learner import Learner, Progress
from undrift.wording import clock

GRID_SEED = 0
HEARTBEAT = 5.0
PLAIN_EVERY = 10.0
POINTS = 300


class Recorder:
    """Writes events, sample grids and the heartbeat, and shows progress.

    Args:
        run: where to write.
        events: the run's log.
        learner: of the run.
        log: where to show progress, and to note what went wrong.
        evaluation: of samples at intervals; None without.
        callback: called after every update.
        held_out: images to denoise in one step beside each grid; None leaves that out.
        teacher: what the model is distilled from; its images of the same seeds stand at the right.
    """

    def __init__(
        self,
        run: RunDirectory,
        events: EventLog,
        learner: Learner,
        log: RunLog,
        evaluation: PeriodicEvaluation | None = None,
        callback: OnTraining | None = None,
        held_out: ImageSet | None = None,
        teacher: Pipeline | None = None,
    ) -> None:
        self._teacher = teacher
        self._callback = callback
        self._held_out = held_out
        self._began = time.perf_counter()
        self._run = run
        self._events = events
        self._learner = learner
        self._log = log
        self._evaluation = evaluation
        self._console = log.console
        self._beat = 0.0
        self._began = self._spoken = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._kinds: set[str] = set()
        self._latest: JsonObject = {}
        self._bar = Bar(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} steps"),
            TextColumn("{task.fields[note]}"),
            TextColumn("elapsed"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=log.console,
            transient=True,
        )
        self._task = self._bar.add_task("training", total=None, note="")

    def __enter__(self) -> Recorder:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def start(
        self, step: int, seconds_per_step: float | None, steps: int, probe_seconds: float
    ) -> None:
        """Record that training starts after ``step`` updates, and what a probe measured."""
        self._events.write("start", step=step)
        if seconds_per_step is not None and step == 0:
            found = {"seconds_per_step": seconds_per_step, "steps": steps}
            self._events.write("probe", **found, seconds=probe_seconds)

    def event(self, name: str, **entries: JsonValue) -> None:
        """Append an event to ``metrics.jsonl``."""
        self._events.write(name, **entries)
        if name == "train":
            self._latest = entries
        if name == "skip":
            self._log.say(f"step {entries['step']} skipped: {entries['reason']}")
        if name in ("validation", "grid") and name not in self._kinds:
            self._kinds.add(name)
            self._first = None  # the first of its kind comes after few steps; later ones are rare

    def step(self, progress: Progress) -> None:
        """Show progress and keep the heartbeat of ``status.json``."""
        now = time.monotonic()
        if self._first is None:  # what came before it is not part of the pace
            self._first = now, progress.step
        began, first = self._first
        if now - self._beat >= HEARTBEAT:
            self._run.write_status("running", progress.step, progress.steps)
            self._beat = now
        if self._console.is_terminal:
            self._bar.update(
                self._task, completed=progress.step, total=progress.steps, note=self._note()
            )
        elif now - self._spoken >= PLAIN_EVERY and progress.step > first:
            pace = (now - began) / (progress.step - first)
            left = (progress.steps - progress.step) * pace
            self._console.print(
                f"step {progress.step}/{progress.steps}  {self._note()}  "
                f"elapsed {clock(now - self._began)}, left {clock(left)}"
            )
            self._spoken = now
        if self._callback is not None:
            self._callback(
                TrainingProgress(
                    images=progress.images,
                    step=progress.step,
                    steps=progress.steps,
                    loss=self._number("loss"),
                    seconds=time.perf_counter() - self._began,
                )
            )

    def grid(self, progress: Progress, pipelines: Mapping[str, Pipeline]) -> None:
        """Draw the same seeds and classes with each pipeline that draws into ``samples/``."""
        pipelines = {name: one for name, one in pipelines.items() if not one.purpose}
        newest = ""
        for name, pipeline in pipelines.items():
            before = time.perf_counter()
            try:
                picture = self._beside_teacher(grid_picture(pipeline, self._held_out))
            except DivergedError as error:  # training may find back; the run ends when it cannot
                self._log.say(f"step {progress.step}: no grid of the {name} weights: {error}")
                continue
            file = grid_file(progress.step, name)
            self._run.write_bytes(file, _png(picture))
            seconds = time.perf_counter() - before
            self.event("grid", step=progress.step, file=file, weights=name, seconds=seconds)
            newest = newest if newest and name == "raw" else file
        if newest:
            self._log.say(f"step {progress.step}: new grid {self._run.path / newest}")

        if "ema" in pipelines:
            self._one_step(progress, pipelines["ema"])

    def _beside_teacher(self, picture: Image.Image) -> Image.Image:
        """``picture`` at the left of the teacher's, of the same seeds and classes."""
        return picture if self._taught is None else side_by_side(picture, self._taught)

    @cached_property
    def _taught(self) -> Image.Image | None:
        return None if self._teacher is None else grid_picture(self._teacher, self._held_out)

    def _one_step(self, progress: Progress, pipeline: Pipeline) -> None:
        """Denoise held-out images in one step, the same ones and the same noise every time."""
        if self._held_out is None:
            return
        before = time.perf_counter()
        try:
            found = self._learner.one_step(
                pipeline, self._held_out.images, self._held_out.condition()
            )
        except DivergedError as error:
            self._log.say(f"step {progress.step}: no denoised images: {error}")
            return
        if found is None:
            return
        file = f"samples/step_{progress.step:06d}_one_step.png"
        self._run.write_bytes(file, _png(found.picture()))
        seconds = time.perf_counter() - before
        self.event("one_step", step=progress.step, file=file, weights="ema", seconds=seconds)

    def evaluate(self, progress: Progress, pipeline: Pipeline) -> None:
        """Measure samples of the averaged weights, and keep the best weights."""
        if self._evaluation is None:
            return
        before = time.perf_counter()
        found = self._evaluation.evaluate(pipeline, progress.step, progress.fraction)
        seconds = time.perf_counter() - before
        self.event(
            "evaluation",
            step=progress.step,
            images=progress.images,
            seconds=seconds,
            **to_plain(found),
        )
        if not isinstance(found, KernelDistanceOnly) and found.verdict is not None:
            self._log.say(f"step {progress.step}: {found.verdict}")  # whether to stop, users decide

    def _note(self) -> str:
        loss, rate = self._number("loss"), self._number("images_per_second")
        return "" if loss is None or rate is None else f"loss {loss:.4f}  {rate:.0f} images/s"

    def _number(self, name: str) -> float | None:
        value = self._latest.get(name)
        return value if isinstance(value, int | float) else None


def grid_file(step: int, weights: str) -> str:
    """Path in a run of the sample grid of ``weights``, ``ema`` or ``raw``, after ``step``."""
    return f"samples/step_{step:06d}_{weights}.png"


def grid_shape(spec: SampleSpec) -> tuple[int, int]:
    """(columns, rows) of a sample grid: a column per class, fewer images where they are large.

    Of toy 2-D points, which are drawn where they lie, there are many.
    """
    if on_plane(spec.image_shape):
        return POINTS, 1
    classes = len(spec.class_names)
    columns = classes if 2 <= classes <= 16 else 8
    small = max(spec.image_shape[1:]) <= 40
    return columns, max(1, 20 // columns) if small else 1


def draw_grid(
    pipeline: Pipeline, held_out: ImageSet | None = None, teacher: Pipeline | None = None
) -> bytes:
    """A PNG of `grid_picture`, at the left of that of ``teacher`` where there is one."""
    picture = grid_picture(pipeline, held_out)
    if teacher is not None:
        picture = side_by_side(picture, grid_picture(teacher, held_out))
    return _png(picture)


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two pictures of equal height, with a gap of an eighth of it between them."""
    gap = max(4, left.height // 8)
    size = (left.width + gap + right.width, max(left.height, right.height))
    both = Image.new(left.mode, size, "white")
    both.paste(left, (0, 0))
    both.paste(right.convert(left.mode), (left.width + gap, 0))
    return both


def grid_picture(pipeline: Pipeline, held_out: ImageSet | None = None) -> Image.Image:
    """Samples with the same seeds, classes, prompts, numbers and maps every time.

    Args:
        pipeline: draws them.
        held_out: images whose captions, numbers and maps are given to a model that takes any.
    """
    columns, rows = grid_shape(pipeline.spec)
    labels = "all" if pipeline.spec.class_names else None
    prompts = grid_prompts(pipeline.spec, held_out, columns * rows)
    numbers = grid_numbers(pipeline.spec, held_out, columns * rows)
    samples = pipeline(
        columns * rows,
        labels=labels,
        prompts=prompts,
        numbers=numbers,
        maps=grid_maps(pipeline.spec, held_out, columns * rows),
        seed=GRID_SEED,
    )
    return image_grid(samples.images, columns=columns)


def grid_maps(
    spec: SampleSpec, held_out: ImageSet | None, count: int
) -> dict[str, np.ndarray] | None:
    """Maps of at most ``count`` held-out images, evenly spaced; None without any."""
    if not spec.maps or held_out is None or not len(held_out):
        return None
    most = min(count, len(held_out))
    return maps_of(spec, held_out, np.arange(most) * len(held_out) // most)


def grid_numbers(
    spec: SampleSpec, held_out: ImageSet | None, count: int
) -> dict[str, list[float]] | None:
    """Numbers of ``count`` held-out images, evenly spaced by the first number; None without any.

    They are moved into the range of the training data.
    """
    if not spec.numbers or held_out is None or held_out.numbers is None or not len(held_out):
        return None
    rows = np.argsort(held_out.numbers[:, 0], kind="stable")
    chosen = held_out.numbers[rows[np.arange(count) * len(rows) // count]]
    return {
        number.name: column.clip(number.low, number.high).tolist()
        for number, column in zip(spec.numbers, chosen.T, strict=True)
    }


def grid_prompts(spec: SampleSpec, held_out: ImageSet | None, most: int) -> list[str] | None:
    """At most ``most`` captions that the model reads whole, evenly spaced; None without any."""
    if spec.text is None or held_out is None or held_out.captions is None:
        return None
    captions = [texts[0] for texts in held_out.captions if texts]
    whole = [one for one in captions if not spec.text.cut([one])]
    count = min(most, len(whole))
    return [whole[i * len(whole) // count] for i in range(count)] or None


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()
