"""``--numbers``: columns that a model is conditioned on, in inspect, train and its resume."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.data import zoo

import undrift
from undrift.cli.dispatch import main
from undrift.conditioning import Number
from undrift.errors import DataError, UsageError
from undrift.pipelines import DiffusionPipeline
from undrift.runs.configuration import load
from undrift.runs.images import load_own

WORDS = "train photos --numbers angle,age --steps 2 --network mlp --batch-size 4 --threads 1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos/ with a metadata.csv, and a run on two of its columns and its labels."""
    folder = tmp_path_factory.mktemp("numbers")
    (folder / "photos").mkdir()
    lines = ["file_name,label,angle,age,same"]
    for i in range(12):
        (folder / "photos" / f"{i}.png").write_bytes(zoo.png(zoo.picture(1, i)[:8, :8], 8, 0))
        lines.append(f"{i}.png,{i % 2},{i / 10},{20 + i},7")
    (folder / "photos" / "metadata.csv").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*WORDS.split(), "--out", "run", "--bare", "--quiet"]) == 0
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_inspect_checks_them_and_hands_the_flag_on(capsys: pytest.CaptureFixture) -> None:
    assert main("inspect photos --numbers angle age".split()) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "numbers      angle from 0 to 1.1, age from 20 to 31, same from 7 to 7" in printed
    assert printed[-1] == "next: undrift train photos --numbers angle age"
    assert main("inspect photos --numbers angel".split()) == 3
    assert "no column 'angel'" in capsys.readouterr().err


def test_a_run_stores_their_moments_and_reads_them_again() -> None:
    config = load("run/config.yaml")
    assert config.data.numbers == ("angle", "age")
    images = load_own(config.data, Path("run")).split("train")
    assert images.numbers is not None
    angle = images.numbers[:, 0]
    assert config.model.spec.numbers[0] == Number(
        "angle", float(angle.mean()), float(angle.std()), float(angle.min()), float(angle.max())
    )
    pipeline = DiffusionPipeline.from_pretrained("run/pipeline")
    assert pipeline.spec.numbers == config.model.spec.numbers
    assert pipeline.encoder is not None
    assert [kind.name for kind in pipeline.encoder.kinds] == ["labels", "numbers"]
    stored = json.loads(Path("run/data.json").read_text())
    assert stored["numbers"] == ["angle", "age"] and stored["numeric"]["same"] == [7, 7]


def test_the_same_command_finds_its_run_and_other_numbers_are_another(
    capsys: pytest.CaptureFixture,
) -> None:
    words = [*WORDS.split(), "--out", "run", "--bare"]
    assert main(words) == 0
    assert "finished" in capsys.readouterr().out
    words[words.index("angle,age")] = "angle"
    assert main(words) == 2
    assert "data.numbers was ['angle', 'age'] and is now ['angle']" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"numbers": ["same"]}, DataError, "same is 7 for all training images"),
        ({"numbers": ["age"], "label_dropout": 0}, UsageError, "need some to be dropped"),
        ({"numbers": ["angle,angle"]}, UsageError, "wanted different names"),
        ({"numbers": ["angle", ""]}, UsageError, "numbers 'angle,': wanted different names"),
        ({"numbers": ["kin"]}, DataError, "has no column 'kin': it has file_name, label, angle"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    settings: dict, error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        undrift.train("photos", out=tmp_path / "x", steps=2, **settings)
    assert not (tmp_path / "x").exists()


def test_a_run_starts_from_the_embeddings_of_numbers_of_the_same_name(tmp_path: Path) -> None:
    settings = {"network": "mlp", "batch_size": 4, "threads": 1, "bare": True, "init": "run"}
    settings |= {"learning_rate": 1e-12, "steps": 1}
    undrift.train("photos", numbers=["age", "angle"], out=tmp_path / "x", **settings)
    source, target = (
        DiffusionPipeline.from_pretrained(path).state_dict()
        for path in ("run/pipeline", tmp_path / "x" / "pipeline")
    )
    for name in ("encoder.numbers.weight", "encoder.numbers.null"):
        np.testing.assert_allclose(target[name], source[name].flip(0), atol=1e-6)
        assert not np.allclose(source[name], source[name].flip(0), atol=1e-3)


def test_samples_are_drawn_with_numbers_and_the_record_repeats_them(
    capsys: pytest.CaptureFixture,
) -> None:
    words = "sample run -n 3 --steps 2 --numbers angle=0,0.5 age=99 --out drawn".split()
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "warning: age 99 is outside of 20 to 30, its range in the training data" in printed.out
    assert "next: undrift sample run" in printed.out and not printed.err
    assert "--numbers angle=0,0.5 age=99" in printed.out.splitlines()[-1]
    record = json.loads(Path("drawn/samples.json").read_text())
    assert record["settings"]["numbers"] == {"angle": [0.0, 0.5], "age": [99.0]}
    assert "--numbers angle=0,0.5 age=99" in record["command"]


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ("angel=1", "unknown number 'angel': did you mean 'angle'?"),
        ("angle", "--numbers 'angle': wanted NAME=NUMBER"),
        ("", "--numbers: wanted one NAME=NUMBER or more"),
    ],
)
def test_numbers_that_cannot_be_drawn_are_refused(
    numbers: str, words: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["sample", "run", "-n", "1", "--out", "none", "--numbers", *numbers.split()]) == 2
    assert words in capsys.readouterr().err
    assert not Path("none").exists()
