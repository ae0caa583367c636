"""Models of maps are drawn with those of the reference, and measured by them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.pipelines.models import small

from undrift.cli.dispatch import main
from undrift.conditioning import MapSpec
from undrift.evaluation.conditions import conditions_of, obedience, samples_of
from undrift.evaluation.reference import ReferenceImages
from undrift.metrics import Images, comparison
from undrift.metrics.images import GivenMap

H, W = 8, 12
MASK = MapSpec("mask", (1, H, W), values=((0,), (3,), (7,)))
EDGES = MapSpec("edges", (1, H, W), "edges")
GREY = MapSpec("lowres", (1, H, W), "lowres", factor=4)


def reference(values: tuple[int, ...] = (0, 7)) -> ReferenceImages:
    random = np.random.default_rng(0)
    masks = random.choice(np.array(values, np.int16), size=(6, H, W, 1))
    pixels = np.where(masks > 0, 200, 30).astype(np.uint8)
    pixels[:, 0, 0, 0] = np.arange(6)
    spec = MapSpec("mask", (1, H, W), values=tuple((value,) for value in values))
    images = Images(pixels, maps=(GivenMap(spec, masks),))
    return ReferenceImages("photos", "test", images, images, (), "f", ())


def model(*maps: MapSpec):
    return small(classes=(), maps=maps, size=(H, W))


def test_what_belongs_together_is_given_together() -> None:
    given = reference()
    found = conditions_of(model(MASK, EDGES, GREY), given, seed=0)
    assert found is not None and [one.spec for one in found.maps] == [MASK, EDGES, GREY]
    assert obedience(found) == ["mask_iou", "map_error"]
    drawn = found.given(given.images.images, None)
    assert np.array_equal(drawn.maps[0].pixels, found.maps[0].pixels)
    order = [
        next(i for i in range(6) if np.array_equal(given.images.maps[0].pixels[i], one))
        for one in found.maps[0].pixels
    ]
    assert sorted(order) == list(range(6)) and order != list(range(6))
    small_one = found.maps[2].pixels[:, ::4, ::4, 0]
    squares = given.images.images[order, ..., 0].reshape(6, 2, 4, 3, 4).mean(axis=(2, 4))
    assert np.abs(small_one - squares).max() <= 0.5
    again = conditions_of(model(MASK, EDGES, GREY), given, seed=0)
    other = conditions_of(model(MASK, EDGES, GREY), given, seed=3)
    assert again is not None and other is not None
    assert found.key == again.key != other.key


def test_every_sample_gets_the_map_of_its_number() -> None:
    pipeline = model(MASK)
    found = conditions_of(pipeline, reference(), seed=0)
    assert found is not None
    drawn = samples_of(pipeline, 4, 5, found, steps=2)
    masks = found.maps[0].pixels
    for i in range(4):
        alone = pipeline(1, first=5 + i, steps=2, maps={"mask": masks[(5 + i) % 6]})
        assert np.abs(alone.images[0].astype(int) - drawn.images[i]).max() <= 1
    assert len({image.tobytes() for image in drawn.images}) == 4


def test_masks_that_the_model_does_not_know_are_left_open() -> None:
    assert conditions_of(model(MASK), reference((0, 9)), seed=0) is None
    assert conditions_of(model(), reference(), seed=0) is None
    alone = conditions_of(model(MASK, EDGES), reference((0, 9)), seed=0)
    assert alone is not None and obedience(alone) == ["map_error"]


def test_classes_go_by_the_values_of_the_training_masks() -> None:
    pixels = np.array([0, 7, 7], np.int16).reshape(1, 1, 3, 1)
    ours = GivenMap(MapSpec("mask", (1, 1, 3), values=((0,), (3,), (7,))), pixels)
    theirs = GivenMap(MapSpec("mask", (1, 1, 3), values=((0,), (7,))), pixels)
    assert ours.classes.tolist() == [[[0, 2, 2]]]
    assert theirs.indexed(ours).tolist() == [[[0, 1, 1]]]


@pytest.mark.slow
def test_a_run_of_maps_is_evaluated_with_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(comparison, "SEGMENTER_STEPS", (30, 30))
    (tmp_path / "photos" / "masks").mkdir(parents=True)
    random, rows = np.random.default_rng(0), []
    for i in range(60):
        mask = np.kron(random.integers(2, size=(2, 2)), np.ones((4, 4), int)).astype(np.uint8)
        Image.fromarray(mask * 150 + 40 + i % 9).save(f"photos/{i}.png")
        Image.fromarray(mask).save(f"photos/masks/{i}.png")
        rows.append(json.dumps({"file_name": f"{i}.png", "mask_file_name": f"masks/{i}.png"}))
    Path("photos/metadata.jsonl").write_text("\n".join(rows))
    train = "train photos --map mask edges --steps 2 --network mlp --batch-size 8 --threads 1"
    assert main([*train.split(), "--holdout", "0.4", "--out", "run", "--bare", "--quiet"]) == 0
    words = "run --n 20 --features pixels --threads 1 --steps 2".split()
    assert main(["evaluate", *words, "--metrics", "fd", "--out", "found.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(
        line.startswith("drawn with the mask maps and edges maps of photos") for line in lines
    )
    assert any(line.startswith("mask_iou with the masks of other samples: ") for line in lines)
    assert any(line.startswith("map error of edges: ") for line in lines)
    found = json.loads(Path("found.json").read_text())["metrics"]
    assert found["mask_iou"]["floor"] > 0.9 and len(found["mask_iou"]["classes"]["mask"]) == 2
    assert found["map_error"]["maps"]["edges"] == found["map_error"]["value"]
