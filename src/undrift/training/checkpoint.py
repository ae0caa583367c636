"""Checkpoints that a power cut cannot tear and a flipped bit cannot slip through.

A checkpoint is a directory ``step-000120``: one safetensors file per group of tensors,
``state.json`` and ``MANIFEST.json`` with every file's size and SHA-256. It is written as
``.staging-step-000120-*``, every file and the directory are made durable, and one rename gives it
its name; so whatever has that name was complete once, and the manifest shows whether it still is.
Nothing is ever written into a directory that already has its name, and nothing is unpickled.

Reading never trusts a name: ``load`` verifies every byte, and ``newest`` goes back to the newest
checkpoint that verifies and logs what it skipped.
"""

from __future__ import annotations

import errno
import os
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from undrift.advice import named
from undrift.errors import ModelFileError, UsageError
from undrift.files import manifest
from undrift.files.durable import staged, write_synced
from undrift.files.filesystem import LOCAL, Filesystem
from undrift.files.lock import FileLock
from undrift.files.manifest import Listing, Manifest
from undrift.files.reading import mapping, parse_json
from undrift.files.tensors import parse_tensors
from undrift.json_types import JsonObject, JsonValue

STATE = "state.json"
_SUFFIX = ".safetensors"
_ADVICE = "use another checkpoint"
_STEP = re.compile(r"step-(\d{6,})")
_LEFTOVER = re.compile(r"\.(staging|trash)-step-\d{6,}-[0-9a-f]{32}")
_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}


class CheckpointWriteError(UsageError):
    """A checkpoint that could not be written; the earlier ones are untouched."""


@dataclass(frozen=True)
class Skip:
    """A checkpoint that was passed over.

    Attributes:
        step: which.
        reason: one line that names the file and its fault.
    """

    step: int
    reason: str


@dataclass(frozen=True)
class Checkpoint:
    """What was saved at one step, verified.

    Attributes:
        step: optimiser updates made.
        tensors: group name -> tensor name -> tensor, on the CPU.
        state: the plain data saved beside them.
        skipped: newer checkpoints that did not verify, newest first.
    """

    step: int
    tensors: dict[str, dict[str, Tensor]]
    state: JsonObject
    skipped: tuple[Skip, ...] = ()


def step_name(step: int) -> str:
    """Name of a step in the run directory: ``step-000120``."""
    return f"step-{step:06d}"


class CheckpointStore:
    """The checkpoints in one directory. Only the holder of the run's lock may write.

    Args:
        directory: where they are; the first ``save`` creates it.
        filesystem: operations to write and read through.
    """

    def __init__(
        self, directory: str | os.PathLike[str], filesystem: Filesystem | None = None
    ) -> None:
        self.directory = Path(directory)
        self._files: Filesystem = LOCAL if filesystem is None else filesystem

    def steps(self) -> list[int]:
        """Steps that have a checkpoint by name, ascending; none of them verified."""
        matches = map(_STEP.fullmatch, self._names())
        # Only names that save() gives: step-0000120 and step-000120.backup are somebody else's.
        return sorted(int(m[1]) for m in matches if m and step_name(int(m[1])) == m[0])

    def save(
        self, step: int, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, JsonValue]
    ) -> int:
        """Write a checkpoint durably, or leave everything as it was.

        A verified checkpoint of that step with the same content is left alone. One that does not
        verify, or differs, is replaced: the run had resumed from before it.

        Args:
            step: optimiser updates made.
            tensors: group name -> tensor name -> tensor; each group becomes a file.
            state: anything that JSON can say without NaN.

        Returns:
            Bytes of the checkpoint.

        Raises:
            CheckpointWriteError: if the disk is full or does not accept it.
        """
        name = step_name(step)
        try:
            self._make_root()
            unique = f".staging-{name}-{uuid.uuid4().hex}"
            with staged(self.directory / unique, self._files) as staging:
                listing = self._write(staging, tensors, state)
                size = sum(facts["bytes"] for facts in listing.values())
                self._write_file(staging / manifest.NAME, manifest.encode(listing, {"step": step}))
                self._files.sync_directory(staging)
                if self._exists(name):
                    if self._holds(step, listing):
                        self._files.remove_tree(staging)
                        return size
                    self._discard(name)
                self._files.rename(staging, self.directory / name)
            self._files.sync_directory(self.directory)
        except OSError as error:
            reason = _FULL.get(error.errno or 0, error.strerror or str(error))
            raise CheckpointWriteError(
                f"{self.directory / name} could not be saved: {reason}; make room or repair the "
                "disk and give the same command again, earlier checkpoints are intact"
            ) from error
        return size

    def load(self, step: int) -> Checkpoint:
        """Read one checkpoint and verify every byte of it.

        Raises:
            ModelFileError: if it is missing or damaged; names the file and the fault.
        """
        files = self._manifest(step)
        state = _parse_state(files)
        tensors = {
            name.removesuffix(_SUFFIX): _parse_tensors(files, name)
            for name in files.listing
            if name != STATE
        }
        return Checkpoint(step, tensors, state)

    def load_state(self, step: int) -> JsonObject:
        """Read and verify only the plain data of one checkpoint.

        Raises:
            ModelFileError: as ``load`` does.
        """
        return _parse_state(self._manifest(step))

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that verifies, or None if there is no checkpoint at all.

        ``skipped`` of the result lists what was passed over: report it.

        Raises:
            ModelFileError: if there are checkpoints but none of them verifies.
        """
        skipped: list[Skip] = []
        for step in reversed(self.steps()):
            try:
                return replace(self.load(step), skipped=tuple(skipped))
            except ModelFileError as error:
                skipped.append(Skip(step, str(error)))
        if skipped:
            raise ModelFileError(
                f"{self.directory}: none of {len(skipped)} checkpoints can be used (the newest: "
                f"{skipped[0].reason}); restore one from a backup or start anew with another "
                f"{named('out')}"
            )
        return None

    def prune(self, keep: int) -> list[int]:
        """Delete all but the ``keep`` newest checkpoints and the newest one that verifies.

        Returns:
            The steps deleted.

        Raises:
            CheckpointWriteError: if one cannot be deleted.
        """
        if keep < 1:
            raise UsageError(f"keep {keep} checkpoints: wanted at least 1")
        steps = self.steps()
        old, kept = steps[:-keep], steps[-keep:]
        spared: list[int] = []
        if old and not any(self._verifies(step) for step in reversed(kept)):
            spared = next(([step] for step in reversed(old) if self._verifies(step)), [])
        deleted = [step for step in old if step not in spared]
        for step in deleted:
            try:
                self._discard(step_name(step))
            except OSError as error:
                raise CheckpointWriteError(
                    f"{self.directory / step_name(step)} could not be deleted "
                    f"({error.strerror or error}); repair the disk or delete it by hand"
                ) from error
        return deleted

    def sweep(self, lock: FileLock) -> list[str]:
        """Delete what interrupted saves and deletions left behind.

        Args:
            lock: the run's lock, held: another process's unfinished save has such a name too.

        Returns:
            The names deleted.
        """
        if not lock.held:
            raise UsageError(f"{self.directory}: only the holder of the run's lock may sweep it")
        leftovers = sorted(filter(_LEFTOVER.fullmatch, self._names()))
        for name in leftovers:
            self._files.remove_tree(self.directory / name)
        return leftovers

    def _names(self) -> list[str]:
        try:
            return self._files.names(self.directory)
        except OSError as error:
            reason = f"cannot be read ({error.strerror or error})"
            raise manifest.fault(self.directory, reason, _ADVICE) from error

    def _make_root(self) -> None:
        missing = []
        path = self.directory
        while not self._files.exists(path):
            missing.append(path)
            path = path.parent
        for path in reversed(missing):
            self._files.make_directory(path)
            self._files.sync_directory(path.parent)

    def _write(
        self,
        staging: Path,
        tensors: Mapping[str, Mapping[str, Tensor]],
        state: Mapping[str, JsonValue],
    ) -> Listing:
        """Write every file but the manifest; return the manifest's listing of them."""
        contents: dict[str, Callable[[], bytes]] = {STATE: lambda: manifest.canonical(state)}
        for group, members in tensors.items():
            if not manifest.is_file_name(group + _SUFFIX):
                raise ValueError(f"{group!r} cannot name a file")
            contents[group + _SUFFIX] = lambda members=members: _serialise(members)
        listing = {}
        for name, content in contents.items():
            data = content()
            self._write_file(staging / name, data)
            listing[name] = manifest.facts(data)
        return listing

    def _write_file(self, path: Path, data: bytes) -> None:
        write_synced(path, data, self._files)

    def _manifest(self, step: int) -> Manifest:
        found = manifest.read_manifest(
            self.directory / step_name(step), _ADVICE, {"step": step}, self._files
        )
        if STATE not in found.listing:
            raise found.fault(manifest.NAME, f"lists no {STATE}")
        return found

    def _verifies(self, step: int) -> bool:
        try:
            self.load(step)
        except ModelFileError:
            return False
        return True

    def _holds(self, step: int, listing: Listing) -> bool:
        return self._verifies(step) and self._manifest(step).listing == listing

    def _exists(self, name: str) -> bool:
        return name in self._names()

    def _discard(self, name: str) -> None:
        # Renamed first: a deletion that is cut short must not leave a torn step-*.
        trash = self.directory / f".trash-{name}-{uuid.uuid4().hex}"
        self._files.rename(self.directory / name, trash)
        self._files.sync_directory(self.directory)
        self._files.remove_tree(trash)


def _serialise(tensors: Mapping[str, Tensor]) -> bytes:
    # contiguous(): safetensors knows no memory formats. Tied tensors are written once per name.
    return safetensors.torch.save(
        {
            name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
            for name, tensor in sorted(tensors.items())
        }
    )


def _parse_tensors(files: Manifest, name: str) -> dict[str, Tensor]:
    where = str(files.directory / name)
    return parse_tensors(files.read(name), where, ModelFileError, files.advice)


def _parse_state(files: Manifest) -> JsonObject:
    where = str(files.directory / STATE)
    state = parse_json(files.read(STATE), where, ModelFileError, files.advice)
    return mapping(state, where, ModelFileError, files.advice)
