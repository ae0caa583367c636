"""What folders and zips mean: classes, splits, metadata, links."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.data import zoo

from undrift.data import load
from undrift.errors import DataError


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image(name))


def image(name: str) -> bytes:
    """An image that differs for each name."""
    return zoo.png(zoo.picture(1, seed=sum(name.encode()) * 7919 + len(name)), 8, 0)


def write_metadata(root: Path, rows: list[dict[str, object]]) -> None:
    lines = "\n".join(json.dumps(row) for row in rows)
    (root / "metadata.jsonl").write_text(lines, encoding="utf-8")


def test_subfolders_are_classes_in_order(tmp_path: Path) -> None:
    write(tmp_path, "b/1.png", "b/deep/2.png", "a/1.png", "c/9.PNG", "c/readme.md")
    found = load(tmp_path)
    assert found.class_names == ("a", "b", "c")
    assert found.names == ("a/1.png", "b/1.png", "b/deep/2.png", "c/9.PNG")
    assert found.labels is not None and found.labels.tolist() == [0, 1, 1, 2]
    assert found.labels.dtype == np.int64
    assert found.report.ignored == 1


def test_numbered_classes_are_in_numerical_order(tmp_path: Path) -> None:
    write(tmp_path, *(f"{i}/x{i}.png" for i in range(12)))
    assert load(tmp_path).class_names == tuple(str(i) for i in range(12))


def test_flat_folders_and_single_subfolders_have_no_classes(tmp_path: Path) -> None:
    write(tmp_path, "one/1.png", "one/2.png", "one/3.png")
    assert load(tmp_path).labels is None
    assert load(tmp_path / "one").labels is None
    assert len(load(tmp_path)) == 3


def test_many_images_beside_folders_mean_no_classes(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", "b/2.png", "3.png", "4.png")
    found = load(tmp_path)
    assert found.labels is None and len(found) == 4
    assert any("no classes taken" in line for line in found.report.warnings)


def test_a_stray_image_beside_classes_is_set_aside(tmp_path: Path) -> None:
    write(tmp_path, *(f"{c}/{i}.png" for c in "ab" for i in range(20)), "cover.png")
    found = load(tmp_path)
    assert found.class_names == ("a", "b")
    assert [item.name for item in found.report.set_aside] == ["cover.png"]


def test_splits_of_the_source(tmp_path: Path) -> None:
    write(
        tmp_path, "train/a/1.png", "train/b/2.png", "train/b/3.png", "val/a/4.png", "Test/b/5.png"
    )
    found = load(tmp_path)
    assert found.class_names == ("a", "b")
    assert {k: found.names[int(v[0])] for k, v in found.splits.items()} == {
        "train": "train/a/1.png",
        "validation": "val/a/4.png",
        "test": "Test/b/5.png",
    }


def test_a_folder_called_test_alone_is_a_class(tmp_path: Path) -> None:
    write(tmp_path, "test/1.png", "other/2.png")
    assert load(tmp_path).class_names == ("other", "test")


def test_metadata_beats_folders_and_unlisted_files_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", "b/2.png", "b/3.png", "c/4.png")
    rows: list[dict[str, object]] = [
        {"file_name": "b/2.png", "label": "dog", "text": "a dog\u2028barks", "other": 3},
        {"file_name": "a/1.png", "label": "cat", "text": "cafe\u0301 \ud800 \u0000cat"},
    ]
    write_metadata(tmp_path, rows)
    found = load(tmp_path)
    assert found.names == ("b/2.png", "a/1.png")
    assert found.class_names == ("cat", "dog")
    assert found.labels is not None and found.labels.tolist() == [1, 0]
    assert found.captions == (("a dog\u2028barks",), ("caf\xe9 ? cat",))
    assert found.report.ignored == 2


def test_metadata_csv_and_integer_labels(tmp_path: Path) -> None:
    write(tmp_path, "1.png", "2.png", "3.png")
    text = 'file_name,text,label\n1.png,"a, b",10\n2.png,,9\n3.png,c,10\n'
    (tmp_path / "metadata.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = load(tmp_path)
    assert found.class_names == ("9", "10")
    assert found.captions == (("a, b",), (), ("c",))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"file_name": "1.png"', "line 1 is not JSON"),
        ("[]", "not a JSON object"),
        ('{"text": "x"}', "line 1 has no file_name"),
        ('{"file_name": "1.png", "label": true}', "text or an integer"),
        ('{"file_name": "1.png", "label": 1.5}', "text or an integer"),
        ('{"file_name": "1.png", "text": 3}', "text must be text"),
        (
            '{"file_name": "1.png"}\n\n{"file_name": "./1.png"}',
            "line 1 and line 3 both name '1.png'",
        ),
        ('{"file_name": "1.png", "label": 0}\n{"file_name": "2.png"}', r"no label \(lines 2\)"),
    ],
)
def test_broken_metadata_names_the_line(tmp_path: Path, lines: str, message: str) -> None:
    write(tmp_path, "1.png", "2.png")
    (tmp_path / "metadata.jsonl").write_text(lines)
    with pytest.raises(DataError, match=message):
        load(tmp_path)


def test_metadata_that_names_what_is_not_there(tmp_path: Path) -> None:
    write(tmp_path / "in", "1.png")
    write(tmp_path, "out.png")
    names = ["1.png", "2.png", "../out.png", str(tmp_path / "out.png")]
    write_metadata(tmp_path / "in", [{"file_name": name} for name in names])
    found = load(tmp_path / "in", bad_limit=1.0)
    assert found.names == ("1.png",)
    reasons = sorted(item.reason for item in found.report.set_aside)
    assert reasons == ["leaves the folder"] * 2 + ["listed in metadata.jsonl, but not there"]


def test_two_metadata_files_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, "1.png")
    write_metadata(tmp_path, [{"file_name": "1.png"}])
    (tmp_path / "metadata.csv").write_text("file_name\n1.png\n")
    with pytest.raises(DataError, match="both"):
        load(tmp_path)


def test_long_captions_are_cut_and_counted(tmp_path: Path) -> None:
    write(tmp_path, "1.png")
    write_metadata(tmp_path, [{"file_name": "1.png", "text": "x" * 5000}])
    found = load(tmp_path)
    assert found.captions == (("x" * 4096,),)
    assert any("1 caption cut to 4,096" in line for line in found.report.warnings)


def test_links_inside_the_folder_are_followed_but_not_out_of_it(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write(root, "1.png", "2.png")
    write(tmp_path, "secret.png")
    (root / "again.png").symlink_to("1.png")
    (root / "out.png").symlink_to("../secret.png")
    found = load(root, bad_limit=1.0)
    assert found.names == ("1.png", "2.png", "again.png")
    assert {item.name: item.reason for item in found.report.set_aside} == {
        "out.png": "symlink that leaves the folder"
    }
    assert found.report.duplicates.extra == 1


def test_a_class_folder_that_is_a_symlink_is_followed_inside_the_folder(tmp_path: Path) -> None:
    write(tmp_path, "all/ant/1.png", "all/bee/2.png", "all/bee/3.png", "train/ant/9.png")
    (tmp_path / "train" / "bee").symlink_to("../all/bee", target_is_directory=True)
    found = load(tmp_path)
    assert "train/bee/2.png" in found.names and "train/bee/3.png" in found.names


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_a_symlink_to_a_folder_above_is_passed_over(tmp_path: Path, target: str) -> None:
    write(tmp_path, "a/1.png", "b/deep/2.png")
    (tmp_path / "b" / "deep" / "up").symlink_to(target, target_is_directory=True)
    found = load(tmp_path)
    assert found.names == ("a/1.png", "b/deep/2.png")
    assert found.report.ignored_kinds == {"symlinks to a folder above": 1}


@pytest.mark.parametrize("target", ["../elsewhere", "../nowhere"])
def test_a_folder_that_cannot_be_entered_is_an_error_of_its_own(
    tmp_path: Path, target: str
) -> None:
    """Its images would be missing, however few names they are."""
    write(tmp_path / "data", *(f"{c}/{i}.png" for c in "ab" for i in range(20)))
    write(tmp_path, "elsewhere/3.png")
    (tmp_path / "data" / "c").symlink_to(target, target_is_directory=True)
    with pytest.raises(DataError, match=r"data/c is a symlink to .*images in it would be missing"):
        load(tmp_path / "data", bad_limit=1.0)


def test_a_folder_that_cannot_be_read_is_an_error_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not chmod: the tests may run as root, for whom every folder can be read.
    write(tmp_path, *(f"{c}/{i}.png" for c in "ab" for i in range(20)), "c/1.png")
    listing = os.scandir

    def refusing(path: str) -> object:
        if str(path).rstrip("/").endswith("c"):
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"/c cannot be read \(Permission denied\)"):
        load(tmp_path, bad_limit=1.0)


@pytest.mark.parametrize("kind", ["pipe", "dangling", "leaving"])
def test_metadata_that_cannot_be_read_is_an_error(tmp_path: Path, kind: str) -> None:
    """Else the folders would be taken as classes in silence."""
    write(tmp_path / "data", "a/1.png", "b/2.png")
    place = tmp_path / "data" / "metadata.csv"
    (tmp_path / "elsewhere.csv").write_text("file_name,label\na/1.png,x\nb/2.png,y\n")
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("nowhere.csv" if kind == "dangling" else "../elsewhere.csv")
    with pytest.raises(DataError, match=r"metadata\.csv cannot be read"):
        load(tmp_path / "data")


def test_symlinks_in_symlinked_folders_are_refused(tmp_path: Path) -> None:
    """Otherwise n of them could stand for 2^n folders."""
    write(tmp_path, "a/1.png", "b/2.png", "c/3.png")
    (tmp_path / "b" / "x").symlink_to("../c", target_is_directory=True)
    (tmp_path / "a" / "y").symlink_to("../b", target_is_directory=True)
    with pytest.raises(DataError, match=r"a/y/x is a symlink inside a symlinked folder"):
        load(tmp_path)


def test_a_pipe_that_takes_a_files_place_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "1.png", "2.png")
    from undrift.data.sources.tree import Folder

    tree = Folder(tmp_path)
    (tmp_path / "1.png").unlink()
    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(OSError, match="not a regular file"):
        tree.read("1.png")


def test_a_file_that_cannot_be_opened_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not chmod: the tests may run as root, for whom every file can be read.
    write(tmp_path, "1.png", "2.png")
    opening = os.open

    def refusing(path: str, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith("1.png"):
            raise PermissionError(13, "Permission denied")
        return opening(path, flags, mode)

    monkeypatch.setattr(os, "open", refusing)
    found = load(tmp_path, bad_limit=1.0)
    assert found.names == ("2.png",)
    assert found.report.set_aside[0].reason == "cannot be read: Permission denied"


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def test_a_zip_is_read_like_its_folder(tmp_path: Path) -> None:
    names = ["a/1.png", "a/2.png", "b/3.png"]
    write(tmp_path / "photos", *names)
    zipped = archive(tmp_path / "photos.zip", {f"photos/{name}": image(name) for name in names})
    plain, packed = load(tmp_path / "photos"), load(zipped)
    assert packed.name == plain.name == "photos"
    assert np.array_equal(plain.images, packed.images)
    assert packed.class_names == ("a", "b")
    assert packed.labels is not None and packed.labels.tolist() == [0, 0, 1]


def test_hostile_zip_members_are_refused_and_nothing_is_extracted(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "evil.zip",
        {
            "good.png": image("good"),
            "../../escape.png": image("x"),
            "/absolute.png": image("y"),
            "..\\windows.png": image("z"),
            "__MACOSX/._good.png": b"",
        },
    )
    with zipfile.ZipFile(path, "a") as file:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("good.png", image("shadow"))
    before = sorted(tmp_path.rglob("*"))
    found = load(path, bad_limit=1.0)
    assert sorted(tmp_path.rglob("*")) == before
    assert found.names == ("good.png",)
    assert np.array_equal(found.images[0], zoo.picture(1, sum(b"good") * 7919 + 4))
    reasons = {item.name: item.reason for item in found.report.set_aside}
    assert set(reasons) == {
        *("../../escape.png", "/absolute.png", "../windows.png", "link.png", "good.png (again)")
    }
    assert reasons["link.png"] == "symlink"


def test_a_zip_member_with_a_wrong_checksum_is_set_aside(tmp_path: Path) -> None:
    members = {f"{i}.png": image(str(i)) for i in range(3)}
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[data.index(members["1.png"]) + 100] ^= 1
    (tmp_path / "a.zip").write_bytes(data)
    found = load(tmp_path / "a.zip", bad_limit=1.0)
    assert found.names == ("0.png", "2.png")
    assert "damaged in the archive" in found.report.set_aside[0].reason


def test_a_broken_zip_is_an_error(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"1.png": image("1")})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError):
        load(path)
