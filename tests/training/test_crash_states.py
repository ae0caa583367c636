"""Every directory that a power cut can leave resolves to the old checkpoint or the new one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tests.training.crash_filesystem import CrashFilesystem, Tree, TreeFilesystem

from undrift.errors import ModelFileError
from undrift.training.checkpoint import CheckpointStore

RUN = Path("/run/checkpoints")


GROUPS = ("network", "ema", "optimizer", "buffers")


def content(step: int, groups: int) -> dict[str, dict[str, torch.Tensor]]:
    return {
        group: {"weight": torch.full((3,), float(step + offset))}
        for offset, group in enumerate(GROUPS[:groups])
    }


class DeletesInPlace(CheckpointStore):
    """Mutant: old checkpoints are deleted without being renamed first."""

    def _discard(self, name: str) -> None:
        self._files.remove_tree(self.directory / name)


def record(
    store_type: type[CheckpointStore] = CheckpointStore, groups: int = 1, **options: Any
) -> CrashFilesystem:
    """Three saves and two deletions."""
    filesystem = CrashFilesystem(**options)
    store = store_type(RUN, filesystem)
    for step in (1, 2, 3):
        store.save(step, content(step, groups), {"images": 16 * step})
        filesystem.mark(step)
        store.prune(1 if step == 3 else 2)
    return filesystem


def examine(filesystem: CrashFilesystem) -> tuple[int, int, str]:
    """Number of crash states, of different ones, and the first thing wrong with any of them."""
    verdicts: dict[tuple[Any, ...], tuple[int | None, str]] = {}
    states = 0
    for tree, promised in filesystem.crashes():
        states += 1
        key = tuple(sorted((str(path), data) for path, data in tree.items() if data is not None))
        if key not in verdicts:
            verdicts[key] = read(tree)
        newest, fault = verdicts[key]
        if not fault and promised is not None and (newest is None or newest < promised):
            fault = f"step {promised} was promised, {newest} is there"
        if fault:
            return states, len(verdicts), fault
    return states, len(verdicts), ""


def read(tree: Tree) -> tuple[int | None, str]:
    store = CheckpointStore(RUN, TreeFilesystem(tree))  # type: ignore[arg-type]
    try:
        for step in store.steps():
            checkpoint = store.load(step)
            if checkpoint.state != {"images": 16 * step} or not same(checkpoint.tensors, step):
                return None, f"step {step} has another content"
        newest = store.newest()
    except ModelFileError as error:
        return None, str(error)
    return (None if newest is None else newest.step), ""


def same(tensors: dict[str, dict[str, torch.Tensor]], step: int) -> bool:
    wanted = content(step, len(tensors))
    return tensors.keys() == wanted.keys() and all(
        torch.equal(tensors[group]["weight"], wanted[group]["weight"]) for group in wanted
    )


def test_every_crash_state_is_old_or_new() -> None:
    states, different, fault = examine(record(groups=len(GROUPS)))
    print(f"{states} crash states, {different} different directories")
    assert not fault
    assert states >= 10_000 and different >= 500


def test_no_sync_can_be_left_out() -> None:
    syncs = [i for i, call in enumerate(record().calls) if call.startswith("sync")]
    assert len(syncs) == 2 + 3 * (1 + 4) + 2
    unnoticed = [i for i in syncs if not examine(record(drop=frozenset({i})))[2]]
    assert not unnoticed


def test_no_rename_can_be_left_out() -> None:
    first = record().calls.index("rename")
    filesystem = CrashFilesystem(drop=frozenset({first}))
    CheckpointStore(RUN, filesystem).save(1, content(1, 1), {"images": 16})
    filesystem.mark(1)
    assert examine(filesystem)[2]


def test_a_rename_that_is_not_atomic_is_noticed() -> None:
    assert examine(record(tear_renames=True))[2]


def test_a_deletion_in_place_is_noticed() -> None:
    assert examine(record(DeletesInPlace))[2]
