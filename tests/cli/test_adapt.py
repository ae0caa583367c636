"""``undrift adapt``: adapters of a run, sampled with a strength, resumed, and refused where due."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import undrift
from undrift.cli.dispatch import main
from undrift.errors import ModelFileError, UsageError
from undrift.pipelines import DiffusionPipeline
from undrift.pipelines.adapter import AdapterPipeline
from undrift.runs.directory import open_run
from undrift.runs.unfinished import configuration_of

TRAIN = (
    "train digits --steps 3 --batch-size 8 --parameters 20k --threads 1 --balance --bare --quiet"
)
ADAPT = "--images 16 --batch-size 8 --threads 1 --bare --quiet"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, a control branch and a low-rank adapter of it, and a picture of lines."""
    folder = tmp_path_factory.mktemp("adapt")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*TRAIN.split(), "--out", "base"]) == 0
        assert main(f"adapt base --condition edges {ADAPT} --out control".split()) == 0
        assert main(f"adapt base digits --lora 2 {ADAPT} --out lora".split()) == 0
        Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save("lines.png")
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_an_adapter_is_a_run_that_stores_its_base_by_path_and_fingerprint() -> None:
    base = undrift.load("base")
    for name, kind in (("control", "control"), ("lora", "lora")):
        pipeline = undrift.load(name)
        assert isinstance(pipeline, AdapterPipeline)
        facts = pipeline.adapted.facts
        assert facts.shape.kind == kind and facts.base.fingerprint == base.fingerprint
        assert facts.base.path == str(Path("base/pipeline").absolute())
    assert [one.name for one in undrift.load("control").spec.maps] == ["edges"]
    events = [json.loads(line) for line in Path("control/metrics.jsonl").read_text().splitlines()]
    assert any("map_edges" in event.get("condition_gaps", {}) for event in events)


def test_classes_are_drawn_as_often_as_for_the_base() -> None:
    assert configuration_of(open_run("control")).training.balance
    np.savez("plain.npz", images=np.arange(40 * 64, dtype=np.uint8).reshape(40, 8, 8))
    assert main(f"adapt base plain.npz --lora 2 {ADAPT} --out plain".split()) == 0
    assert not configuration_of(open_run("plain")).training.balance


def test_samples_take_a_strength_and_0_is_the_base(capsys: pytest.CaptureFixture) -> None:
    words = "-n 3 --steps 2 --labels 3 --seed 5 --threads 1"
    assert main(f"sample base {words} --out a --npz a.npz".split()) == 0
    edges = "--map edges=lines.png --strength"
    assert main(f"sample control {words} {edges} 0 --out b --npz b.npz".split()) == 0
    assert main(f"sample control {words} {edges} 0.5 --out c --npz c.npz".split()) == 0
    assert "--strength 0.5" in capsys.readouterr().out.splitlines()[-1]
    a, b, c = (np.load(f"{name}.npz")["images"] for name in "abc")
    assert np.array_equal(a, b) and c.shape == a.shape
    record = json.loads(Path("c/samples.json").read_text())["settings"]
    assert record["strength"] == 0.5 and "edges" in record["maps"]


def test_classes_that_the_base_lacks_are_named(capsys: pytest.CaptureFixture) -> None:
    images = np.arange(40 * 64, dtype=np.uint8).reshape(40, 8, 8)
    labels, names = np.arange(40) % 3, np.array(["boot", "3", "sandal"])
    np.savez("shoes.npz", images=images, labels=labels, class_names=names)
    words = ADAPT.replace("--quiet", "")
    assert main(f"adapt base shoes.npz --lora 2 {words} --out shoes".split()) == 0
    begun = configuration_of(open_run("shoes"))
    assert (begun.model.classes, begun.model.base_images) == ((-1, 3, -1), 128)
    said = "the base has no class boot, sandal: learned as images without a class, which "
    assert said + "`undrift sample --guidance 0` draws" in " ".join(capsys.readouterr().out.split())

    # A run that an earlier version began, which held no adapter to its base, goes on as it was.
    config = Path("shoes/config.yaml")
    plain = config.read_text()
    config.write_text(plain.replace("  base_images: 128\n", ""))
    assert config.read_text() != plain
    Path("shoes/status.json").unlink()
    assert main(f"adapt base shoes.npz --lora 2 {words} --out shoes".split()) == 0
    assert configuration_of(open_run("shoes")).model.base_images == 0


def test_runs_that_are_moved_together_find_each_other(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    runs, moved = tmp_path / "runs", tmp_path / "moved"
    shutil.copytree(folder / "base", runs / "base")
    words = ADAPT.replace("--quiet", "")
    adapt = f"adapt {{}}/base --lora 2 {words} --out {{}}/lora"
    assert main(adapt.format(runs, runs).split()) == 0
    assert "no class" not in capsys.readouterr().out
    runs.rename(moved)
    pipeline = undrift.load(moved / "lora")
    assert isinstance(pipeline, AdapterPipeline)
    assert pipeline.adapted.facts.base.path == str(moved / "base/pipeline")
    assert main(adapt.format(moved, moved).split()) == 0
    assert "finished; nothing to do" in capsys.readouterr().out
    assert configuration_of(open_run(moved / "lora")).model.base.path == str(
        moved / "base/pipeline"
    )
    # another model of that name is not the base
    shutil.rmtree(moved / "base")
    shutil.copytree(folder / "lora", moved / "base")
    with pytest.raises(ModelFileError, match="another model than the base"):
        undrift.load(moved / "lora")
    # nor is an adapter its own base
    shutil.rmtree(moved / "base")
    (moved / "lora").rename(moved / "base")
    with pytest.raises(ModelFileError, match="the base of this adapter is not there"):
        undrift.load(moved / "base")


def test_the_same_command_finds_its_run_and_train_resumes_it(capsys: pytest.CaptureFixture) -> None:
    words = f"adapt base --condition edges {ADAPT} --out control".replace("--quiet", "")
    for command in (words, "train control"):
        assert main(command.split()) == 0
        assert "control is finished; nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("adapt base", 2, "give --condition, such as edges, or --lora, such as 8"),
        ("adapt base --condition edges --lora 4", 2, "give --condition, such as edges, or --lora"),
        ("adapt base --condition lowres", 2, "--condition lowres: wanted lowres:2"),
        ("adapt base --condition grey", 2, "grey: the images are grey themselves"),
        ("adapt base --condition mask", 2, "maps 'mask_file_name': digits has no columns"),
        ("adapt base --condition edges --merge", 2, "--merge: a control branch is no change of"),
        ("adapt base --lora 0", 2, "--lora 0"),
        ("adapt base/pipeline --lora 2", 2, "a pipeline; name its run"),
        ("adapt control --lora 2", 2, "control: of family adapter; adapters are for"),
        ("adapt none --lora 2", 4, "none"),
        ("sample base --strength 1", 2, "--strength 1.0: a diffusion model has no such setting"),
        ("sample lora --strength -1", 2, "strength -1.0: give 0, which is off, or more"),
        ("train digits --method lora", 2, "it needs a base; train a diffusion model, then undrift"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    words: str, code: int, said: str, capsys: pytest.CaptureFixture
) -> None:
    assert main([*words.split(), "--out", "refused"]) == code
    error = capsys.readouterr().err
    assert said in error.replace("'", "") or said in error
    assert error.count("\n") == 1 and not Path("refused").exists()


def test_a_merged_adapter_is_a_model_of_its_own() -> None:
    assert main(f"adapt base digits --lora 2 {ADAPT} --out lora --merge".split()) == 0
    merged, whole = undrift.load("lora/merged"), undrift.load("lora")
    assert type(merged) is DiffusionPipeline and merged.spec == undrift.load("base").spec
    wanted = whole(4, labels=3, steps=2).images.astype(int)
    assert np.abs(merged(4, labels=3, steps=2).images - wanted).max() <= 1


def test_from_python(tmp_path: Path) -> None:
    made = undrift.adapt("base", lora=2, images=8, batch_size=8, bare=True, out=tmp_path / "x")
    pipeline = undrift.load(made.directory)
    assert isinstance(pipeline, AdapterPipeline)
    assert pipeline.merged().spec == undrift.load("base").spec
    with pytest.raises(UsageError, match="adapt: give condition, such as edges, or lora"):
        undrift.adapt("base")
