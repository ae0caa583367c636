"""Which class, caption and split each file gets, and which files are passed over; no pixel is read.

Every test runs on a folder and on a zip of the same files.
"""

from __future__ import annotations

import json
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.data import zoo

from undrift.data import load
from undrift.data.sources.opening import opened
from undrift.data.sources.source import DEFAULT, Columns, Files
from undrift.errors import DataError, UsageError

Read = Callable[..., Files]
PIXELS = zoo.png(zoo.picture(1, seed=1), 8, 0)


@pytest.fixture(params=["folder", "zip"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Read:
    """Write files, by name and content (None: an image), and arrange them."""

    def arranged(*names: str, columns: Columns = DEFAULT, **texts: object) -> Files:
        files: dict[str, bytes] = dict.fromkeys(names, PIXELS)
        for key, text in (texts.pop("also", None) or {}).items():
            plain = text if isinstance(text, str | bytes) else json.dumps(text)
            files[key] = plain if isinstance(plain, bytes) else plain.encode()
        path = tmp_path / ("data.zip" if request.param == "zip" else "data")
        if request.param == "zip":
            with zipfile.ZipFile(path, "w") as file:
                for name, data in files.items():
                    file.writestr(name, data)
        else:
            for name, data in files.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(data)
        with opened(path, columns) as found:
            assert isinstance(found, Files)
            return found

    return arranged


def labels(files: Files) -> dict[str, str | None]:
    return {entry.name: entry.label for entry in files.entries}


def stylegan(pairs: list[list[object]] | None) -> dict[str, object]:
    return {"dataset.json": {"labels": pairs}}


SHARDS = ("00000/img00000000.png", "00000/img00000001.png", "00001/img00001000.png")


@pytest.mark.parametrize("wrapped", ["", "ffhq/"])
def test_dataset_json_beats_its_numbered_folders(read: Read, wrapped: str) -> None:
    pairs: list[list[object]] = [[SHARDS[0], 10], [SHARDS[1].replace("/", "\\"), 9], [SHARDS[2], 9]]
    also = {wrapped + name: content for name, content in stylegan(pairs).items()}
    found = read(*(wrapped + name for name in SHARDS), also=also)
    assert labels(found) == {
        wrapped + name: label for name, label in zip(SHARDS, ("10", "9", "9"), strict=True)
    }
    assert not found.warnings and not found.ignored


def test_dataset_json_without_labels_means_no_classes(read: Read) -> None:
    found = read(*SHARDS, also=stylegan(None))
    assert labels(found) == dict.fromkeys(SHARDS)
    assert "there are no labels" in found.notes[0]


def test_a_dataset_json_of_somebody_else_is_passed_over_and_mentioned(read: Read) -> None:
    found = read("a/1.png", "b/2.png", also={"dataset.json": {"title": "pets"}})
    assert labels(found) == {"a/1.png": "a", "b/2.png": "b"}
    assert found.warnings == ("dataset.json has no labels: ignored",)
    assert found.ignored == {".json": 1}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([[SHARDS[0], 1]], r"no label for 00000/img00000001\.png and 1 more"),
        ([[SHARDS[0], None]], "label 1: .* has no class"),
        ([[SHARDS[0], [0.5, 1]]], r"label 1: the class must be text or an integer, not \[0\.5"),
        ([[SHARDS[0], 1.5]], "must be text or an integer"),
        ([[SHARDS[0], True]], "must be text or an integer"),
        ([[SHARDS[0], "x" * 300]], "has 300 characters, at most 255"),
        ([[SHARDS[0]]], "label 1 is not a pair"),
        ([[3, 1]], "label 1 is not a pair"),
        ({"00000/img00000000.png": 1}, "must be pairs"),
        ([[name, 1] for name in (*SHARDS, SHARDS[0])], "label 1 and label 4 both name"),
    ],
)
def test_broken_labels_are_named(read: Read, pairs: list[list[object]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(*SHARDS, also=stylegan(pairs))


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"labels": ' + "9" * 5000 + "}", b"\xff"])
def test_a_dataset_json_that_is_no_json_is_an_error(read: Read, text: object) -> None:
    with pytest.raises(DataError, match=r"dataset\.json") as caught:
        read(
            *SHARDS, also={"dataset.json": text} if text != "\xff" else {"dataset.json": '"\udcff'}
        )
    assert len(str(caught.value)) < 600


def test_images_that_dataset_json_lists_and_that_are_not_there_count_as_lost(read: Read) -> None:
    found = read(*SHARDS, also=stylegan([[name, 1] for name in (*SHARDS, "00002/x.png")]))
    assert [item.name for item in found.set_aside] == ["00002/x.png"]
    assert found.set_aside[0].reason == "listed in dataset.json, but not there"


def test_two_files_that_both_decide_are_an_error(read: Read) -> None:
    csv = "file_name,label\n" + "".join(f"{name},x\n" for name in SHARDS)
    with pytest.raises(DataError, match=r"both dataset\.json and metadata\.csv: keep one"):
        read(*SHARDS, also={**stylegan(None), "metadata.csv": csv})


@pytest.mark.parametrize(
    "folders",
    [("00000", "00001", "00002"), ("000", "001"), ("shard-0", "shard-1"), ("part_1", "Part_2")],
)
def test_folders_numbered_like_parts_are_pointed_out(read: Read, folders: tuple[str, ...]) -> None:
    found = read(*(f"{folder}/1.png" for folder in folders))
    assert len(set(labels(found).values())) == len(folders)
    assert f"{folders[0]} to {folders[-1]} are taken as classes" in found.warnings[0]


@pytest.mark.parametrize(
    "folders", [("0", "1", "2"), ("00", "01"), ("cat", "dog"), ("1990", "1991"), ("007", "011")]
)
def test_other_class_names_are_not(read: Read, folders: tuple[str, ...]) -> None:
    assert not read(*(f"{folder}/1.png" for folder in folders)).warnings


def rows(*values: dict[str, object]) -> str:
    return "\n".join(json.dumps(row) for row in values)


def test_metadata_in_class_folders_gives_captions_and_leaves_the_classes(read: Read) -> None:
    found = read(
        *("a/1.png", "a/2.png", "b/3.png"),
        also={
            "a/metadata.jsonl": rows({"file_name": "1.png", "text": "an ant"}),
            "b/metadata.jsonl": rows({"file_name": "3.png", "text": "a bee"}),
        },
    )
    assert [(e.name, e.label, e.captions) for e in found.entries] == [
        ("a/1.png", "a", ("an ant",)),
        ("b/3.png", "b", ("a bee",)),
    ]
    assert found.ignored == {"not listed images": 1}


def test_metadata_labels_in_sub_folders_beat_the_folders(read: Read) -> None:
    found = read(
        *("part1/x/1.png", "part1/2.png", "part2/3.png"),
        also={
            "part1/metadata.csv": "file_name,label\nx/1.png,dog\n2.png,cat\n",
            "part2/metadata.csv": "file_name,label\n3.png,dog\n",
        },
    )
    assert labels(found) == {"part1/x/1.png": "dog", "part1/2.png": "cat", "part2/3.png": "dog"}
    assert not found.warnings


def test_labels_in_the_metadata_of_one_folder_only_are_an_error(read: Read) -> None:
    with pytest.raises(DataError, match=r"1 of 2 images have a class, b/2\.png has none"):
        read("a/1.png", "b/2.png", also={"a/metadata.csv": "file_name,label\n1.png,dog\n"})


def test_metadata_of_splits_is_relative_to_its_own_folder(read: Read) -> None:
    """Hugging Face's layout: train/metadata.jsonl, test/metadata.jsonl."""
    found = read(
        *("train/1.png", "test/1.png", "test/deep/2.png"),
        also={
            "train/metadata.jsonl": rows({"file_name": "1.png", "label": "x"}),
            "test/metadata.jsonl": rows(
                {"file_name": "1.png", "label": "y"}, {"file_name": "deep/2.png", "label": "x"}
            ),
        },
    )
    assert [(e.name, e.label, e.split) for e in found.entries] == [
        ("test/1.png", "y", "test"),
        ("test/deep/2.png", "x", "test"),
        ("train/1.png", "x", "train"),
    ]


def test_captions_in_the_class_folders_of_splits(read: Read) -> None:
    found = read(
        *("train/a/1.png", "train/b/2.png", "val/a/3.png"),
        also={
            f"{folder}/metadata.csv": f"file_name,text\n{i}.png,word\n"
            for i, folder in enumerate(("train/a", "train/b", "val/a"), start=1)
        },
    )
    assert labels(found) == {"train/a/1.png": "a", "train/b/2.png": "b", "val/a/3.png": "a"}
    assert {entry.split for entry in found.entries} == {"train", "validation"}


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("listed", ["NFC", "NFD"])
def test_names_are_compared_in_one_unicode_form(read: Read, stored: str, listed: str) -> None:
    on_disk, in_file = (unicodedata.normalize(form, "é") for form in (stored, listed))
    found = read(
        f"{on_disk}/{on_disk}.png",
        also={"metadata.jsonl": rows({"file_name": f"{in_file}/{in_file}.png", "label": in_file})},
    )
    assert [entry.label for entry in found.entries] == ["\xe9"] and not found.set_aside


def test_folders_of_two_forms_are_one_class(read: Read) -> None:
    names = [f"{unicodedata.normalize(form, 'é')}/{form}.png" for form in ("NFC", "NFD")]
    assert set(labels(read(*names, "x/1.png")).values()) == {"\xe9", "x"}


def test_what_systems_make_is_no_data_and_is_mentioned(read: Read) -> None:
    found = read(
        *("a/1.png", "b/2.png", "a/@eaDir/1.png", "#recycle/3.png", "$RECYCLE.BIN/4.png"),
        *("lost+found/5.png", "__MACOSX/a/._1.png", ".Trash-1000/6.png", "b/.thumbnails/7.png"),
        *("a/._1.png", "System Volume Information/8.png", "b/@Recycle/9.png"),
        also={"Thumbs.db": "x", "a/desktop.ini": "x", "notes.txt": "x", "LICENSE": "x"},
    )
    assert labels(found) == {"a/1.png": "a", "b/2.png": "b"}
    assert found.ignored == {
        **dict.fromkeys(
            ("@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found", "__MACOSX", "@Recycle"), 1
        ),
        **dict.fromkeys(("System Volume Information", "Thumbs.db", "desktop.ini"), 1),
        "hidden": 3,
        ".txt": 1,
        "without extension": 1,
    }


def test_formats_that_cannot_be_read_are_candidates_and_say_what_to_do(read: Read) -> None:
    found = read("a/1.png", "b/2.HEIC", "b/3.jxl", "b/4.nef", "b/5.dcm", "b/6.mov")
    assert labels(found) == {
        "a/1.png": "a",
        **dict.fromkeys(("b/2.HEIC", "b/3.jxl", "b/4.nef", "b/5.dcm"), "b"),
    }
    for entry, wanted in zip(found.entries[1:], ("HEIC", "JPEG XL", "raw", "DICOM"), strict=True):
        with pytest.raises(ValueError, match=f"{wanted}.*undrift cannot read"):
            entry.read()
    assert found.ignored == {".mov": 1}


def test_raw_files_beside_their_jpegs_are_no_loss(read: Read) -> None:
    found = read("DSC1.JPG", "DSC1.ARW", "IMG2.heic", "IMG2.jpg")
    assert labels(found) == {"DSC1.JPG": None, "IMG2.jpg": None}
    assert found.ignored == {
        ".arw beside a copy that is read": 1,
        ".heic beside a copy that is read": 1,
    }


def test_a_folder_of_one_unread_format_says_so(tmp_path: Path) -> None:
    for i in range(40):
        (tmp_path / f"IMG_{i:02d}.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(
        DataError, match=r"none of 40 images .*IMG_00\.HEIC and 39 more: HEIC, .*convert them"
    ):
        load(tmp_path)


@pytest.mark.parametrize(
    ("start", "wanted"),
    [
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (bytes(128) + b"DICM", "DICOM"),
    ],
)
def test_the_content_says_so_too(tmp_path: Path, start: bytes, wanted: str) -> None:
    """Phones and messengers call anything .jpg."""
    (tmp_path / "1.jpg").write_bytes(start + bytes(500))
    with pytest.raises(DataError, match=f"{wanted}, which undrift cannot read"):
        load(tmp_path)


def test_a_folder_without_images_says_what_it_holds(read: Read) -> None:
    with pytest.raises(DataError, match=r"no images in .*: it holds 2 \.mov, 1 \.txt"):
        read("1.mov", "2.mov", "notes.txt")


KINDS = "file_name,text,kind,old\n1.png,an ant,ant,true\n2.png,a bee,bee,false\n"


def test_another_column_can_hold_the_labels(read: Read) -> None:
    found = read("1.png", "2.png", also={"metadata.csv": KINDS}, columns=Columns("kind"))
    assert labels(found) == {"1.png": "ant", "2.png": "bee"}


def test_columns_that_are_not_read_are_mentioned(read: Read) -> None:
    found = read("1.png", "2.png", also={"metadata.csv": KINDS})
    assert labels(found) == {"1.png": None, "2.png": None}
    assert "label_column takes another one: kind, old" in found.notes[0]


def test_a_column_of_booleans_has_two_classes(read: Read) -> None:
    lines = rows({"file_name": "1.png", "old": True}, {"file_name": "2.png", "old": False})
    found = read("1.png", "2.png", also={"metadata.jsonl": lines}, columns=Columns("old"))
    assert labels(found) == {"1.png": "true", "2.png": "false"}


def test_a_column_that_is_not_there_is_an_error(read: Read) -> None:
    with pytest.raises(DataError, match=r"no column 'kin': it has file_name, text, kind, old"):
        read("1.png", "2.png", also={"metadata.csv": KINDS}, columns=Columns("kin"))


def test_a_column_without_metadata_is_an_error(read: Read) -> None:
    with pytest.raises(UsageError, match=r"label_column 'kind': .* has no metadata"):
        read("a/1.png", "b/2.png", columns=Columns("kind"))


def test_a_column_twice_is_an_error(read: Read) -> None:
    with pytest.raises(DataError, match="two columns of one name"):
        read("1.png", also={"metadata.csv": "file_name,label,label\n1.png,a,b\n"})


def test_data_without_columns_refuse_a_label_column() -> None:
    with pytest.raises(UsageError, match="digits has no columns"):
        load("digits", label_column="kind")


@pytest.mark.parametrize("home", ["~nobody-of-this-name/x", "x" * 300])
def test_names_that_no_file_can_have_are_an_error(home: str) -> None:
    with pytest.raises(DataError):
        load(home)


def captions(files: Files) -> dict[str, tuple[str, ...]]:
    return {entry.name: entry.captions for entry in files.entries}


def test_several_columns_and_lists_are_several_captions(read: Read) -> None:
    lines = rows(
        {"file_name": "1.png", "text": ["an ant", "  ", "an ant"], "name": "ant", "size": 3},
        {"file_name": "2.png", "text": None, "name": "bee", "size": 4},
    )
    found = read("1.png", "2.png", also={"metadata.jsonl": lines})
    assert captions(found) == {"1.png": ("an ant",), "2.png": ()}
    asked = Columns(captions=("name", "text"))
    found = read("1.png", "2.png", also={"metadata.jsonl": lines}, columns=asked)
    assert captions(found) == {"1.png": ("ant", "an ant"), "2.png": ("bee",)}
    with pytest.raises(DataError, match=r"line 1: size must be text or a list of texts, not 3"):
        asked = Columns(captions=("size",))
        read("1.png", "2.png", also={"metadata.jsonl": lines}, columns=asked)
    with pytest.raises(DataError, match="no column 'title': it has file_name, text, name, size"):
        asked = Columns(captions=("title",))
        read("1.png", "2.png", also={"metadata.jsonl": lines}, columns=asked)


def test_text_files_beside_the_images_are_captions_if_asked_for(read: Read) -> None:
    texts = {"a/1.txt": "\ufeffone ant\r\n\nan ant, up close\n", "notes.txt": "not a caption"}
    assert captions(read("a/1.png", "a/2.jpg", also=texts)) == {"a/1.png": (), "a/2.jpg": ()}
    found = read("a/1.png", "a/2.jpg", also=texts, columns=Columns(captions=(".txt",)))
    assert captions(found) == {"a/1.png": ("one ant", "an ant, up close"), "a/2.jpg": ()}
    assert found.ignored == {".txt": 1}
    texts["a/2.txt"] = b"\xff\xfe"
    with pytest.raises(DataError, match=r"a/2\.txt is not UTF-8 text"):
        read("a/1.png", "a/2.jpg", also=texts, columns=Columns(captions=(".txt",)))


def test_a_long_text_file_is_cut_and_counted(read: Read) -> None:
    asked = Columns(captions=(".txt",))
    found = read("1.png", also={"1.txt": "x" * 10_000}, columns=asked)
    assert captions(found) == {"1.png": ("x" * 4096,)}
    assert found.warnings == ("1 caption cut to 4,096 characters",)


def test_a_caption_column_needs_metadata(read: Read) -> None:
    for asked in (("text",), (".txt", "text")):
        with pytest.raises(UsageError, match=r"caption_column '.*text': .* has no metadata"):
            read("1.png", columns=Columns(captions=asked))
    with pytest.raises(UsageError, match=r"caption_column '\.txt': digits has no columns"):
        load("digits", caption_column=".txt")
    with pytest.raises(UsageError, match="different names, separated by commas"):
        load("digits", caption_column="text,,name")
