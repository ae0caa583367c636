"""A stored reference serves without its data, and only for what it was made for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.datasets import load_digits

from undrift.cli.dispatch import main
from undrift.files.ownership import written_by_undrift

DATA = "a.npz --reference ref.npz"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """a.npz: 200 digits; ref.npz: 400 others, and ref.safetensors made of them."""
    folder = tmp_path_factory.mktemp("stored")
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    images = np.round(data.images * 255 / 16).astype(np.uint8)[..., None][order]
    labels = data.target.astype(np.int64)[order]
    np.savez(folder / "a.npz", images=images[:200], labels=labels[:200])
    np.savez(folder / "ref.npz", images=images[200:600], labels=labels[200:600])
    np.savez(folder / "wide.npz", images=np.zeros((40, 8, 9, 1), np.uint8))
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def evaluated(*words: str) -> dict[str, Any]:
    assert main(["evaluate", *words, "--out", "out.json"]) == 0
    return json.loads(Path("out.json").read_text())


def refused(capsys: Any, code: int, pattern: str, *words: str) -> None:
    capsys.readouterr()
    assert main(["evaluate", *words]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("undrift: ") and pattern in line, line


@pytest.fixture(scope="module")
def made(folder: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return evaluated(
            *("a.npz", "--reference", "ref.npz", "--save-reference", "ref.safetensors"),
            *("--metrics", "all"),
        )


def test_numbers_are_those_of_the_data(made: dict[str, Any], folder: Path):
    assert all(map(written_by_undrift, (folder / "out.json", folder / "ref.safetensors")))
    (folder / "ref.npz").rename(folder / "away.npz")  # nothing of it is needed
    found = evaluated("a.npz", "--reference", "ref.safetensors")
    (folder / "away.npz").rename(folder / "ref.npz")
    for name, record in found["metrics"].items():
        there = made["metrics"][name]
        for key in ("value", "low", "high", "n", "n_reference", "ideal"):
            assert record[key] == there[key], (name, key)
        if there["floor"] is None:  # classifier trained on the reference; too few of a class
            assert record["floor"] is None and name in ("label_accuracy", "class_fd")
        else:
            assert record["floor"] == pytest.approx(there["floor"], rel=1e-6), name
    assert found["features"] == made["features"]
    assert found["reference"]["fingerprint"] == made["reference"]["fingerprint"]
    assert set(made["metrics"]) - set(found["metrics"]) == {
        "cas",
        "texture_fd",
        "memorization",
        "c_t",
        "authenticity",
    }
    assert "no images" in found["missing"]["memorization"]


def test_fewer_are_drawn_of_it_as_of_the_data(made: dict[str, Any]):
    words = ("a.npz", "--n", "150", "--metrics", "fd,coverage")
    whole = ("--n", "200", "--reference-n", "400", "--save-reference", "whole.safetensors")
    evaluated("a.npz", "--reference", "ref.npz", *whole, "--metrics", "fd")
    stored = evaluated(*words, "--reference", "whole.safetensors")["metrics"]
    whole = evaluated(*words, "--reference", "ref.npz")["metrics"]
    assert stored["fd"]["n_reference"] == 150
    for name in ("fd", "coverage"):
        assert stored[name]["value"] == whole[name]["value"]


@pytest.mark.parametrize(
    ("code", "pattern", "words"),
    [
        (4, "not of pixels", "a.npz --reference ref.safetensors --features pixels"),
        (4, "not of random", "a.npz --reference ref.safetensors --features random"),
        (4, "damaged", "a.npz --reference bent.safetensors"),
        (4, "is not a safetensors file", "a.npz --reference cut.safetensors"),
        (4, "no readable reference", "a.npz --reference other.safetensors"),
        (4, "is missing", "a.npz --reference absent.safetensors"),
        (2, "holds all images", "a.npz --reference ref.safetensors --split test"),
        (2, "differ in size", "wide.npz --reference ref.safetensors"),
        (2, "themselves", "ref.npz --reference ref.safetensors"),
        (2, "other than pixels", f"{DATA} --features pixels --save-reference x.safetensors"),
        (2, "ends in .safetensors", f"{DATA} --features random --save-reference x.npz"),
        (2, "no folder", f"{DATA} --save-reference none/x.safetensors"),
    ],
)
def test_wrong_use_is_one_line(
    made: dict[str, Any], capsys: Any, code: int, pattern: str, words: str
):
    blob = Path("ref.safetensors").read_bytes()
    Path("bent.safetensors").write_bytes(blob[:-9] + bytes([blob[-9] ^ 1]) + blob[-8:])
    Path("cut.safetensors").write_bytes(blob[:-9])
    save_file({"weight": np.zeros(3)}, "other.safetensors")
    refused(capsys, code, pattern, *words.split())
