"""Which run a command means, and where the images of a run are looked for."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from rich.console import Console

from undrift.cli.dispatch import main
from undrift.errors import DataError, ModelFileError, UsageError
from undrift.options.train import TrainOptions
from undrift.runs import configuration
from undrift.runs.directory import RunDirectory
from undrift.runs.images import find_images, load_own
from undrift.runs.unfinished import configuration_of
from undrift.workflows.planning import find_start
from undrift.workflows.train import train_run

SHORT = TrainOptions(steps=2, network="mlp", batch_size=4, bare=True)


def make_photos(folder: Path, seed: int = 0) -> None:
    folder.mkdir(parents=True)
    for i, pixels in enumerate(np.random.default_rng(seed).integers(0, 255, (24, 8, 8, 3))):
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")


def train(source: str | None = None, settings: TrainOptions = SHORT, **places: str):
    given = {name: places.get(name) for name in ("out", "config", "resume")}
    return train_run(find_start(source, settings, **given), settings, console=Console(quiet=True))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project: ``photos`` and a finished run, ``runs/pets``."""
    project = tmp_path_factory.mktemp("made")
    make_photos(project / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        train("photos", out="runs/pets")
    return project


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the working folder; the run knows the copy's place."""
    shutil.copytree(made, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(tmp_path / "project")
    edit(Path("runs/pets"), path=str(tmp_path / "project" / "photos"))
    return tmp_path / "project"


def edit(run: Path, **data: str | None) -> None:
    """Change what the configuration of ``run`` says of its data."""
    stored = configuration_of(RunDirectory(run))
    text = configuration.dump(replace(stored, data=replace(stored.data, **data)))
    (run / "config.yaml").write_text(text)


def unfinish(run: Path) -> None:
    """Leave ``run`` as a stop before its last step would."""
    shutil.rmtree(run / "checkpoints")
    shutil.rmtree(run / "pipeline")
    (run / "status.json").write_text(json.dumps({"state": "interrupted", "step": 0, "steps": 2}))


WAYS = (
    {"source": "runs/pets"},
    {"source": "runs/latest"},
    {"resume": "runs/pets"},
    {"config": "runs/pets/config.yaml"},
    {"config": "runs/pets/config.yaml", "out": "runs/pets"},
)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_whatever_names_a_run_resumes_it(project: Path, way: dict[str, str]) -> None:
    unfinish(Path("runs/pets"))
    before = sorted(path.name for path in Path("runs").iterdir())
    run = train(settings=TrainOptions(bare=True), **way)
    assert run.trained and run.directory == Path("runs/pets")
    assert (run.pipeline / "config.json").exists()
    assert sorted(path.name for path in Path("runs").iterdir()) == before


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_finished_run_says_so_even_without_its_images(project: Path, way: dict[str, str]) -> None:
    shutil.rmtree("photos")
    before = {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}
    assert not train(settings=TrainOptions(), **way).trained
    assert before == {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}


def test_the_command_line_resumes_by_each_way(project: Path, capsys) -> None:
    for words in (["runs/pets"], ["--resume", "runs/pets"], ["--config", "runs/pets/config.yaml"]):
        assert main(["train", *words]) == 0
        assert "runs/pets is finished; nothing to do" in capsys.readouterr().out
    assert main(["train", "runs/pets", "--print-config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["training"]["steps"] == 2
    assert main(["train", "runs/pets", "--dry-run"]) == 2
    assert "runs show" in capsys.readouterr().err


def test_a_run_has_its_own_settings(project: Path) -> None:
    with pytest.raises(UsageError, match="runs/pets is a run .* leave out seed, flip"):
        train("runs/pets", TrainOptions(seed=1, flip=True))
    with pytest.raises(UsageError, match="out other and the run runs/pets exclude each other"):
        train("runs/pets", TrainOptions(), out="other")
    with pytest.raises(ModelFileError, match="photos: not a run"):
        train(None, TrainOptions(), resume="photos")


def test_a_run_is_lengthened_without_its_settings(project: Path) -> None:
    with pytest.raises(UsageError, match="extend: to what length"):
        train("runs/pets", TrainOptions(extend=True))
    assert train("runs/pets", TrainOptions(steps=3, extend=True, bare=True)).trained
    assert RunDirectory("runs/pets").status().step == 3
    assert configuration_of(RunDirectory("runs/pets")).model.network.kind == "mlp"
    start = find_start("runs/pets", TrainOptions(images=40, extend=True), None, None, None)
    assert start.config is not None and start.config.training.steps == 10


def test_a_configuration_beside_no_run_starts_one(project: Path) -> None:
    shutil.copy("runs/pets/config.yaml", "mine.yaml")
    start = find_start(None, TrainOptions(), None, "mine.yaml", None)
    assert start.run is None  # a new one, once its images are read


def test_images_are_found_from_anywhere(project: Path, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    run = project / "runs" / "pets"
    assert len(load_own(configuration_of(RunDirectory(run)).data, run)) == 24
    edit(run, path=None)  # as runs of earlier versions are
    assert find_images(configuration_of(RunDirectory(run)).data, run) == str(project / "photos")
    make_photos(tmp_path / "photos", seed=1)
    with pytest.raises(UsageError, match="no longer holds .* train NEW_PLACE --resume"):
        load_own(configuration_of(RunDirectory(run)).data, run)


def test_the_command_that_resumes_a_bare_run_ends_it_bare(project: Path, capsys) -> None:
    said = (project / "runs" / "pets" / "log.txt").read_text()
    (line,) = (line for line in said.splitlines() if "to resume it: " in line)
    words = line.partition("to resume it: undrift ")[2].split()
    assert words == ["train", "runs/pets", "--bare"]
    unfinish(Path("runs/pets"))
    assert main(words) == 0
    assert Path("runs/pets/pipeline").is_dir() and not Path("runs/pets/report.html").exists()


def test_changed_images_are_counted_and_named(project: Path) -> None:
    for i in (3, 7):
        (project / "photos" / f"{i}.png").unlink()
    found = r"\(24 images then, 22 now; 2 gone: 3.png, 7.png\)"
    config = configuration_of(RunDirectory("runs/pets")).data
    with pytest.raises(UsageError, match=f"no longer holds the images .* trained on {found}; if"):
        load_own(config, Path("runs/pets"))
    unfinish(Path("runs/pets"))
    with pytest.raises(UsageError, match=f"photos: not the images that runs/pets .*{found}; start"):
        train(settings=TrainOptions(), resume="runs/pets")
    with pytest.raises(UsageError, match=f"other settings: the images are others {found}; name"):
        train("photos", out="runs/pets")
    with pytest.raises(UsageError, match="other settings: data.holdout was 0.05 and is now 0.2;"):
        train("photos", replace(SHORT, holdout=0.2), out="runs/pets")


def test_a_built_in_name_has_no_place(project: Path) -> None:
    edit(Path("runs/pets"), source="digits", path=None)
    config = configuration_of(RunDirectory("runs/pets")).data
    assert find_images(config, Path("runs/pets")) == "digits"


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "runs/pets"],
        ["likelihood", "runs/pets"],
        ["curve", "runs/pets"],
        ["train", "runs/pets", "--steps", "3", "--extend"],
    ],
    ids=lambda words: words[0],
)
def test_moved_images_are_named_with_what_to_do(project: Path, words: list[str], capsys) -> None:
    Path("photos").rename("elsewhere")
    assert main(words) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "train NEW_PLACE --resume runs/pets" in line


def test_a_run_is_told_where_its_images_lie_now(project: Path, capsys) -> None:
    Path("photos").rename("elsewhere")
    assert main(["train", "elsewhere", "--resume", "runs/pets"]) == 0
    printed = capsys.readouterr().out
    assert f"lie at {project / 'elsewhere'}" in printed and "is finished" in printed
    assert len(load_own(configuration_of(RunDirectory("runs/pets")).data, Path("runs/pets"))) == 24
    make_photos(project / "others", seed=1)
    with pytest.raises(UsageError, match="others: not the images that runs/pets was made for"):
        train("others", TrainOptions(), resume="runs/pets")


def test_weights_to_start_from_are_stored_by_their_place(project: Path, monkeypatch) -> None:
    settings = replace(SHORT, init="runs/pets")
    train("photos", settings, out="runs/tuned")
    stored = configuration_of(RunDirectory("runs/tuned"))
    assert stored.init == str(project / "runs" / "pets")
    old = replace(stored, init="runs/pets")
    assert configuration.first_difference(old, stored) is None
    other = replace(stored, init=str(project / "other"))
    assert "init" in (configuration.first_difference(stored, other) or "")


@pytest.mark.parametrize(
    "words",
    [["inspect", "runs/pets"], ["likelihood", "runs/pets", "runs/pets"]],
    ids=lambda words: words[0],
)
def test_a_run_is_no_data(project: Path, words: list[str], capsys) -> None:
    assert main(words) == 2
    assert "runs/pets: a run, not images" in capsys.readouterr().err


@pytest.mark.parametrize("source", [".", "runs"])
def test_the_pictures_of_runs_are_no_data(project: Path, source: str) -> None:
    with pytest.raises(UsageError, match="it holds runs, whose pictures"):
        train(source)


def test_images_beside_a_foreign_configuration_are_data(project: Path) -> None:
    (project / "photos" / "config.yaml").write_text("camera: x100\n")
    with pytest.raises(DataError, match="nowhere"):
        train("nowhere")
    assert find_start("photos", SHORT, None, None, None).source == "photos"
