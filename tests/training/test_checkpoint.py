from __future__ import annotations

import errno
import json
import resource
import signal
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tests.training.checkpoints import content, equal, filled, flip, state

from undrift.errors import ModelFileError, UsageError
from undrift.files.filesystem import LocalFilesystem
from undrift.files.lock import FileLock
from undrift.training.checkpoint import CheckpointStore, CheckpointWriteError


def test_round_trip(tmp_path: Path) -> None:
    store = filled(tmp_path / "run" / "checkpoints", 7)
    checkpoint = store.load(7)
    assert checkpoint.step == 7
    assert checkpoint.state == state(7) == store.load_state(7)
    assert equal(checkpoint.tensors, content(7))
    directory = tmp_path / "run" / "checkpoints" / "step-000007"
    assert sorted(path.name for path in directory.iterdir()) == [
        "MANIFEST.json",
        "ema.safetensors",
        "network.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]
    assert [path.name for path in directory.parent.iterdir()] == ["step-000007"]


def test_the_manifest_says_what_is_there(tmp_path: Path) -> None:
    size = filled(tmp_path, 7).save(8, content(8), state(8))
    directory = tmp_path / "step-000008"
    listed = json.loads((directory / "MANIFEST.json").read_text())
    assert (listed["schema"], listed["step"]) == (1, 8)
    sizes = {path.name: path.stat().st_size for path in directory.iterdir()}
    del sizes["MANIFEST.json"]
    assert {name: facts["bytes"] for name, facts in listed["files"].items()} == sizes
    assert size == sum(sizes.values())


def test_memory_formats_and_tied_tensors(tmp_path: Path) -> None:
    weight = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    CheckpointStore(tmp_path).save(1, {"network": {"a": weight, "b": weight, "c": weight[1:]}}, {})
    loaded = CheckpointStore(tmp_path).load(1).tensors["network"]
    assert torch.equal(loaded["a"], weight) and torch.equal(loaded["b"], weight)
    assert torch.equal(loaded["c"], weight[1:])


def test_what_is_saved_does_not_follow_later_changes(tmp_path: Path) -> None:
    weight = torch.zeros(3)
    store = CheckpointStore(tmp_path)
    store.save(1, {"network": {"weight": weight}}, {})
    weight += 1
    assert torch.equal(store.load(1).tensors["network"]["weight"], torch.zeros(3))


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path).newest() is None
    missing = CheckpointStore(tmp_path / "missing")
    assert missing.newest() is None and missing.steps() == [] and missing.prune(1) == []
    assert not (tmp_path / "missing").exists()


def test_a_missing_step_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="step-000009"):
        filled(tmp_path, 1).load(9)


def test_newest_goes_back_to_what_verifies(tmp_path: Path) -> None:
    store = filled(tmp_path, 1, 2, 3)
    flip(tmp_path / "step-000003" / "network.safetensors", 1000)
    (tmp_path / "step-000002" / "ema.safetensors").unlink()
    found = store.newest()
    assert found is not None and found.step == 1 and equal(found.tensors, content(1))
    assert [skip.step for skip in found.skipped] == [3, 2]
    assert "network.safetensors does not match its SHA-256" in found.skipped[0].reason
    assert "ema.safetensors is missing" in found.skipped[1].reason


def test_an_intact_newest_skips_nothing(tmp_path: Path) -> None:
    found = filled(tmp_path, 1, 2).newest()
    assert found is not None and found.step == 2 and found.skipped == ()


def test_when_nothing_verifies_it_says_so(tmp_path: Path) -> None:
    store = filled(tmp_path, 1, 2)
    for step in (1, 2):
        (tmp_path / f"step-00000{step}" / "MANIFEST.json").unlink()
    with pytest.raises(ModelFileError, match="none of 2 checkpoints can be used") as caught:
        store.newest()
    assert "\n" not in str(caught.value) and caught.value.exit_code == 4


def test_steps_are_ordered_by_number(tmp_path: Path) -> None:
    store = filled(tmp_path, 999_999, 1_000_000, 5)
    assert store.steps() == [5, 999_999, 1_000_000]


def test_foreign_names_are_neither_read_nor_deleted(tmp_path: Path) -> None:
    store = filled(tmp_path, 1, 2, 3)
    foreign = [
        "step-000001.backup",
        "step-1",
        "step-0000001",
        "xstep-000001",
        "step-000001-ema",
        ".staging-step-000009",
        ".trash-mine",
        "notes",
    ]
    for name in foreign:
        (tmp_path / name).mkdir()
    assert store.steps() == [1, 2, 3]
    assert store.prune(1) == [1, 2]
    with FileLock(tmp_path) as lock:
        assert store.sweep(lock) == []
    assert all((tmp_path / name).is_dir() for name in foreign)


def test_saving_the_same_again_changes_nothing(tmp_path: Path) -> None:
    store = filled(tmp_path, 1)
    before = (tmp_path / "step-000001").stat().st_ino
    assert store.save(1, content(1), state(1)) > 0
    assert (tmp_path / "step-000001").stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


def test_a_damaged_or_different_checkpoint_gives_way(tmp_path: Path) -> None:
    store = filled(tmp_path, 1, 2)
    flip(tmp_path / "step-000002" / "network.safetensors", 999)
    store.save(2, content(2), state(2))
    assert equal(store.load(2).tensors, content(2))
    store.save(2, content(3), state(3))
    assert equal(store.load(2).tensors, content(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000001", "step-000002"]


def test_prune_keeps_the_newest(tmp_path: Path) -> None:
    store = filled(tmp_path, 1, 2, 3, 4)
    assert store.prune(5) == []
    assert store.prune(2) == [1, 2]
    assert store.steps() == [3, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000003", "step-000004"]
    with pytest.raises(UsageError, match="at least 1"):
        store.prune(0)


def test_prune_never_deletes_the_newest_that_verifies(tmp_path: Path) -> None:
    store = filled(tmp_path, 1, 2, 3, 4)
    for step in (3, 4):
        flip(tmp_path / f"step-00000{step}" / "state.json", 3)
    assert store.prune(2) == [1]
    found = store.newest()
    assert found is not None and found.step == 2
    assert store.prune(1) == [3]
    assert store.steps() == [2, 4]


def test_links_in_place_of_checkpoints_lose_only_themselves(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_bytes(b"precious")
    store = CheckpointStore(tmp_path / "run" / "checkpoints")
    store.save(2, content(2), state(2))
    store.save(3, content(3), state(3))
    links = (f".staging-step-000001-{'0' * 32}", f".trash-step-000001-{'0' * 32}", "step-000001")
    for name in links:
        (store.directory / name).symlink_to(victim)
    with FileLock(tmp_path / "run") as lock:
        assert len(store.sweep(lock)) == 2
    assert store.prune(1) == [1, 2] and store.steps() == [3]
    assert (victim / "file").read_bytes() == b"precious"


def test_sweep_removes_leftovers_and_needs_the_lock(tmp_path: Path) -> None:
    store = filled(tmp_path, 1)
    leftovers = [f".staging-step-000002-{32 * 'a'}", f".trash-step-000001-{32 * '0'}"]
    for name in leftovers:
        (tmp_path / name).mkdir()
        (tmp_path / name / "network.safetensors").write_bytes(b"half")
    lock = FileLock(tmp_path)
    with pytest.raises(UsageError, match="lock"):
        store.sweep(lock)
    with lock:
        assert store.sweep(lock) == leftovers
    assert store.steps() == [1] and not any((tmp_path / name).exists() for name in leftovers)


class FailsOnce(LocalFilesystem):
    """Its call number ``at`` fails with ``code``; a failing write leaves half a file."""

    def __init__(self, at: int, code: int) -> None:
        self.left, self.code, self.failed = at, code, ""

    def _count(self, call: str, path: Path) -> None:
        self.left -= 1
        if self.left == -1:
            self.failed = call
            raise OSError(self.code, "No space left on device", str(path))

    def make_directory(self, path: Path) -> None:
        self._count("make_directory", path)
        super().make_directory(path)

    def write(self, path: Path, data: bytes) -> None:
        if self.left == 0:
            path.write_bytes(data[: len(data) // 2])
        self._count("write", path)
        super().write(path, data)

    def sync_file(self, path: Path) -> None:
        self._count("sync_file", path)
        super().sync_file(path)

    def rename(self, source: Path, target: Path) -> None:
        self._count("rename", source)
        super().rename(source, target)


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "disk quota")]
)
def test_a_full_disk_is_named_and_leaves_nothing_behind(
    tmp_path: Path, code: int, words: str
) -> None:
    filled(tmp_path, 1)
    failed = set()
    for at in range(100):
        filesystem = FailsOnce(at, code)
        store = CheckpointStore(tmp_path, filesystem)
        if at == 12:
            store.save(2, content(2), state(2))
            break
        with pytest.raises(CheckpointWriteError, match=words) as caught:
            store.save(2, content(2), state(2))
        assert "step-000002" in str(caught.value) and caught.value.exit_code == 2
        assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
        failed.add(filesystem.failed)
    assert failed == {"make_directory", "write", "sync_file", "rename"}
    assert store.steps() == [1, 2]


def test_a_file_size_limit_of_the_system(tmp_path: Path) -> None:
    store = filled(tmp_path, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
        with pytest.raises(CheckpointWriteError, match="File too large"):
            store.save(2, {"network": {"weight": torch.zeros(100_000)}}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
    found = store.newest()
    assert found is not None and found.step == 1


def test_a_file_in_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("")
    store = CheckpointStore(tmp_path / "checkpoints")
    with pytest.raises(CheckpointWriteError, match="could not be saved"):
        store.save(1, content(1), state(1))
    with pytest.raises(ModelFileError, match="cannot be read"):
        store.newest()


def test_what_json_cannot_say_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    store = filled(tmp_path, 1)
    for value in (float("nan"), float("inf"), object()):
        with pytest.raises((ValueError, TypeError)):
            store.save(2, content(2), {"value": value})
    with pytest.raises(ValueError, match="name a file"):
        store.save(2, {"../network": {}}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]


def test_an_interrupted_save_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path, 1)

    def interrupt(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(safetensors.torch, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.save(2, content(2), state(2))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
