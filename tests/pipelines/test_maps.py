"""Maps of a request: from arrays and files to images, to the record, and to errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.pipelines.models import SMALL_UNET, small

from undrift.conditioning import MapSpec
from undrift.conditioning.maps import NOT_GIVEN
from undrift.errors import DataError, UsageError
from undrift.networks import TransformerConfig
from undrift.pipelines import DiffusionPipeline, Pipeline
from undrift.pipelines.maps import read_maps, resolve_maps
from undrift.pipelines.spec import SampleSpec

H, W = 8, 12
MASK = MapSpec("mask", (1, H, W), values=((0,), (7,)))
EDGES = MapSpec("edges", (1, H, W), "edges")
LOWRES = MapSpec("lowres", (3, H, W), "lowres", factor=4)
MASKED = MapSpec("masked", (3, H, W), "masked")
ALL = (MASK, EDGES, LOWRES, MASKED)
SPEC = SampleSpec((3, H, W), maps=ALL)
TRANSFORMER = TransformerConfig(patch=4, width=16, depth=1, heads=2)


def masks(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(2, size=(count, H, W)).astype(np.uint8) * 7


def model(*maps: MapSpec, classes: tuple[str, ...] = (), config=SMALL_UNET) -> DiffusionPipeline:
    return small(classes=classes, maps=maps, config=config, size=(H, W), channels=3)


def apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other).max())


@pytest.mark.parametrize("config", [SMALL_UNET, replace(SMALL_UNET, patch=2), TRANSFORMER])
@pytest.mark.parametrize("classes", [(), ("ant", "bee")])
def test_an_image_depends_on_its_own_map(classes, config) -> None:
    pipeline = model(MASK, EDGES, classes=classes, config=config)
    labels = "bee" if classes else None
    together = pipeline(3, labels=labels, maps={"mask": masks()}).images
    for i in range(3):
        alone = pipeline(1, labels=labels, maps={"mask": masks()[i]}, first=i).images[0]
        assert apart(alone, together[i]) <= 1
    assert apart(pipeline(1, labels=labels, maps={"mask": masks()[1]}).images[0], together[0]) > 1
    both = pipeline(1, labels=labels, maps={"mask": masks()[0], "edges": np.ones((H, W), bool)})
    assert apart(both.images[0], together[0]) > 1


def test_one_that_is_not_given_is_one_that_was_dropped() -> None:
    pipeline = model(MASK)
    nothing = np.full((H, W), NOT_GIVEN)
    assert np.array_equal(pipeline(2, maps={"mask": nothing}).images, pipeline(2).images)
    assert apart(pipeline(2, maps={"mask": masks()}).images, pipeline(2).images) > 1


def test_the_bound_denoiser_takes_them() -> None:
    """What `undrift tune-sampler` solves for."""
    pipeline = model(MASK)
    t = torch.tensor(0.5, dtype=torch.float64)
    found = []
    for maps in (None, {"mask": masks(2)}):
        denoise, noise = pipeline.bound(range(2), seed=0, maps=maps)
        found.append(denoise(noise, t).x0)
    assert not torch.allclose(*found)


def test_guidance_leads_towards_it() -> None:
    pipeline = model(MASK)
    one = pipeline(2, maps={"mask": masks()}, guidance=1).images
    two = pipeline(2, maps={"mask": masks()}, guidance=3)
    assert apart(one, two.images) > 1 and two.nfe == 8
    with pytest.raises(UsageError, match="nothing to guide towards; give numbers or maps"):
        pipeline(1, guidance=2)


@pytest.mark.parametrize("task", [{"strength": 0.5}, {"operator": "blur:1"}, {"mask": True}])
def test_images_are_edited_and_inpainted_with_their_maps(task: dict) -> None:
    pipeline = model(MASK)
    images = np.random.default_rng(1).integers(0, 256, (2, H, W, 3)).astype(np.uint8)

    def made(first: int, count: int, **given: object) -> np.ndarray:
        some = images[first : first + count]
        call = {"first": first, "variants": 2, "steps": 3, **given}
        if "mask" in task:
            return pipeline.inpaint(some, np.tile(np.arange(W) < 6, (H, 1)), **call).images
        return pipeline.edit(some, **task, **call).images

    together = made(0, 2, maps={"mask": masks(2)})
    assert apart(made(1, 1, maps={"mask": masks(2)[1]}), together[2:]) <= 1
    assert apart(made(0, 2), together) > 1
    assert apart(made(0, 2, maps={"mask": masks(2)}, guidance=3.0), together) > 1
    with pytest.raises(UsageError, match="unknown map 'edges'"):
        made(0, 2, maps={"edges": masks(2)})


def test_they_are_recorded_by_a_digest() -> None:
    pipeline = model(MASK)
    records = [
        pipeline(1, maps={"mask": one}).settings["maps"]["mask"]
        for one in (masks(), masks(), masks()[1:])
    ]
    assert records[0] == records[1] != records[2] and len(records[0]) == 32
    assert "maps" not in pipeline(1).settings


def test_they_are_saved_and_loaded(tmp_path: Path) -> None:
    pipeline = model(*ALL)
    pipeline.save_pretrained(tmp_path / "p")
    loaded = Pipeline.from_pretrained(tmp_path / "p")
    assert loaded.spec.maps == ALL and loaded.fingerprint == pipeline.fingerprint
    given = {"mask": masks(), "lowres": np.zeros((2, 3, 3), np.uint8)}
    assert np.array_equal(loaded(3, maps=given).images, pipeline(3, maps=given).images)


def test_a_model_without_maps_has_the_fingerprint_that_it_had() -> None:
    assert "maps" not in SampleSpec((3, H, W)).canonical and "maps" in SPEC.canonical


def test_they_take_turns_in_every_shape_that_is_accepted() -> None:
    three = masks()
    found = resolve_maps({"mask": three}, 4, SPEC, first=2)["map_mask"]
    assert found.dtype == torch.int16 and found.shape == (4, 1, H, W)
    assert np.array_equal(found[:, 0], three[[2, 0, 1, 2]])
    for array in (three[0], three[0, ..., None], three[:1], three[:1, ..., None]):
        assert np.array_equal(resolve_maps({"mask": array}, 2, SPEC)["map_mask"][1, 0], three[0])
    colour = np.random.default_rng(0).integers(256, size=(H, W, 3), dtype=np.uint8)
    masked = resolve_maps({"masked": colour}, 1, SPEC)["map_masked"]
    assert np.array_equal(masked[0].permute(1, 2, 0), colour)


def test_a_low_resolution_comes_small_or_large_and_without_noise() -> None:
    small_one = np.random.default_rng(0).integers(256, size=(2, 3, 3), dtype=np.uint8)
    large = small_one.repeat(4, axis=0).repeat(4, axis=1)
    found = [resolve_maps({"lowres": one}, 1, SPEC)["map_lowres"] for one in (small_one, large)]
    assert torch.equal(*found) and found[0].shape == (1, 4, H, W) and not found[0][:, 3].any()
    assert np.array_equal(found[0][0, :3].permute(1, 2, 0), large)


def test_lines_of_drawn_edges_are_made_black_and_white() -> None:
    grey = np.array([[0, 127, 128, 255] * 3] * H, np.uint8)
    assert resolve_maps({"edges": grey}, 1, SPEC)["map_edges"].unique().tolist() == [0, 255]
    truth = resolve_maps({"edges": grey > 127}, 1, SPEC)["map_edges"]
    assert truth.unique().tolist() == [0, 255]


@pytest.mark.parametrize(
    ("maps", "words"),
    [
        ({"mask": np.zeros((H, W + 1))}, "map mask of shape (8, 13): wanted (H, W[, 1]) of 8 x 12"),
        ({"masked": np.zeros((H, W))}, "map masked of shape (8, 12): wanted (H, W, 3) of 8 x 12"),
        ({"mask": np.zeros((0, H, W))}, "map mask of shape (0, 8, 12)"),
        ({"mask": np.full((H, W), 3)}, "map mask has the value 3; the model knows 0, 7"),
        ({"edges": np.full((H, W), 0.5)}, "map edges: values from 0.5 to 0.5; wanted whole"),
        ({"edges": np.full((H, W), 256)}, "map edges: values from 256 to 256"),
        ({"mast": np.zeros((H, W))}, "unknown map 'mast': did you mean 'mask'?"),
    ],
)
def test_what_is_no_map_of_the_model_is_refused(maps, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_maps(maps, 1, SPEC)
    assert words in str(caught.value)


def test_a_model_without_maps_takes_none() -> None:
    with pytest.raises(UsageError, match="map 'mask': this model takes none"):
        small()(1, maps={"mask": masks()})


def picture(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_files_and_folders_are_read_and_reduced(tmp_path: Path) -> None:
    for i, mask in enumerate(masks()):
        picture(tmp_path / "masks" / f"{i}.png", mask.repeat(2, axis=0).repeat(2, axis=1))
    assert np.array_equal(read_maps([f"mask={tmp_path}/masks"], SPEC)["mask"][..., 0], masks())
    one = read_maps([f"mask={tmp_path}/masks/1.png"], SPEC)["mask"]
    assert np.array_equal(one[..., 0], masks()[1:2])
    colour = np.random.default_rng(0).integers(256, size=(H, W, 3), dtype=np.uint8)
    file = picture(tmp_path / "a.png", colour)
    low = read_maps([f"lowres@{file}"], SPEC)["lowres"][0]
    assert np.abs(low[::4, ::4] - colour.reshape(2, 4, 3, 4, 3).mean(axis=(1, 3))).max() <= 0.5
    small_one = picture(tmp_path / "b.png", low[::4, ::4].astype(np.uint8))
    assert np.array_equal(read_maps([f"lowres={small_one}"], SPEC)["lowres"][0], low)
    assert set(np.unique(read_maps([f"edges@{file}"], SPEC)["edges"])) <= {0, 255}


def test_what_is_transparent_is_hidden(tmp_path: Path) -> None:
    pixels = np.full((H, W, 4), 90, np.uint8)
    pixels[..., 3] = 255
    pixels[2:4, 3:] = (10, 20, 30, 0)
    found = read_maps([f"masked={picture(tmp_path / 'a.png', pixels)}"], SPEC)["masked"][0]
    assert (found[2:4, 3:] == NOT_GIVEN).all() and (found[4:] == 90).all()
    for alpha, words in ((0, "everything is transparent"), (255, "nothing is transparent")):
        pixels[..., 3] = alpha
        with pytest.raises(DataError, match=words):
            read_maps([f"masked={picture(tmp_path / 'b.png', pixels)}"], SPEC)
    with pytest.raises(DataError, match="nothing is transparent"):
        read_maps([f"masked={picture(tmp_path / 'c.png', pixels[..., :3])}"], SPEC)


@pytest.mark.parametrize(
    ("word", "error", "words"),
    [
        ("mask", UsageError, "maps 'mask': wanted NAME=FILE"),
        ("mask=", UsageError, "wanted NAME=FILE"),
        ("mast=a.png", UsageError, "maps 'mast': did you mean 'mask'?"),
        ("mask=none.png", DataError, "none.png"),
        ("mask=empty", DataError, "no images in empty"),
        ("mask=square.png", DataError, "it is 16x16 pixels, the model's images are 12x8"),
        ("mask=tiny.png", DataError, "it is 6x4 pixels"),
        ("mask=colour.png", DataError, "it has 3 channels, wanted 1"),
        ("mask@colour.png", UsageError, "cannot be derived from a picture"),
        ("mask=text.png", DataError, "not an image"),
    ],
)
def test_files_that_are_no_maps_are_one_clear_line(
    word: str, error, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("text.png").write_text("none")
    picture(tmp_path / "square.png", np.zeros((16, 16), np.uint8))
    picture(tmp_path / "tiny.png", np.zeros((4, 6), np.uint8))
    picture(tmp_path / "colour.png", np.zeros((H, W, 3), np.uint8))
    with pytest.raises(error) as caught:
        read_maps([word], SPEC)
    assert words in str(caught.value) and "\n" not in str(caught.value)
