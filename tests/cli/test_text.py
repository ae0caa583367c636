"""``--text``: captions, in inspect, train, its resume and sample."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.conditioning.text import frozen
from tests.data import zoo

import undrift
from undrift.cli.dispatch import main
from undrift.conditioning.text import pretrained
from undrift.errors import DataError, ModelFileError, UsageError
from undrift.runs.configuration import load
from undrift.runs.images import load_own

WORDS = (
    "train photos --text --steps 2 --network mlp --batch-size 4 --threads 1 --caption-column a,b"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """photos/ with captions in two columns, and a run that learned them."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "photos").mkdir()
    rows = []
    for i in range(12):
        (folder / "photos" / f"{i}.png").write_bytes(zoo.png(zoo.picture(1, i)[:8, :8], 8, 0))
        (folder / "photos" / f"{i}.txt").write_text(f"file {i}")
        names = {"file_name": f"{i}.png", "a": f"an ant of {i}", "b": ["two ants", ""]}
        rows.append(json.dumps(names if i else {"file_name": "0.png", "a": None, "b": None}))
    (folder / "photos" / "metadata.jsonl").write_text("\n".join(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*WORDS.split(), "--out", "run", "--bare", "--quiet"]) == 0
    return folder


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_inspect_counts_captions_and_hands_the_flags_on(capsys: pytest.CaptureFixture) -> None:
    assert main("inspect photos --caption-column a,b".split()) == 0
    printed = capsys.readouterr().out
    assert "captions     12 distinct captions of 11 images, of" in printed
    assert "11 images with captions, 1 without" in printed
    following = printed.splitlines()[-1].removeprefix("next: undrift train photos ")
    assert following in ("--caption-column a,b --text", "--text --caption-column a,b")


def test_a_run_stores_its_vocabulary_and_reads_its_captions_again() -> None:
    config = load("run/config.yaml")
    assert config.data.caption_column == "a,b" and config.model.label_dropout == 0.1
    spec = config.model.spec.text
    assert spec is not None and spec.encode(["an ant"])[0] < [1_000]
    assert spec.length == max(len(tokens) for tokens in spec.encode(["an ant of 11", "two ants"]))
    captions = load_own(config.data, Path("run")).captions
    assert captions is not None and ("an ant of 3", "two ants") in captions


def test_the_same_command_finds_its_run(capsys: pytest.CaptureFixture) -> None:
    assert main([*WORDS.split(), "--out", "run"]) == 0
    assert "is finished; nothing to do" in capsys.readouterr().out


def test_a_frozen_text_encoder_is_named_and_not_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    model, run = frozen.bert(tmp_path / "bert"), str(tmp_path / "run")
    words = [*WORDS.split(), "--bare", "--out", run, "--text-encoder"]
    assert main([*words, str(model)]) == 0
    assert f"encoding 22 captions with {model}" in capsys.readouterr().out
    pipeline = undrift.load(run)
    assert pipeline.spec.text is not None and pipeline.spec.text.tokens == 0
    assert not any("attention.self" in name for name in pipeline.state_dict())
    first, other = pipeline(2, prompts=["an ant", "two ants"], labels=None, seed=0, steps=2).images
    alone = pipeline(1, prompts="an ant", seed=0, steps=2).images[0]
    assert abs(first.astype(int) - alone).max() <= 1 and (first != other).any()
    longer = " ".join([*words, str(model)]).replace("--steps 2", "--steps 3 --extend")
    assert main([*longer.split(), "--quiet"]) == 0
    frozen.bert(model, seed=1)
    pretrained._fingerprint.cache_clear()
    pretrained._opened.cache_clear()
    capsys.readouterr()
    assert main(["sample", run, "--prompt", "an ant", "--steps", "2"]) == 4
    assert "has changed since this model was trained" in capsys.readouterr().err
    assert main(["sample", run, "-n", "1", "--steps", "2", "--quiet"]) == 0


def test_without_the_flag_captions_are_not_learned(tmp_path: Path) -> None:
    made = undrift.train("photos", steps=1, out=tmp_path / "x", network="mlp", bare=True)
    assert load(made.directory / "config.yaml").model.spec.text is None


def test_text_files_beside_the_images_are_learned(tmp_path: Path) -> None:
    made = undrift.train(
        *("photos",),
        **{"text": True, "caption_column": ".txt", "steps": 1, "network": "mlp", "bare": True},
        out=tmp_path / "x",
    )
    spec = load(made.directory / "config.yaml").model.spec.text
    assert spec is not None and spec.encode(["file"])[0][0] >= 256


def test_sample_draws_prompts_from_flags_and_files(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("an ant\n\n  two ants\n", encoding="utf-8")
    for words in (["--prompt", "an ant", "two ants"], ["--prompts", str(tmp_path / "prompts.txt")]):
        out = tmp_path / words[0]
        call = ["sample", "run", "-n", "3", "--steps", "2", "--guidance", "3", "--negative", "file"]
        assert main([*call, *words, "--out", str(out), "--quiet"]) == 0
        record = json.loads((out / "samples.json").read_text())
        assert [image["prompt"] for image in record["images"]] == ["an ant", "two ants", "an ant"]
        assert record["settings"]["prompts"] == ["an ant", "two ants"]
        assert record["settings"]["negative"] == "file"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prompt", "x", "--prompts", "y"], "exclude each other"),
        (["--prompts", "missing.txt"], "missing.txt is missing"),
        (["--prompts", "photos/0.png"], "not UTF-8 text"),
        (["--prompts", "empty.txt"], "no line has a prompt"),
        (["--prompt"], "--prompt: wanted one text"),
    ],
)
def test_prompts_that_cannot_be_had_are_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    Path("empty.txt").write_text("\n \n")
    assert main(["sample", "run", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"text": True}, DataError, "^text: no image of photos has a caption"),
        (
            {"caption_column": "a"},
            UsageError,
            "caption_column: captions are learned with text; give both",
        ),
        (
            {"text_encoder": "x"},
            UsageError,
            "text_encoder: captions are learned with text; give both",
        ),
        (
            {"text": True, "caption_column": "a", "text_encoder": "./none"},
            ModelFileError,
            "./none: the text encoder is not there",
        ),
        ({"text": True, "caption_column": "c"}, DataError, "no column 'c'"),
    ],
)
def test_captions_that_cannot_be_learned_are_refused(
    settings: dict, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        undrift.train("photos", steps=1, out=tmp_path / "x", **settings)
    assert not (tmp_path / "x").exists()


def test_a_prompt_for_a_gan_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = "train photos --method dcgan --steps 1 --bare --quiet --threads 1 --out".split()
    assert main([*words, str(tmp_path / "gan")]) == 0
    assert main(["sample", str(tmp_path / "gan"), "--prompt", "an ant"]) == 2
    assert "prompt 'an ant': this model takes none" in capsys.readouterr().err


def test_captions_beyond_the_length_are_cut_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for i in range(6):
        (tmp_path / f"{i}.png").write_bytes(zoo.png(zoo.picture(1, i)[:8, :8], 8, 0))
        (tmp_path / f"{i}.txt").write_text(("x y z " * 2_000)[:10_000] if i == 3 else "an ant")
    words = "--text --caption-column .txt --steps 1 --network mlp --bare --threads 1".split()
    assert main(["train", str(tmp_path), *words, "--out", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().out
    assert "1 caption cut to 4,096 characters" in printed
    assert "1 caption of more than 64 tokens: only these are read" in printed
