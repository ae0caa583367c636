"""A run while this process works on it: its directory is locked, its first files are written."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn

from undrift.advice import named, possible
from undrift.codec import build_codec
from undrift.conditioning.text import PretrainedText
from undrift.data import ImageSet
from undrift.data.findings import finding_lines
from undrift.data.loader import as_batch
from undrift.errors import (
    DivergedError,
    InterruptedRunError,
    TerminatedError,
    UsageError,
    one_line,
)
from undrift.families import family_of
from undrift.files.lock import FileLock
from undrift.json_types import JsonValue
from undrift.names import shell_line
from undrift.runs import configuration
from undrift.runs.configuration import RunConfig
from undrift.runs.directory import RunDirectory, new_directory, point_latest
from undrift.runs.environment import describe_environment
from undrift.runs.events import EventLog
from undrift.runs.expectation import expectation_of
from undrift.runs.loading import load_pipeline
from undrift.runs.log import RunLog
from undrift.runs.recipes import build_learner
from undrift.runs.unfinished import configuration_of
from undrift.schema import to_plain
from undrift.training.checkpoint import Checkpoint, CheckpointStore
from undrift.training.compiling import is_from_compiler
from undrift.training.distributed import World
from undrift.training.gaussian import spectrum
from undrift.training.learner import Learner
from undrift.training.memory import is_out_of_memory
from undrift.training.snapshots import SnapshotStore
from undrift.wording import plural
from undrift.workflows.planning import Start

SPECTRUM_IMAGES = 20_000
SPECTRUM_CHUNK = 64
"""Training images that the reference curve is made from, and how many are in memory at once."""


@dataclass(frozen=True)
class OpenRun:
    """A run that this process trains, alone or as one of several ranks.

    Attributes:
        directory: of the run.
        lock: on the directory; held by the first rank.
        world: the ranks.
        log: shows lines, and writes them to ``log.txt``; the other ranks' is silent.
        network: the user's own network, if there is one.
        bare: whether the run ends without samples, metrics and report.
    """

    directory: RunDirectory
    lock: FileLock
    world: World
    log: RunLog
    network: nn.Module | None
    bare: bool

    def fresh_learner(self, config: RunConfig) -> Learner:
        """A learner to throw away: with a copy of the user's own network."""
        network = copy.deepcopy(self.network)
        return build_learner(config, self.world.device, network=network)

    def note(self, event: str, **entries: JsonValue) -> None:
        """Append one event to ``metrics.jsonl``."""
        with contextlib.closing(EventLog(self.directory.events)) as events:
            events.write(event, **entries)

    @property
    def resume_command(self) -> str:
        """Command that resumes the run, with --bare where it ends so."""
        words = ["undrift", "train", str(self.directory.path)]
        return shell_line([*words, "--bare"] if self.bare else words)


@contextlib.contextmanager
def opened(
    start: Start, world: World, console: Console, network: nn.Module | None, *, bare: bool
) -> Iterator[OpenRun]:
    """The run's directory, made and locked; the caller's torch threads and random state restored.

    Args:
        start: which run; a new directory is made in ``runs/`` where it names none, and removed if
            nothing was written.
        world: the ranks.
        console: where to show progress.
        network: the user's own network, if there is one.
        bare: whether the run ends without samples, metrics and report.

    Raises:
        UsageError: another process trains the run; or memory, or a compiler, failed inside.
    """
    made = ""
    if start.run is None and world.first:
        made = str(new_directory(start.source).path)
    run = start.run or RunDirectory(world.broadcast_text(made))
    lock, threads = FileLock(run.path), torch.get_num_threads()
    if world.first:
        run.make()
        lock.acquire()
    world.barrier()
    log = RunLog(console, run.path / "log.txt")
    if not world.first:
        log = RunLog(Console(quiet=True), None)
    try:
        yield OpenRun(run, lock, world, log, network, bare)
    except (RuntimeError, MemoryError) as error:
        raise _explained(error) from error
    finally:
        lock.release()
        if made:
            with contextlib.suppress(OSError):  # only an empty one goes
                os.rmdir(made)
        torch.set_num_threads(threads)


def _explained(error: RuntimeError | MemoryError) -> Exception:
    """What the user can do about ``error``, or the error itself."""
    if isinstance(error, RuntimeError) and not is_out_of_memory(error):
        if not is_from_compiler(error):
            return error
        return UsageError(
            f"{named('compile')}: the compiler failed ({one_line(error)}); leave it out, or set "
            "TORCH_LOGS=dynamo to see all of it"
        )
    hint = possible(
        "give a smaller {micro_batch}, {batch_size} or {size}", "use a device with more"
    )
    return UsageError(f"the training step does not fit into memory; {hint}")


def begin_run(opened: OpenRun, config: RunConfig, data: ImageSet) -> None:
    """Write what a new or lengthened run begins with; ``config.yaml``, which makes it one, last."""
    if not opened.world.first:
        return
    run, log = opened.directory, opened.log
    run.write_json("environment.json", to_plain(describe_environment(config.training.device)))
    run.write_json("data.json", data.report.to_json())
    for line in finding_lines(data.report, training=True):
        log.say(line)
    text = config.model.spec.text
    captions = [one for several in data.captions or () for one in several]
    if text is not None and (cut := text.cut(captions)):
        log.say(
            f"{plural(cut, 'caption')} of more than {plural(text.length, 'token')}: only these "
            "are read"
        )
    expected = expectation_of(config, data.split("train"), config.seconds_per_step)
    if expected is not None:
        log.say(expected.sentence)
        opened.note("expectation", **asdict(expected))
    run.write_text("config.yaml", configuration.dump(config))
    run.write_status("running", 0, config.training.steps)
    if not point_latest(run):
        log.say("runs/latest is not a link; it stays as it is")
    log.say(f"run {run.path}; to resume it: {opened.resume_command}")


def encode_captions(opened: OpenRun, config: RunConfig, data: ImageSet) -> None:
    """Encode the captions by a frozen text encoder, where the run has one: once for its data.

    Raises:
        UsageError: the cache cannot be written.
        ModelFileError: the text encoder is missing, or another one than when the run began.
    """
    text = config.model.spec.text
    if isinstance(text, PretrainedText):
        captions = [one for several in data.captions or () for one in several]
        opened.log.say(f"encoding {plural(len(captions), 'caption')} with {text.source}")
        text.model.prepare(captions, text.length, opened.world.device)


def copy_initial_weights(opened: OpenRun, config: RunConfig, learner: Learner) -> None:
    """Copy the weights of the run or pipeline ``config.init``, if any, into ``learner``."""
    if config.init is None:
        return
    source = load_pipeline(config.init, network=copy.deepcopy(opened.network))
    fresh = family_of(config.model).copy_weights(source, learner)
    opened.log.say(f"starting from {config.init}; new classes: {', '.join(fresh) or 'none'}")


def store_place(opened: OpenRun, config: RunConfig) -> None:
    """Write ``config``, that of a run whose images have been moved."""
    opened.log.say(f"the images of {opened.directory.path} lie at {config.data.path}")
    if opened.world.first:
        opened.directory.write_text("config.yaml", configuration.dump(config))


def reference_eigenvalues(config: RunConfig, train: ImageSet) -> Tensor | None:
    """Eigenvalues of the data's covariance, for a family whose validation has a reference curve.

    They are (D,), in the model's space; None for another family.
    """
    if not family_of(config.model).reference_curve:
        return None
    codec = build_codec(config.model.codec)
    count = min(len(train), SPECTRUM_IMAGES)
    rows = np.linspace(0, len(train) - 1, count).astype(np.int64)
    return spectrum(
        codec.encode(as_batch(train.take(part)))
        for part in np.array_split(rows, max(1, count // SPECTRUM_CHUNK))
    )


def stores(opened: OpenRun) -> tuple[CheckpointStore, SnapshotStore, Checkpoint | None]:
    """Checkpoints and EMA snapshots, and the newest whole checkpoint, if there is one.

    Half-written files of a killed process are deleted, damaged checkpoints reported.
    """
    run = opened.directory
    store, snapshots = CheckpointStore(run.checkpoints), SnapshotStore(run.snapshots)
    if opened.world.first:
        run.sweep()
        store.sweep(opened.lock)
        snapshots.sweep(opened.lock)
    checkpoint = store.newest()
    for skip in checkpoint.skipped if checkpoint is not None else ():
        opened.log.say(f"passed over checkpoint {skip.step}: {skip.reason}")
    return store, snapshots, checkpoint


@contextlib.contextmanager
def final_status(opened: OpenRun) -> Iterator[None]:
    """Write how the training inside ended into ``status.json``.

    Raises:
        TerminatedError: from inside, with the command that resumes the run; so with
            InterruptedRunError.
    """
    run = opened.directory

    def write(state: str) -> None:
        if opened.world.first:
            made = max(CheckpointStore(run.checkpoints).steps(), default=0)
            run.write_status(state, made, configuration_of(run).training.steps)

    try:
        yield
    except (TerminatedError, InterruptedRunError) as error:
        write("interrupted")
        raise type(error)(f"{error}; to go on: {opened.resume_command}") from error
    except DivergedError as error:
        write("failed")
        if opened.world.first:
            opened.note("verdict", state="not_finite", verdict=str(error))
        raise
    except BaseException:
        write("interrupted")
        raise
    if opened.world.first:
        plan = configuration_of(run).training
        opened.note("done", step=plan.steps, images=plan.steps * plan.batch_size)
        run.write_status("done", plan.steps, plan.steps)
