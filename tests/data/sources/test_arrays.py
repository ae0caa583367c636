"""npz, npy, idx, digits and Hugging Face sources."""

from __future__ import annotations

import gzip
import json
import struct
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data import zoo

from undrift.data import load
from undrift.errors import DataError, UsageError


def pixels(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), np.uint8)


def test_digits() -> None:
    found = load("digits")
    from sklearn.datasets import load_digits

    values, target = load_digits(return_X_y=True)
    raw = values.reshape(-1, 8, 8)
    assert found.images.shape == (1797, 8, 8, 1) and found.images.dtype == np.uint8
    assert np.array_equal(found.images[..., 0], np.round(raw * 255 / 16).astype(np.uint8))
    assert found.labels is not None and np.array_equal(found.labels, target)
    assert found.report.value_levels == 17
    for label in range(10):
        members = np.flatnonzero(found.labels == label)
        held = np.isin(members, found.splits["test"]).sum()
        assert held == round(0.1 * len(members))


def test_npz(tmp_path: Path) -> None:
    images, labels = pixels(50, 8, 6), np.arange(50) % 3
    np.savez(
        tmp_path / "a.npz", images=images, labels=labels, class_names=np.array(["x", "y", "z"])
    )
    found = load(tmp_path / "a.npz")
    assert np.array_equal(found.images[..., 0], images)
    assert found.labels is not None and np.array_equal(found.labels, labels)
    assert found.class_names == ("x", "y", "z") and found.name == "a"


def test_npz_without_names_takes_the_values_as_names(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", images=pixels(4, 8, 8, 3), labels=[30, 2, 2, 30])
    found = load(tmp_path / "a.npz")
    assert found.class_names == ("2", "30")
    assert found.labels is not None and found.labels.tolist() == [1, 0, 0, 1]


def test_npy(tmp_path: Path) -> None:
    images = pixels(5, 8, 8, 4)
    np.save(tmp_path / "a.npy", images)
    found = load(tmp_path / "a.npy")
    assert np.array_equal(found.images, images) and found.labels is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": pixels(2, 4, 4)}, "no 'images'.*pictures"),
        ({"images": pixels(2, 4, 4).astype(np.float32)}, "float32, not uint8"),
        ({"images": pixels(2, 3, 8, 8)}, "channels come last"),
        ({"images": pixels(2, 4)}, r"shape \(2, 4\)"),
        ({"images": np.zeros((0, 4, 4), np.uint8)}, "no images"),
        ({"images": pixels(2, 4, 4), "labels": [0]}, r"shape \(1,\)"),
        ({"images": pixels(2, 4, 4), "labels": [0.0, 1.0]}, "not integers"),
        ({"images": pixels(2, 4, 4), "labels": [0, -1]}, r"negative \(rows 1\)"),
        ({"images": pixels(2, 4, 4), "labels": [0, 2], "class_names": ["a", "b"]}, "outside 0..1"),
        ({"images": pixels(2, 4, 4), "labels": [0, 1], "class_names": ["a", "a"]}, "twice"),
        ({"images": pixels(2, 4, 4), "labels": [0, 1], "class_names": [1, 2]}, "text"),
    ],
)
def test_wrong_arrays_are_errors(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)


class Canary:
    """Leaves a file behind if it is ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    objects = np.array([Canary(canary)], dtype=object)
    np.savez(tmp_path / "a.npz", images=objects)
    np.save(tmp_path / "a.npy", objects)
    (tmp_path / "b.npz").write_bytes(b"PK nothing")  # which NumPy takes for a pickle
    for name in ("a.npz", "a.npy", "b.npz"):
        with pytest.raises(DataError, match="cannot be read.*np.savez") as caught:
            load(tmp_path / name)
        assert "allow_pickle" not in str(caught.value)
    assert not canary.exists()
    # Control: the canary does sing.
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert canary.exists()


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_truncated_arrays_are_errors(tmp_path: Path, keep: int) -> None:
    np.savez(tmp_path / "a.npz", images=pixels(9, 8, 8))
    np.save(tmp_path / "a.npy", pixels(9, 8, 8))
    for path in (tmp_path / "a.npz", tmp_path / "a.npy"):
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(DataError):
            load(path)


def write_idx(path: Path, values: np.ndarray, kind: int = 8) -> None:
    header = struct.pack(">BBBB", 0, 0, kind, values.ndim)
    data = header + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def idx_folder(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    folder.mkdir()
    images, labels = pixels(30, 5, 7), np.arange(30, dtype=np.uint8) % 4
    write_idx(folder / "train-images-idx3-ubyte.gz", images[:20])
    write_idx(folder / "train-labels-idx1-ubyte.gz", labels[:20])
    write_idx(folder / "t10k-images.idx3-ubyte", images[20:])
    write_idx(folder / "t10k-labels.idx1-ubyte", labels[20:])
    return images, labels


def test_idx_and_its_test_split(tmp_path: Path) -> None:
    images, labels = idx_folder(tmp_path / "m")
    found = load(tmp_path / "m", holdout=0.1)
    assert np.array_equal(found.images[..., 0], images)
    assert found.labels is not None and np.array_equal(found.labels, labels)
    assert found.splits["test"].tolist() == list(range(20, 30))
    assert len(found.splits["validation"]) == 2 and len(found.splits["train"]) == 18


@pytest.mark.parametrize("fault", ["no labels", "short", "long", "type", "count", "size", "gzip"])
def test_broken_idx_is_an_error(tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "m"
    idx_folder(folder)
    train, test = folder / "train-images-idx3-ubyte.gz", folder / "t10k-images.idx3-ubyte"
    if fault == "no labels":
        (folder / "t10k-labels.idx1-ubyte").unlink()
    elif fault == "short":
        test.write_bytes(test.read_bytes()[:-1])
    elif fault == "long":
        test.write_bytes(test.read_bytes() + b"x")
    elif fault == "type":
        write_idx(test, pixels(10, 5, 7), kind=9)
    elif fault == "count":
        write_idx(test, pixels(9, 5, 7))
    elif fault == "size":
        write_idx(test, pixels(10, 5, 8))
    else:
        train.write_bytes(train.read_bytes()[:-200])
    with pytest.raises(DataError):
        load(folder)


def test_an_idx_header_cannot_ask_for_the_moon(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    idx_folder(folder)
    huge = struct.pack(">BBBBIII", 0, 0, 8, 3, 2**31, 2**31, 2**31)
    (folder / "t10k-images.idx3-ubyte").write_bytes(huge)
    with pytest.raises(DataError, match="does not hold what its header promises"):
        load(folder)


class FakeImage:
    """Stands for ``datasets.Image``."""

    def __init__(self, decode: bool = True) -> None:
        self.decode = decode


class FakeLabels:
    """Stands for ``datasets.ClassLabel``."""

    names = ["cat", "dog"]


class FakeRows:
    """Stands for ``datasets.Dataset``."""

    def __init__(self, count: int, seed: int) -> None:
        self.features = {"picture": FakeImage(), "label": FakeLabels(), "caption": object()}
        self.rows = [
            {
                "picture": {"bytes": zoo.png(zoo.picture(1, seed + i), 8, 0), "path": None},
                "label": i % 2,
                "caption": f"number {i}",
            }
            for i in range(count)
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int | str) -> Any:
        if isinstance(item, str):
            return [row[item] for row in self.rows]
        return self.rows[item]

    def cast_column(self, name: str, kind: FakeImage) -> FakeRows:
        assert name == "picture" and kind.decode is False
        return self


def test_hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("datasets")
    module.Image = FakeImage
    asked: list[str] = []

    def give(name: str) -> dict[str, FakeRows]:
        asked.append(name)
        return {"train": FakeRows(30, 0), "test": FakeRows(10, 500)}

    module.load_dataset = module.load_from_disk = give
    monkeypatch.setitem(sys.modules, "datasets", module)
    found = load("hf:user/pets")
    assert asked == ["user/pets"] and found.name == "user-pets"
    assert found.class_names == ("cat", "dog") and len(found.splits["test"]) == 10
    assert found.captions is not None and found.captions[31] == ("number 1",)
    assert np.array_equal(found.images[30], zoo.picture(1, 500))
    (tmp_path / "dataset_dict.json").write_text("{}")
    assert len(load(tmp_path)) == 40 and asked[1] == str(tmp_path)


def test_hugging_face_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match=r"undrift\[data\]"):
        load("hf:user/pets")
    (tmp_path / "state.json").write_text("{}")
    (tmp_path / "dataset_info.json").write_text(json.dumps({}))
    with pytest.raises(UsageError, match="datasets package"):
        load(tmp_path)
