"""``undrift distill``: from a run to a student that every other command opens; one line for no."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import undrift
from undrift.cli.dispatch import main
from undrift.errors import ModelFileError
from undrift.pipelines import StudentPipeline
from undrift.workflows import closing

TINY = ("--threads", "1", "--batch-size", "8", "--bare")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished diffusion run and a finished student of it."""
    folder = tmp_path_factory.mktemp("distill")
    words = ["--steps", "3", "--parameters", "20k", *TINY, "--quiet"]
    assert main(["train", "digits", *words, "--out", str(folder / "teacher")]) == 0
    words = ["--images", "24", *TINY, "--quiet"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("undrift.families.student.level.SAMPLES", 20)
        patch.setattr("undrift.families.student.level.LEVELS", (0.8, 1.6))
        assert main(["distill", str(folder / "teacher"), *words, "--out", str(folder / "s")]) == 0
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained / "teacher", tmp_path / "teacher")
    shutil.copytree(trained / "s", tmp_path / "s")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_student_is_a_run_like_any_other(folder, capsys):
    assert "kind: student" in Path("s/config.yaml").read_text()
    student = undrift.load("s")
    assert isinstance(student, StudentPipeline) and student.spec.steps == 2
    assert student.model.facts.level in (0.8, 1.6)
    assert student.model.facts.teacher == undrift.load("teacher").fingerprint
    assert main(["sample", "s", "-n", "4", "--steps", "1", "--npz", "drawn.npz"]) == 0
    assert "1 network evaluations each" in capsys.readouterr().out
    assert np.load("drawn.npz")["images"].shape == (4, 8, 8, 1)
    assert main(["runs", "show", "s"]) == 0
    shown = capsys.readouterr().out
    assert "validation (ema)" in shown and "condition gap of labels (ema)" in shown
    assert main(["train", "s"]) == 0
    said = capsys.readouterr().out
    assert "finished; nothing to do" in said and "pipeline  s/pipeline" in said
    assert "report" not in said  # a bare run has none


def test_grids_show_the_teacher_at_the_right(folder):
    student, teacher = (Image.open(f"{name}/grid.png") for name in ("s", "teacher"))
    gap = student.width - 2 * teacher.width
    assert gap > 0 and student.height == teacher.height
    right = np.asarray(student)[:, teacher.width + gap :]
    assert np.abs(right.astype(int) - np.asarray(teacher).astype(int)).max() <= 2
    grids = sorted(Path("s/samples").glob("*_ema.png"))
    with Image.open(grids[-1]) as grid:
        assert grid.size == student.size


def test_the_same_command_resumes_and_the_teacher_is_named_by_its_path(
    trained, capsys, monkeypatch
):
    monkeypatch.chdir(trained)
    words = ["distill", str(trained / "teacher"), "--images", "24", *TINY]
    assert main([*words, "--out", "s"]) == 0
    assert "finished; nothing to do" in capsys.readouterr().out
    assert main([*words, "--seed", "1", "--out", "s"]) == 2
    assert "it holds a run with other settings" in capsys.readouterr().err
    path = yaml.safe_load(Path("s/config.yaml").read_text())["model"]["teacher"]["path"]
    assert Path(path).is_absolute()


def test_a_student_that_is_moved_with_its_teacher_finds_it(trained, tmp_path):
    from undrift.families import family_of
    from undrift.runs.directory import open_run
    from undrift.runs.unfinished import configuration_of

    for name in ("teacher", "s"):
        shutil.copytree(trained / name, tmp_path / name)
    config = tmp_path / "s" / "config.yaml"
    gone = config.read_text().replace(str(trained / "teacher"), str(tmp_path / "old" / "teacher"))
    config.write_text(gone)
    model = configuration_of(open_run(tmp_path / "s")).model
    assert model.teacher.path == str(tmp_path / "teacher" / "pipeline")
    assert family_of(model).teacher(model).fingerprint == model.teacher.fingerprint


def test_a_teacher_that_changed_or_went_is_refused(folder, capsys):
    from undrift.families.student.teacher import open_teacher, teacher_of

    _, reference = teacher_of("teacher/pipeline")
    assert open_teacher(reference).fingerprint == reference.fingerprint
    words = ["--steps", "4", "--parameters", "20k", *TINY, "--quiet"]
    assert main(["train", "digits", *words, "--out", "other"]) == 0
    shutil.rmtree("teacher/pipeline")
    with pytest.raises(ModelFileError, match="is not there; restore it"):
        open_teacher(reference)
    shutil.copytree("other/pipeline", "teacher/pipeline")
    with pytest.raises(ModelFileError, match="has changed since this run began"):
        open_teacher(reference)


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["distill", "s"], 2, "s: a student already; distil its teacher"),
        (["distill", "teacher", "--steps", "3"], 2, "--steps 3: method consistency takes 1, 2 or"),
        (["distill", "teacher", "--method", "consistancy"], 2, "did you mean consistency?"),
        (["distill", "teacher/pipeline"], 2, "a pipeline without images to train on"),
        (["distill", "nowhere"], 4, "nowhere: no such run"),
        (["distill", "teacher", "--guidance", "4:1"], 2, "wanted a scale as 2, or two that rise"),
        (["distill", "teacher", "--budget", "1m", "--images", "8"], 2, "exclude each other"),
        (
            ["train", "digits", "--method", "flow-map", "--augment", "0.1"],
            2,
            "--augment: method fl",
        ),
        (["train", "digits", "--method", "consistency"], 2, "it needs a teacher; .* distill"),
        (["sample", "s", "--steps", "3"], 2, "--steps 3: this consistency student takes 1, 2 or 4"),
        (["sample", "s", "--guidance", "2"], 2, "--guidance 2: this student was distilled without"),
        (["sample", "s", "--sampler", "ddim"], 2, "a few-step student has no such setting"),
        (["likelihood", "s"], 2, "StudentPipeline has no likelihood"),
        (["curve", "s"], 2, "a few-step student has no sampler"),
        (["edit", "s", "--strength", "0.5"], 2, "s: a few-step student cannot edit"),
    ],
)
def test_what_is_refused_is_one_line(folder, capsys, words, code, line):
    assert main(words) == code
    (said,) = capsys.readouterr().err.splitlines()
    assert re.search(line, said), said


def test_a_gan_is_not_distilled(folder, capsys):
    words = ["--method", "dcgan", "--parameters", "20k", "--steps", "2", *TINY, "--quiet"]
    assert main(["train", "digits", *words, "--out", "gan"]) == 0
    capsys.readouterr()
    assert main(["distill", "gan"]) == 2
    assert "gan: of family GAN; only diffusion models are distilled" in capsys.readouterr().err


def test_an_adapter_is_not_distilled_but_its_base_is(folder, capsys):
    words = ["--lora", "2", "--images", "16", *TINY, "--quiet"]
    assert main(["adapt", "teacher", "digits", *words, "--out", "lora"]) == 0
    capsys.readouterr()
    assert main(["distill", "lora"]) == 2
    assert f"lora: an adapter; distil its base, {folder / 'teacher'}\n" in capsys.readouterr().err


def test_an_unfinished_teacher_is_refused(folder, capsys):
    status = json.loads(Path("teacher/status.json").read_text())
    Path("teacher/status.json").write_text(json.dumps(status | {"state": "interrupted"}))
    assert main(["distill", "teacher"]) == 4
    assert "teacher: not finished; undrift train teacher goes on" in capsys.readouterr().err


def test_a_flow_map_takes_any_steps_with_a_teacher_or_without(folder, monkeypatch):
    monkeypatch.setattr("undrift.families.student.level.SAMPLES", 20)
    monkeypatch.setattr("undrift.families.student.level.LEVELS", (0.8, 1.6))
    words = ["--parameters", "20k", "--steps", "2", *TINY, "--quiet"]
    assert main(["train", "digits", "--method", "flow-map", *words, "--out", "scratch"]) == 0
    words = ["--steps", "7", "--images", "16", *TINY, "--quiet"]
    assert main(["distill", "teacher", "--method", "flow-map", *words, "--out", "map"]) == 0
    assert undrift.load("scratch").spec.steps == 2 and undrift.load("map")(1).nfe == 7
    assert undrift.load("scratch")(2, steps=5).nfe == 5


@pytest.mark.parametrize("data", ["digits", "ring8"])
def test_one_step_is_trained_from_scratch_against_a_discriminator(folder, data):
    words = ["--method", "adversarial-flow", "--parameters", "20k", "--steps", "2", *TINY]
    assert main(["train", data, *words, "--quiet", "--out", "one"]) == 0
    drawn = undrift.load("one")(3)
    assert drawn.nfe == 1 and drawn.images.shape[0] == 3


@pytest.mark.parametrize("method", ["adversarial-flow", "distribution-matching"])
def test_students_beside_a_second_network(folder, method):
    words = ["--method", method, "--steps", "1", "--images", "48", *TINY, "--quiet"]
    assert main(["distill", "teacher", *words, "--out", "one"]) == 0
    assert undrift.load("one")(2).nfe == 1
    assert "discriminator" not in " ".join(undrift.load("one").state_dict())


@pytest.mark.slow
def test_a_student_is_evaluated_and_reported(folder, monkeypatch, capsys):
    monkeypatch.setattr("undrift.families.student.level.SAMPLES", 20)
    monkeypatch.setattr("undrift.families.student.level.LEVELS", (0.8, 1.6))
    monkeypatch.setattr(closing, "FEWEST", 64)
    monkeypatch.setattr(closing, "PIXELS", 0)
    words = ["--threads", "1", "--batch-size", "8", "--images", "24", "--guidance", "1:4"]
    assert main(["distill", "teacher", *words, "--steps", "1", "--out", "fast"]) == 0
    page = Path("fast/report.html").read_text()
    assert "consistency student" in page and "Fewer steps" in page
    rows = json.loads(Path("fast/evaluation/steps.json").read_text())["rows"]
    assert [(row["model"], row["steps"]) for row in rows] == [
        ("teacher", 20),
        *(("student", steps) for steps in (4, 2, 1)),
    ]
    assert all(row["nfe"] == row["steps"] and row["metrics"]["fd"]["value"] > 0 for row in rows)
    measured = ["--metrics", "fd", "--features", "pixels", "-n", "40", "--out", "fd.json"]
    assert main(["evaluate", "fast", *measured, "--steps", "2", "--guidance", "3"]) == 0
    assert json.loads(Path("fd.json").read_text())["metrics"]["fd"]["value"] > 0
