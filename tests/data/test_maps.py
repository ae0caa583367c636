"""Maps that come with images: read, brought to their size, split and flipped with them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from undrift.data import ImageSet, load
from undrift.data.augmentation import Augmentation, flip_half
from undrift.data.inspection import inspect_text
from undrift.data.loader import Loader
from undrift.data.order import EpochStream
from undrift.errors import DataError, UsageError
from undrift.randomness import Draws

SIDE, COUNT = 16, 8
Folder = Callable[..., Path]


def map_of(i: int) -> NDArray[np.uint8]:
    """Classes 0 to 2 in stripes, of which each image has its own."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return ((rows // 4 + columns // 4 * 2 + i) % 3).astype(np.uint8)


def image_of(i: int) -> NDArray[np.uint8]:
    """Grey that says the class of each pixel, and the number of the image in a corner."""
    pixels = map_of(i) * 100
    pixels[0, 0] = i
    return pixels


def png(pixels: NDArray[np.uint8], mode: str | None = None) -> bytes:
    picture = Image.fromarray(pixels, mode)
    if mode == "P":
        picture.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """``data`` with images, masks and metadata.jsonl; some masks, and rows, may be others."""

    def make(masks: dict[int, bytes] | None = None, rows: dict[int, dict] | None = None) -> Path:
        where = tmp_path / "data"
        (where / "masks").mkdir(parents=True)
        lines = []
        for i in range(COUNT):
            (where / f"{i}.png").write_bytes(png(image_of(i)))
            (where / "masks" / f"{i}.png").write_bytes((masks or {}).get(i, png(map_of(i))))
            row = {"file_name": f"{i}.png", "mask_file_name": f"masks/{i}.png"}
            lines.append(json.dumps(row | (rows or {}).get(i, {})))
        (where / "metadata.jsonl").write_text("\n".join(lines))
        return where

    return make


def pairs(images: ImageSet) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    (mask,) = images.maps
    return [
        (images.images[i, ..., 0], mask.take(images.rows)[i, ..., 0]) for i in range(len(images))
    ]


def test_they_follow_their_images_into_splits_and_batches(folder: Folder) -> None:
    images = load(folder(), maps=["mask"], holdout=0.25)
    assert images.maps[0].values == ((0,), (1,), (2,))
    for part in (images, *map(images.split, ("train", "validation", "test"))):
        for image, mask in pairs(part):
            assert np.array_equal(mask, map_of(int(image[0, 0])))
    train = images.split("train")
    with Loader(train, EpochStream(len(train), 0, 4)) as loader:
        batch = next(loader)
    masks = batch.condition["map_mask"]
    assert isinstance(masks, torch.Tensor) and masks.dtype == torch.uint8
    for image, mask in zip(batch.images, masks, strict=True):
        assert np.array_equal(mask[0], map_of(int(image[0, 0, 0])))
    assert set(images.report.ignored_kinds) == set()


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_they_are_resized_with_their_images_and_stay_classes(folder: Folder, fit) -> None:
    where = folder({i: png(map_of(i) * 100) for i in range(COUNT)})
    images = load(where, maps=["mask"], size=(8, 4), fit=fit)
    for image, mask in pairs(images):
        assert set(np.unique(mask)) <= {0, 100, 200}
        # inside of stripes the picture says the class
        inside = (image % 100 < 3) | (image % 100 > 97)
        assert (np.round(image[inside] / 100) * 100 == mask[inside]).mean() > 0.9


def test_values_are_resampled_smoothly(folder: Folder) -> None:
    ramp = np.tile(np.arange(SIDE, dtype=np.uint8) * 16, (SIDE, 1))
    where = folder({i: png(ramp) for i in range(COUNT)})
    images = load(where, maps=["mask:values"], size=8)
    assert images.maps[0].values == ()
    assert np.abs(images.maps[0].store[0, 4, 2:6, 0] - (np.arange(2, 6) * 32 + 8.0)).max() <= 2


def test_what_pixels_are_is_seen_from_them_or_said(folder: Folder) -> None:
    noise = np.random.default_rng(0).integers(256, size=(COUNT, SIDE, SIDE), dtype=np.uint8)
    where = folder({i: png(noise[i]) for i in range(COUNT)})
    assert load(where, maps=["mask"]).maps[0].values == ()
    assert len(load(where, maps=["mask:classes"]).maps[0].values) == 256


def test_a_palette_holds_numbers_and_colours_are_classes_too(folder: Folder) -> None:
    where = folder({i: png(map_of(i), "P") for i in range(COUNT)})
    images = load(where, maps=["mask"])
    assert np.array_equal(images.maps[0].store[3, ..., 0], map_of(3))
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)
    for i in range(COUNT):
        (where / "masks" / f"{i}.png").write_bytes(png(colours[map_of(i)]))
    found = load(where, maps=["mask"]).maps[0]
    assert found.values == ((0, 0, 0), (0, 0, 255), (255, 0, 0))
    assert np.array_equal(found.store[3], colours[map_of(3)])


def test_inspect_tells_of_them(folder: Folder) -> None:
    assert "map mask: 3 classes (0, 1, 2)" in inspect_text(load(folder(), maps=["mask"]))


def test_without_them_the_fingerprint_is_as_it_was_and_with_them_it_names_them(
    folder: Folder,
) -> None:
    where = folder()
    bare, masked = load(where).fingerprint, load(where, maps=["mask"]).fingerprint
    assert bare == load(where, maps=["edges"]).fingerprint != masked
    (where / "masks" / "3.png").write_bytes(png(map_of(4)))
    assert load(where).fingerprint == bare
    assert load(where, maps=["mask"]).fingerprint not in (bare, masked)


def test_arrays_of_an_npz(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    images = np.stack([image_of(i) for i in range(COUNT)])
    masks = np.stack([map_of(i) for i in range(COUNT)])
    np.savez(path, images=images, mask=masks, small=masks[:, ::2, ::2], deep=masks * 300.5)
    loaded = load(path, maps=["mask"])
    for image, mask in pairs(loaded):
        assert np.array_equal(mask, map_of(int(image[0, 0])))
    for name, words in {
        "small": "small is 8x8 pixels, the images 16x16",
        "deep": "deep is float64, wanted whole",
        "none": "has no array 'none' of maps",
    }.items():
        with pytest.raises(DataError, match=words):
            load(path, maps=[name])


@pytest.mark.parametrize(
    ("masks", "rows", "words"),
    [
        ({}, {3: {"mask_file_name": None}}, "line 4: mask_file_name is missing: give every image"),
        ({}, {3: {"mask_file_name": "masks/x.png"}}, "line 4: map masks/x.png is not there"),
        ({}, {3: {"mask_file_name": "../x.png"}}, "line 4: mask_file_name is '../x.png', which le"),
        ({}, {3: {"mask_file_name": 7}}, "line 4: mask_file_name is 7, wanted the name of a file"),
        ({3: png(map_of(3)[:8])}, {}, "map masks/3.png is 16x8 pixels, its image 3.png 16x16"),
        ({3: png(np.zeros((16, 16, 3), np.uint8))}, {}, "masks/3.png has 3 channels, masks/0.png"),
        ({3: b"no picture"}, {}, "map masks/3.png of 3.png cannot be read: not an image"),
    ],
)
def test_bad_maps_are_one_clear_line(folder: Folder, masks, rows, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        load(folder(masks, rows), maps=["mask"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("maps", "words"),
    [
        (["mask:depth"], "maps 'mask:depth': wanted a column"),
        (["mask", "mask:values"], "mask comes twice"),
        (["edges:classes"], "maps 'edges:classes'"),
        (["lowres"], "wanted lowres:2 to lowres:64"),
        (["lowres:1"], "wanted lowres:2"),
        ([f"m{i}" for i in range(9)], "9 maps; wanted at most 8"),
    ],
)
def test_words_that_ask_for_no_map_are_refused(folder: Folder, maps, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        load(folder(), maps=maps)


def test_data_without_them_says_so(folder: Folder) -> None:
    where = folder()
    with pytest.raises(DataError, match="no column 'depth_file_name'"):
        load(where, maps=["depth"])
    rows = (where / "metadata.jsonl").read_text().splitlines()
    first = json.dumps({"file_name": "0.png"})
    (where / "metadata.jsonl").write_text("\n".join([first, *rows[1:]]))
    with pytest.raises(DataError, match="line 1: mask_file_name is missing: give every image"):
        load(where, maps=["mask"])
    (where / "metadata.jsonl").unlink()
    with pytest.raises(UsageError, match="maps 'mask_file_name'"):
        load(where, maps=["mask"])
    with pytest.raises(UsageError, match="maps 'mask_file_name': digits has no columns"):
        load("digits", maps=["mask"])


def test_images_and_maps_are_mirrored_together() -> None:
    images = torch.from_numpy(np.stack([image_of(i) for i in range(COUNT)]))[:, None]
    maps = torch.from_numpy(np.stack([map_of(i) for i in range(COUNT)]))[:, None]
    images[:, :, 0, 0] = images[:, :, 0, 1]
    draws = Draws(0, 0, COUNT, 0, COUNT)
    moved = flip_half(maps, draws)
    assert torch.equal(flip_half(images, draws), moved * 100) and not torch.equal(moved, maps)


def test_images_and_maps_are_augmented_together() -> None:
    """Flips, shifts, turns and stretches: the class of a pixel stays what the pixel shows."""
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    maps = ((rows > 10).int() + (columns > 17).int() + (rows + columns > 40).int())[None, None]
    maps = maps.repeat(64, 1, 1, 1).to(torch.int16)
    draws = Draws(0, 0, 64, 0, 64)
    augmentation = Augmentation(0.8, flip_y=True)
    images, _ = augmentation(maps.float(), draws)
    moved = augmentation.of_maps(maps, draws)
    assert moved.dtype == torch.int16 and set(moved.unique().tolist()) <= {0, 1, 2, 3}
    sure = (images - images.round()).abs() < 0.05
    assert (images.round()[sure] == moved[sure]).float().mean() > 0.98
    assert (moved != maps).flatten(1).any(dim=1).float().mean() > 0.9
    assert torch.equal(augmentation.of_maps(maps.clone().fill_(-1), draws), maps.clone().fill_(-1))
