from __future__ import annotations

import errno
import json
import random
import resource
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from undrift.errors import ModelFileError, UsageError
from undrift.training import manifest
from undrift.training.checkpoint import CheckpointStore, CheckpointWriteError
from undrift.training.filesystem import LocalFilesystem
from undrift.training.lock import FileLock


def content(step: int) -> dict[str, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(step)
    return {
        group: {
            "block.weight": torch.randn(6, 4, generator=generator),
            "block.bias": torch.randn(6, generator=generator).to(torch.bfloat16),
            "step": torch.tensor(step),
        }
        for group in ("network", "ema", "optimizer")
    }


def state(step: int) -> dict[str, object]:
    return {"images": 64 * step, "guard": {"consecutive": 0}}


def filled(directory: Path, *steps: int) -> CheckpointStore:
    store = CheckpointStore(directory)
    for step in steps:
        store.save(step, content(step), state(step))
    return store


def equal(left: dict[str, dict[str, Tensor]], right: dict[str, dict[str, Tensor]]) -> bool:
    return left.keys() == right.keys() and all(
        left[group].keys() == right[group].keys()
        and all(
            left[group][name].dtype == tensor.dtype and torch.equal(left[group][name], tensor)
            for name, tensor in right[group].items()
        )
        for group in right
    )


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(data)


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
    assert "ema.safetensors cannot be read (No such file" in found.skipped[1].reason


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


def corruptions(directory: Path, other: Path, count: int) -> list[tuple[str, Callable[[], None]]]:
    """Random damage to the checkpoint in ``directory``; ``other`` is another one of equal sizes."""
    draw = random.Random(0)
    files = sorted(path.name for path in directory.iterdir())
    found = []
    for i in range(count):
        path = directory / files[i % len(files)]
        size = path.stat().st_size
        kind = ("flip", "flip", "flip", "cut", "swap", "zeros", "remove")[i // len(files) % 7]
        bit, length = draw.randrange(8 * size), draw.randrange(size)
        damage: Callable[[], object] = {
            "flip": lambda path=path, bit=bit: flip(path, bit),
            "cut": lambda path=path, n=length: path.write_bytes(path.read_bytes()[:n]),
            "swap": lambda path=path: shutil.copyfile(other / path.name, path),
            "zeros": lambda path=path, size=size: path.write_bytes(bytes(size)),
            "remove": lambda path=path: path.unlink(),
        }[kind]
        found.append((f"{kind} {path.name}", damage))
    return found  # type: ignore[return-value]


def undetected(tmp_path: Path, count: int) -> list[str]:
    store = filled(tmp_path / "run", 100, 120)
    directory, other = tmp_path / "run" / "step-000120", tmp_path / "run" / "step-000100"
    sizes = {path.name: path.stat().st_size for path in other.iterdir()}
    assert all((directory / name).stat().st_size == size for name, size in sizes.items())
    shutil.copytree(directory, tmp_path / "intact")
    missed = []
    kinds: Counter[str] = Counter()
    for name, damage in corruptions(directory, other, count):
        damage()
        kinds[name.split()[0]] += 1
        try:
            store.load(120)
            missed.append(name)
        except ModelFileError as error:
            assert str(directory) in str(error) and "\n" not in str(error)
        found = store.newest()
        assert found is not None
        if found.step != 120:
            assert equal(found.tensors, content(100)) and len(found.skipped) == 1
        shutil.rmtree(directory)
        shutil.copytree(tmp_path / "intact", directory)
    print(f"{count} corruptions {dict(kinds)}, {len(missed)} undetected")
    return missed


def test_200_corruptions_are_all_detected(tmp_path: Path) -> None:
    assert undetected(tmp_path, 200) == []


def test_without_hashes_corruptions_go_unnoticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check_size_only(path: Path, data: bytes, listing: manifest.Listing) -> None:
        if len(data) != listing[path.name]["bytes"]:
            raise manifest.fault(path, "has another size")

    monkeypatch.setattr(manifest, "check", check_size_only)
    missed = {name.split()[0] for name in undetected(tmp_path, 200)}
    assert {"flip", "swap"} <= missed


def test_a_checkpoint_under_another_name_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path, 1)
    (tmp_path / "step-000001").rename(tmp_path / "step-000002")
    with pytest.raises(ModelFileError, match="belongs to step 1, not to step 2"):
        store.load(2)


def rewrite(directory: Path, change: Callable[[dict], None]) -> None:
    path = directory / "MANIFEST.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_bytes(manifest.canonical(content))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda m: m.update(schema=2), "has schema 2, this version of undrift reads 1"),
        (lambda m: m.update(extra=1), "is not a manifest"),
        (lambda m: m.pop("step"), "is not a manifest"),
        (lambda m: m["files"].pop("state.json"), "lists no state.json"),
        (lambda m: m["files"].update({"../x.json": m["files"]["state.json"]}), "is not a manifest"),
        (lambda m: m["files"].update({"/etc/passwd": {}}), "is not a manifest"),
        (lambda m: m["files"]["state.json"].update(bytes=1), "state.json has .* bytes, wanted 1"),
        (lambda m: m.update(files=[]), "is not a manifest"),
    ],
)
def test_manifests_that_lie(tmp_path: Path, change: Callable[[dict], None], fault: str) -> None:
    store = filled(tmp_path, 1)
    rewrite(tmp_path / "step-000001", change)
    with pytest.raises(ModelFileError, match=fault):
        store.load(1)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, '{"schema": 1}', "\xff"])
def test_manifests_that_are_none(tmp_path: Path, text: str) -> None:
    store = filled(tmp_path, 1)
    (tmp_path / "step-000001" / "MANIFEST.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelFileError, match=r"MANIFEST\.json is not"):
        store.load(1)


def test_a_well_hashed_file_of_another_format_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path, 1)
    directory = tmp_path / "step-000001"
    (directory / "ema.safetensors").write_bytes(b"\x80\x04pickle")
    facts = manifest.facts(b"\x80\x04pickle")
    rewrite(directory, lambda m: m["files"].update({"ema.safetensors": facts}))
    with pytest.raises(ModelFileError, match=r"ema\.safetensors is not a safetensors file"):
        store.load(1)


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
        assert "step-000002" in str(caught.value) and caught.value.exit_code == 4
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
