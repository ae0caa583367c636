"""``--map``: maps that a model is conditioned on, in inspect, train, its resume and sample."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import undrift
from undrift.cli.dispatch import main
from undrift.conditioning import MapSpec
from undrift.errors import DataError, UsageError
from undrift.pipelines import DiffusionPipeline
from undrift.runs.configuration import load
from undrift.runs.images import load_own

WORDS = (
    "train photos --map mask,edges lowres:2 --steps 2 --network mlp --batch-size 4 --threads 1 "
    "--holdout 0.2"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos/ with masks named in a metadata.csv, and a run on these and two derived maps."""
    folder = tmp_path_factory.mktemp("maps")
    (folder / "photos" / "masks").mkdir(parents=True)
    lines = ["file_name,mask_file_name,label"]
    random = np.random.default_rng(0)
    for i in range(20):
        mask = random.integers(2, size=(8, 8)).astype(np.uint8)
        Image.fromarray(mask * 200 + i).save(folder / "photos" / f"{i}.png")
        Image.fromarray(mask).save(folder / "photos" / "masks" / f"{i}.png")
        lines.append(f"{i}.png,masks/{i}.png,{i % 2}")
    (folder / "photos" / "metadata.csv").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*WORDS.split(), "--out", "run", "--bare", "--quiet"]) == 0
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_inspect_checks_them_and_hands_the_flag_on(capsys: pytest.CaptureFixture) -> None:
    assert main("inspect photos --map mask".split()) == 0
    printed = capsys.readouterr().out.splitlines()
    assert any("map mask: 2 classes (0, 1)" in line for line in printed)
    assert printed[-1] == "next: undrift train photos --map mask"
    assert main("inspect photos --map depth".split()) == 3
    assert "no column 'depth_file_name'" in capsys.readouterr().err


def test_a_run_stores_them_and_reads_them_again() -> None:
    config = load("run/config.yaml")
    assert config.data.maps == ("mask", "edges", "lowres:2")
    assert config.model.spec.maps == (
        MapSpec("mask", (1, 8, 8), values=((0,), (1,))),
        MapSpec("edges", (1, 8, 8), "edges"),
        MapSpec("lowres", (1, 8, 8), "lowres", factor=2),
    )
    assert load_own(config.data, Path("run")).maps[0].name == "mask"
    pipeline = DiffusionPipeline.from_pretrained("run/pipeline")
    assert pipeline.spec.maps == config.model.spec.maps and pipeline.encoder is not None
    names = ["labels", "map_mask", "map_edges", "map_lowres"]
    assert [kind.name for kind in pipeline.encoder.kinds] == names
    events = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    gaps = [event["condition_gaps"] for event in events if "condition_gaps" in event]
    assert gaps and set(gaps[-1]) == set(names)


def test_the_same_command_finds_its_run_and_other_maps_are_another(
    capsys: pytest.CaptureFixture,
) -> None:
    words = [*WORDS.split(), "--out", "run", "--bare"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "finished" in printed
    shown = "--map mask=FILE edges@PICTURE lowres@PICTURE"
    assert printed.splitlines()[-1].endswith(shown)
    words.remove("lowres:2")
    assert main(words) == 2
    assert "data.maps was ['mask', 'edges', 'lowres:2']" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"maps": ["mask"], "label_dropout": 0}, UsageError, "need some to be dropped"),
        ({"maps": ["grey"]}, UsageError, "maps grey: the images are grey themselves"),
        ({"maps": ["lowres:3"]}, UsageError, "3 does not divide images of 8x8"),
        ({"maps": ["depth"]}, DataError, "no column 'depth_file_name': it has file_name, mask_fi"),
        ({"maps": "mask:x"}, UsageError, "wanted a column such as mask or mask:classes"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    settings: dict, error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        undrift.train("photos", out=tmp_path / "x", steps=2, **settings)
    assert not (tmp_path / "x").exists()


def test_points_take_no_maps(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="maps: images of"):
        undrift.train("ring8", out=tmp_path / "x", steps=2, maps=["edges"])


def test_samples_are_drawn_with_maps_and_the_record_repeats_them(
    capsys: pytest.CaptureFixture,
) -> None:
    words = "sample run -n 3 --steps 2 --map mask=photos/masks edges@photos/1.png --out drawn"
    assert main(words.split()) == 0
    printed = capsys.readouterr()
    assert not printed.err
    assert "--map mask=photos/masks edges@photos/1.png" in printed.out.splitlines()[-1]
    record = json.loads(Path("drawn/samples.json").read_text())
    assert set(record["settings"]["maps"]) == {"mask", "edges"}
    assert "--map mask=photos/masks edges@photos/1.png" in record["command"]
    pipeline = DiffusionPipeline.from_pretrained("run/pipeline")
    masks = [np.asarray(Image.open(file)) for file in sorted(Path("photos/masks").iterdir())]
    again = pipeline(1, steps=2, maps={"mask": np.stack(masks)})
    assert again.settings["maps"]["mask"] != record["settings"]["maps"]["mask"]  # other types


def test_images_say_which_map_they_were_drawn_from(capsys: pytest.CaptureFixture) -> None:
    words = "sample run --steps 1 --map mask=photos/masks edges@photos/1.png"
    assert main([*words.split(), "--out", "every"]) == 0
    printed = capsys.readouterr().out
    assert "20 images in" in printed and "maps for" not in printed and " -n" not in printed
    images = json.loads(Path("every/samples.json").read_text())["images"]
    assert [Path(one["maps"]["mask"]).name for one in images[:3]] == ["0.png", "1.png", "10.png"]
    assert all(one["maps"]["edges"] == "photos/1.png" for one in images)
    with Image.open("every/000001.png") as picture:
        assert json.loads(picture.text["maps"]) == images[1]["maps"]


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (3, "map mask: the first 3 of 20 maps are used"),
        (22, "map mask: 20 maps for 22 images: they are used again, in turn"),
    ],
)
def test_maps_left_over_and_used_again_are_said(
    n: int, said: str, capsys: pytest.CaptureFixture
) -> None:
    words = f"sample run -n {n} --steps 1 --map mask=photos/masks --out turns{n}"
    assert main(words.split()) == 0
    printed = capsys.readouterr().out
    assert said in printed and "no map" not in printed


def test_a_model_of_maps_drawn_without_says_so(capsys: pytest.CaptureFixture) -> None:
    assert main("sample run -n 1 --steps 1 --out without".split()) == 0
    printed = capsys.readouterr().out
    assert "no map given: drawn without; --map mask=FILE gives one" in printed


def test_a_map_of_the_base_is_no_map_of_an_adapter(capsys: pytest.CaptureFixture) -> None:
    assert main("adapt run --condition grey,mask:classes --out refused".split()) == 2
    assert "map mask: the base is conditioned on it already" in capsys.readouterr().err


def test_a_run_starts_from_the_encoders_of_the_same_maps(tmp_path: Path) -> None:
    settings = {"network": "mlp", "batch_size": 4, "threads": 1, "bare": True, "init": "run"}
    settings |= {"learning_rate": 1e-12, "steps": 1, "maps": ["mask", "edges", "lowres:2"]}
    undrift.train("photos", out=tmp_path / "x", holdout=0.2, **settings)
    source, target = (
        DiffusionPipeline.from_pretrained(path).state_dict()
        for path in ("run/pipeline", tmp_path / "x" / "pipeline")
    )
    names = [name for name in source if name.startswith("encoder.map_")]
    assert len(names) == 12
    for name in names:
        np.testing.assert_allclose(target[name], source[name], atol=1e-6)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("mast=photos/masks", "--map 'mast': did you mean 'mask'?"),
        ("mask", "--map 'mask': wanted NAME=FILE"),
        ("", "--map: wanted one NAME=PATH or more"),
        ("mask=photos/metadata.csv", "not an image"),
    ],
)
def test_maps_that_cannot_be_drawn_are_refused(
    given: str, words: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["sample", "run", "--out", "refused", "--map", *given.split()]) in (2, 3)
    assert words in capsys.readouterr().err
    assert not Path("refused").exists()


@pytest.mark.parametrize("method", ["r3gan", "adversarial-flow"])
def test_methods_with_a_discriminator_take_them_by_the_same_flags(
    method: str, capsys: pytest.CaptureFixture
) -> None:
    words = f"train photos --method {method} --map mask,edges --steps 2 --batch-size 4 --bare"
    words += f" --holdout 0.2 --parameters 45k --threads 1 --out {method}"
    assert main(words.split()) == 0
    assert "--map mask=FILE edges@PICTURE" in capsys.readouterr().out.splitlines()[-1]
    spec = undrift.load(method).spec
    assert [one.name for one in spec.maps] == ["mask", "edges"]
    words = f"sample {method} --map mask=photos/masks edges@photos/1.png --out drawn-{method}"
    assert main(words.split()) == 0
    record = json.loads(Path(f"drawn-{method}/samples.json").read_text())
    assert set(record["settings"]["maps"]) == {"mask", "edges"} and len(record["images"]) == 20
