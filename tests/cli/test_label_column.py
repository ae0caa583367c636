"""``--label-column``: the labels of another column, in inspect, train, its resume, and evaluate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.data import zoo

import undrift
from undrift.cli.dispatch import main
from undrift.comparison import Compare
from undrift.errors import UsageError
from undrift.evaluation.opening import open_reference
from undrift.evaluation.target import open_target
from undrift.runs.configuration import load
from undrift.runs.images import load_own

WORDS = "train photos --label-column kind --steps 2 --network mlp --batch-size 4 --threads 1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos/ with a metadata.csv, and a run on its column ``kind``."""
    folder = tmp_path_factory.mktemp("columns")
    (folder / "photos").mkdir()
    lines = ["file_name,label,kind"]
    for i in range(12):
        (folder / "photos" / f"{i}.png").write_bytes(zoo.png(zoo.picture(1, i)[:8, :8], 8, 0))
        lines.append(f"{i}.png,{i % 3},{'ant' if i % 2 else 'bee'}")
    (folder / "photos" / "metadata.csv").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*WORDS.split(), "--out", "run", "--bare", "--quiet"]) == 0
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_inspect_shows_its_classes_and_hands_the_flag_on(capsys: pytest.CaptureFixture) -> None:
    assert main("inspect photos --label-column kind".split()) == 0
    printed = capsys.readouterr().out
    assert "  ant       6" in printed and "label-column" not in printed.rpartition("next:")[0]
    assert printed.splitlines()[-1] == "next: undrift train photos --label-column kind"


def test_a_run_learns_it_stores_it_and_reads_it_again() -> None:
    config = load("run/config.yaml")
    assert config.data.label_column == "kind"
    assert config.model.spec.class_names == ("ant", "bee")
    assert load_own(config.data, Path("run")).class_names == ("ant", "bee")


def test_the_same_command_finds_its_run_and_another_column_is_another_run(
    capsys: pytest.CaptureFixture,
) -> None:
    words = [*WORDS.split(), "--out", "run", "--bare"]
    assert main(words) == 0
    assert "finished" in capsys.readouterr().out
    words[words.index("kind")] = "label"
    assert main(words) == 2


def test_python_takes_it_too(tmp_path: Path) -> None:
    with pytest.raises(undrift.errors.DataError, match="no column 'kin'"):
        undrift.train("photos", label_column="kin", out=tmp_path / "x", steps=2)


def test_a_reference_is_read_by_it() -> None:
    subject = open_target("run")
    assert open_reference(subject, None, None).classes == ("ant", "bee")
    assert open_reference(subject, "photos", None, "kind").classes == ("ant", "bee")
    assert open_reference(subject, "photos", None).classes == ("0", "1", "2")
    with pytest.raises(UsageError, match="label_column kind: it goes with reference DATA"):
        undrift.evaluate("run", label_column="kind")


def test_a_comparison_trains_every_run_with_it() -> None:
    asked = Compare(data="photos", out="out", images=64)
    asked = replace(asked, label_column="kind")
    assert asked.alike["label_column"] == "kind"
    assert " ".join(asked.command).endswith("--label-column kind")
