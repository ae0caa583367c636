"""One folder with every awkward kind of file, through the whole of ``load``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.data.zoo import Zoo, build_zoo

from undrift.data import ImageSet, load
from undrift.data.channels import composited, widened
from undrift.errors import DataError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Zoo]:
    path = tmp_path_factory.mktemp("zoo") / "animals"
    return path, build_zoo(path)


@pytest.fixture(scope="module")
def colours(folder: tuple[Path, Zoo]) -> ImageSet:
    return load(folder[0], bad_limit=1.0)


def test_all_the_good_and_none_of_the_bad(folder: tuple[Path, Zoo], colours: ImageSet) -> None:
    zoo = folder[1]
    assert len(zoo.good) > 40 and len(zoo.bad) >= 14
    assert set(colours.names) == set(zoo.good)
    assert {item.name for item in colours.report.set_aside} == set(zoo.bad)
    for item in colours.report.set_aside:
        assert zoo.bad[item.name] in item.reason
    assert colours.report.ignored == zoo.ignored
    assert colours.report.animated == 3
    assert colours.report.rotated == 2


def test_few_transparent_images_are_composited_on_white(
    folder: tuple[Path, Zoo], colours: ImageSet
) -> None:
    assert colours.shape == (32, 32, 3)
    assert colours.report.background == (255, 255, 255)
    for name, pixels in zip(colours.names, colours.images, strict=True):
        expected = composited(widened(folder[1].good[name], 4), (255, 255, 255))
        assert np.abs(pixels.astype(int) - expected).max() <= 2, name


def test_alpha_is_kept_where_asked(folder: tuple[Path, Zoo]) -> None:
    kept = load(folder[0], bad_limit=1.0, channels=4)
    assert kept.shape == (32, 32, 4)
    for name, pixels in zip(kept.names, kept.images, strict=True):
        expected = widened(folder[1].good[name], 4)
        assert np.abs(pixels.astype(int) - expected).max() <= 1, name


def test_a_stated_background_and_grey(folder: tuple[Path, Zoo]) -> None:
    grey = load(folder[0], bad_limit=1.0, channels=1, background="#ff0000")
    red = load(folder[0], bad_limit=1.0, background=(255, 0, 0))
    assert grey.shape == (32, 32, 1) and red.shape == (32, 32, 3)
    weights = np.array([0.299, 0.587, 0.114])
    assert np.abs(grey.images[..., 0] - red.images @ weights).max() <= 0.6


def test_too_many_bad_files_are_an_error(folder: tuple[Path, Zoo]) -> None:
    with pytest.raises(DataError, match=r"\d+ of \d+ images .* the limit is 5%") as caught:
        load(folder[0])
    assert "\n" not in str(caught.value)


def test_fillers_keep_the_share_below_the_limit(tmp_path: Path) -> None:
    zoo = build_zoo(tmp_path / "zoo", fillers=400)
    found = load(tmp_path / "zoo")
    assert len(found) == zoo.usable


def test_the_report_is_json(colours: ImageSet) -> None:
    again = json.loads(json.dumps(colours.report.to_json()))
    assert again["count"] == len(colours)
    assert again["set_aside"][0].keys() == {"name", "reason"}
