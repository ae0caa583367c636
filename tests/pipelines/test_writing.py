"""Samples on disk: pixels, metadata, record, and no half-written anything."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image
from tests.pipelines.models import small

from undrift.errors import UsageError
from undrift.files.ownership import written_by_undrift
from undrift.pipelines import write_samples
from undrift.pipelines.folder import unfinished

COMMAND = "undrift sample runs/é -n 5"


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_pngs_hold_the_pixels_and_how_they_were_made(tmp_path, channels, mode):
    samples = small(channels=channels)(5, labels=["cat", "ant"])
    assert write_samples(samples, tmp_path / "out", COMMAND) == tmp_path / "out"
    for i in range(5):
        with Image.open(tmp_path / "out" / f"{i:06d}.png") as picture:
            picture.load()
            assert picture.mode == mode
            assert (np.asarray(picture).reshape(samples.images[i].shape) == samples.images[i]).all()
            assert json.loads(picture.text["settings"]) == samples.settings
            assert picture.text["command"] == COMMAND
            assert picture.text["index"] == str(i)
            assert picture.text["label"] == ("cat", "ant")[i % 2]
    with Image.open(tmp_path / "out" / "grid.png") as picture:
        assert (np.asarray(picture) == np.asarray(samples.grid())).all()


def test_the_record(tmp_path):
    samples = small()(3, labels="bee", guidance=2)
    write_samples(samples, tmp_path, COMMAND)
    record = json.loads((tmp_path / "samples.json").read_text())
    assert record["nfe"] == samples.nfe == 8
    assert record["seconds"] == samples.seconds
    assert record["settings"] == samples.settings
    assert record["command"] == COMMAND
    assert record["images"][2] == {"file": "000002.png", "label": 1, "class": "bee"}
    wanted = {"000000.png", "000001.png", "000002.png", "grid.png", "samples.json"}
    assert set(os.listdir(tmp_path)) == wanted


@pytest.mark.parametrize("channels", [1, 3])
def test_npz(tmp_path, channels):
    samples = small(channels=channels)(4, labels="all")
    write_samples(samples, tmp_path / "out", COMMAND, npz=tmp_path / "all.npz")
    assert written_by_undrift(tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz", allow_pickle=False) as arrays:
        assert arrays["images"].dtype == np.uint8
        assert arrays["images"].shape == (4, 6, 5, channels)
        assert (arrays["images"] == samples.images).all()
        assert arrays["labels"].dtype == np.int64
        assert arrays["labels"].tolist() == [0, 1, 2, 0]
        assert arrays["class_names"].tolist() == ["ant", "bee", "cat"]
        assert set(arrays) == {"images", "labels", "class_names"}


def test_a_model_without_classes_has_no_labels(tmp_path):
    samples = small(classes=())(2)
    write_samples(samples, tmp_path, COMMAND, npz=tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz") as arrays:
        assert set(arrays) == {"images"}
    assert json.loads((tmp_path / "samples.json").read_text())["images"][0] == {
        "file": "000000.png"
    }
    with Image.open(tmp_path / "000000.png") as picture:
        assert "label" not in picture.text


def test_samples_are_never_overwritten(tmp_path):
    samples = small()(2)
    write_samples(samples, tmp_path, COMMAND)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in os.listdir(tmp_path)}
    with pytest.raises(UsageError, match="holds samples.json already"):
        write_samples(small()(1, seed=9), tmp_path, COMMAND)
    assert before == {name: (tmp_path / name).stat().st_mtime_ns for name in os.listdir(tmp_path)}


def test_the_record_comes_last_and_nothing_is_left_half_written(tmp_path, monkeypatch):
    """Whichever rename fails, no record says that all is done, and it can be tried again."""
    samples = small()(3)
    real, failures = os.replace, 0
    for failing in range(5):
        calls = 0

        def broken(source, target, failing=failing):
            nonlocal calls
            calls += 1
            if calls == failing + 1:
                raise OSError(28, "No space left on device")
            return real(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", broken)
            with pytest.raises(UsageError, match="No space left"):
                write_samples(samples, tmp_path, COMMAND)
        failures += 1
        names = os.listdir(tmp_path)
        assert bool(unfinished(tmp_path)) == (failing > 0)
        assert not any(name.startswith(".") or name == "LOCK" for name in names)
    assert failures == 5
    write_samples(samples, tmp_path, COMMAND)


def test_an_npz_of_the_user_s_own_stays(tmp_path):
    np.savez(tmp_path / "data.npz", images=np.zeros(3))
    before = (tmp_path / "data.npz").read_bytes()
    with pytest.raises(UsageError, match="npz .*undrift did not write"):
        write_samples(small()(1), tmp_path / "out", COMMAND, npz=tmp_path / "data.npz")
    assert (tmp_path / "data.npz").read_bytes() == before and os.listdir(tmp_path) == ["data.npz"]


def test_unwritable_places(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        write_samples(small()(1), tmp_path / "file" / "out", COMMAND)
    with pytest.raises(UsageError, match="cannot write"):
        write_samples(small()(1), tmp_path / "out", COMMAND, npz=tmp_path / "no" / "all.npz")


def test_an_npz_without_a_folder_is_found_before_anything_is_written(tmp_path):
    samples = small()(1)
    with pytest.raises(UsageError, match="cannot write .*all.npz: there is no directory"):
        write_samples(samples, tmp_path / "out", COMMAND, npz=tmp_path / "no" / "all.npz")
    assert os.listdir(tmp_path) == []
    write_samples(samples, tmp_path / "a" / "b", COMMAND, npz=tmp_path / "a" / "all.npz")
    assert sorted(os.listdir(tmp_path / "a")) == ["all.npz", "b"]


def test_a_column_per_class_where_classes_take_turns():
    assert small()(7, labels="all").grid().width == 3 * (5 * 10 + 2) + 2
    assert small()(7, labels="ant").grid().width == 3 * (5 * 10 + 2) + 2
    assert small()(16, labels="all").grid().width == 3 * (5 * 10 + 2) + 2
    assert small()(16, labels="ant").grid().width == 4 * (5 * 10 + 2) + 2
    assert small()(16, labels="ant").grid(columns=8).width == 8 * (5 * 10 + 2) + 2
