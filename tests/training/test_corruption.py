"""Whatever happens to a checkpoint's bytes, it is noticed and named."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.training.checkpoints import content, equal, filled, flip

from undrift.errors import ModelFileError
from undrift.files import manifest


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
    def compare_sizes(
        path: Path, found: manifest.Facts, wanted: manifest.Facts, advice: str
    ) -> None:
        if found["bytes"] != wanted["bytes"]:
            raise manifest.fault(path, "has another size", advice)

    monkeypatch.setattr(manifest, "compare", compare_sizes)
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


@pytest.mark.parametrize(
    ("old_new", "fault"),
    [
        ((b",", b", "), "is not a manifest"),
        ((b'{"files"', b'{"step":7,"files"'), "is not JSON .the key 'step' appears twice"),
    ],
)
def test_another_spelling_of_the_manifest_is_refused(
    tmp_path: Path, old_new: tuple[bytes, bytes], fault: str
) -> None:
    store = filled(tmp_path, 1)
    path = tmp_path / "step-000001" / "MANIFEST.json"
    before = path.read_bytes()
    path.write_bytes(before.replace(*old_new, 1))
    assert json.loads(path.read_bytes()) == json.loads(before)
    with pytest.raises(ModelFileError, match=rf"MANIFEST\.json {fault}"):
        store.load(1)


def test_a_well_hashed_file_of_another_format_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path, 1)
    directory = tmp_path / "step-000001"
    (directory / "ema.safetensors").write_bytes(b"\x80\x04pickle")
    facts = manifest.facts(b"\x80\x04pickle")
    rewrite(directory, lambda m: m["files"].update({"ema.safetensors": facts}))
    with pytest.raises(ModelFileError, match=r"ema\.safetensors is not a safetensors file"):
        store.load(1)
