"""What loading found is printed by every command that loads images, and stays in its result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import undrift.data
from undrift.claims import run as study_run
from undrift.cli.dispatch import main
from undrift.data.findings import finding_lines, findings
from undrift.workflows import preview

ASIDE = "set aside 5 of 66 images: 0000.png: "
IGNORED = "ignored 2 files: 1 .txt, 1 hidden"
RESIZED = "note: 1 image resized and cropped to 8x8"
DAMAGED = (ASIDE, "and 2 more", IGNORED, RESIZED, "1 of 90x90")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """damaged/: 65 digits of which 5 are torn, a stray grid.png and other files; a run of it."""
    folder = tmp_path_factory.mktemp("findings")
    digits = np.round(load_digits().images[:65] * 255 / 16).astype(np.uint8)
    damaged = folder / "damaged"
    damaged.mkdir()
    for i, pixels in enumerate(digits):
        Image.fromarray(pixels).save(damaged / f"{i:04d}.png")
    for i in range(5):
        (damaged / f"{i:04d}.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    Image.fromarray(np.zeros((90, 90), np.uint8)).save(damaged / "grid.png")
    (damaged / "readme.txt").write_text("no image")
    (damaged / ".hidden").write_text("no image")
    np.savez(folder / "samples.npz", images=255 - digits[20:50])
    return folder


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


TRAIN = (
    "train",
    "damaged",
    "--bad-limit",
    "0.1",
    "--steps",
    "2",
    "--network",
    "mlp",
    "--holdout",
    "0.2",
)
SMALL = ("--batch-size", "8", "--threads", "1")


def printed(capsys: Any, *words: str) -> str:
    assert main(list(words)) == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.fixture
def run(inside: None, capsys: Any) -> str:
    if not Path("run").exists():
        text = printed(capsys, *TRAIN, *SMALL, "--bare", "--out", "run")
        log = Path("run/log.txt").read_text()
        for part in (*DAMAGED, "images to train on: below 200"):
            assert part in text and part in log
        assert len(json.loads(Path("run/data.json").read_text())["set_aside"]) == 5
    return "run"


def test_training_says_it_and_logs_it(run: str) -> None:
    assert Path(run).is_dir()


def test_a_dry_run_says_it(inside: None, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "PROBE_SECONDS", 0.01)
    text = printed(capsys, *TRAIN, *SMALL, "--dry-run")
    assert all(part in text for part in DAMAGED)


def test_a_likelihood_says_it(run: str, capsys: Any) -> None:
    words = ("--n", "4", "--points", "2", "--out", "likelihood.json", "--threads", "1")
    text = printed(capsys, "likelihood", run, *words)
    assert all(part in text for part in DAMAGED) and "images to train on" not in text
    found = json.loads(Path("likelihood.json").read_text())["data"]["findings"]
    assert [entry["name"] for entry in found["set_aside"]] == [f"{i:04d}.png" for i in range(5)]


def test_inpainting_says_it(run: str, capsys: Any) -> None:
    words = ("--mask", "left", "--n", "1", "--variants", "1", "--steps", "2", "--threads", "1")
    text = printed(capsys, "inpaint", run, *words, "--out", "painted")
    assert all(part in text for part in DAMAGED)


@pytest.mark.parametrize("side", ["samples", "reference"])
def test_an_evaluation_says_it_of_both_sides(
    folder: Path, inside: None, capsys: Any, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    (folder / "damaged" / "0004.png").unlink(missing_ok=True)  # 4 of 65: as many as are accepted
    for i in range(1, 4):
        (folder / "damaged" / f"{i:04d}.png").unlink(missing_ok=True)
    pair = ["damaged", "--reference", "samples.npz"]
    if side == "reference":
        pair = ["samples.npz", "--reference", "damaged"]
    words = ("--metrics", "fd", "--features", "pixels", "--out", f"{side}.json")
    text = printed(capsys, "evaluate", *pair, *words)
    parts = ("set aside 1 of 62 images: 0000.png: ", IGNORED, RESIZED, "1 of 90x90")
    assert all(part in text for part in parts)
    result = json.loads(Path(f"{side}.json").read_text())
    found = result[side]["findings"]
    assert [entry["name"] for entry in found["set_aside"]] == ["0000.png"]
    assert found["sizes"] == {"8x8": 60, "90x90": 1} and RESIZED.removeprefix("note: ") in str(
        found
    )
    other = "reference" if side == "samples" else "samples"
    assert (result[other]["findings"] is None) == (other == "samples")


def test_a_study_says_it(
    folder: Path, inside: None, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        copied = shutil.copytree("damaged", folder / "classes" / name)
        for i in range(4):  # one of them torn is under the limit
            shutil.copyfile(copied / "0005.png", copied / f"{i:04d}.png")
        (copied / "0004.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(study_run, "make_datasets", stop)
    assert main(["claims", "--data", "classes", "--preset", "smoke", "--out", "claims"]) == 130
    text = capsys.readouterr().out
    assert "set aside " in text and "a/0004.png: " in text and "of 90x90" in text


def test_captions_are_counted(tmp_path: Path) -> None:
    rows = []
    for i in range(12):
        Image.fromarray(np.full((8, 8, 3), 9 * i, np.uint8)).save(tmp_path / f"{i}.png")
        rows.append(json.dumps({"file_name": f"{i}.png", "text": f"picture {i}"}))
    (tmp_path / "metadata.jsonl").write_text("\n".join(rows))
    report = undrift.data.load(tmp_path).report
    line = "note: 12 images with captions; trained on with text"
    assert line in finding_lines(report)
    assert findings(None) is None and line.removeprefix("note: ") in str(findings(report))
