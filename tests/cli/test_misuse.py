"""Ways to hold it wrong: each gives one line that says what to do, its exit code, and no output."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from undrift.cli.dispatch import main


def fails(capsys, words, code, pattern):
    """``words`` end with ``code``, one stderr line that matches, and nothing on stdout."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == code
    printed = capsys.readouterr()
    lines = printed.err.splitlines()
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("undrift: ")
    assert re.search(pattern, lines[0]), lines[0]
    return printed.out


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        ("train", "needs DATA.*undrift train digits"),
        ("train digits --budget 5s --steps 3", "--budget and --steps exclude each other"),
        ("train digits --images 9 --steps 3", "--images and --steps exclude each other"),
        ("train digits --budget soon", "--budget soon: .*60s"),
        ("train digits --budget 0s", "--budget 0s: "),
        (f"train digits --budget {'9' * 400}h", r"--budget 9+ \.\.\. 9+h: .*1000h at most"),
        ("train digits --steps 2000000000", "--steps 2000000000: .*1,000,000,000"),
        (f"train digits --steps {'9' * 400}", "--steps a number of about 400 digits: "),
        ("train digits --batch-size 100000000", "--batch-size 100000000: .*at most 1,000,000"),
        (f"train digits --parameters {'9' * 400}", "--parameters 9+ ... 9+: "),
        ("train digits --evaluate-samples 9999999999", "--evaluate-samples .*1,000,000"),
        ("evaluate r --n 999999999999", "--n 999999999999: .*at most 10,000,000"),
        ("compare digits --out o --seeds 999999", "--seeds 999999: .*at most 1,000"),
        ("likelihood r --chain 1000000000000000000000000000000", "--chain 10*: .*below 2.63"),
        ("train --config /dev/zero", r"/dev/zero cannot be read \(not a regular file\)"),
        (f"train --config {'a' * 300}", "File name too long"),
        ("train digits --steps 0", "--steps 0: .*at least 1"),
        ("train digits --images -5", "--images -5: .*at least 1"),
        ("train digits --batch-size -1", "--batch-size -1: .*at least 1"),
        ("train digits --lr nan", "--lr nan: .*finite"),
        ("train digits --lr 0", "--lr 0.0: .*positive"),
        ("train digits --holdout 1", "--holdout 1.*below 1"),
        ("train digits --holdout nan", "--holdout nan: "),
        ("train digits --label-dropout 1.5", "--label-dropout 1.5: .*0 to 1"),
        ("train digits --background red", "--background red: .*#ffffff"),
        ("train digits --seed -1", "--seed -1: "),
        ("train digits --size 0", "--size 0: "),
        ("train digits --print-config --dry-run", "--print-config and --dry-run exclude"),
        ("train --config c.yaml --steps 3", "--config and --steps exclude each other"),
        ("train digits --config c.yaml", "--config and DATA exclude each other"),
        ("train --config absent.yaml --out x", "absent.yaml"),
        ("sample r -n 0", "-n 0: .*at least 1"),
        ("sample r --steps 0", "--steps 0: .*at least 1"),
        ("sample r --guidance nan", "--guidance nan: .*finite"),
        ("sample r --guidance inf", "--guidance inf: .*finite"),
        ("sample r --seed -3", "--seed -3: "),
        ("sample r --batch-size 0", "--batch-size 0: "),
        ("sample r --ema 0", "--ema 0.0: "),
        ("sample r --ema nan", "--ema nan: "),
        ("sample r --ema 0.05 --weights raw", "--ema and --weights raw exclude each other"),
        ("inspect digits --holdout 1", "--holdout 1.0: "),
        ("inspect digits --size -4", "--size -4: "),
        ("sample r --labels", "--labels: wanted one name"),
        ("sample r --labels -n 4", "--labels: wanted one name"),
        ("demo --steps 0", "--steps 0: "),
        ("demo --steps 1 --budget 5m", "--budget and --steps exclude each other"),
        ("demo --steps 1 --budget 60s", "--budget and --steps exclude each other"),
        ("demo --budget never", "--budget never: "),
        ("runs shw", "'shw': unknown; did you mean 'show'"),
        ("dmeo", "unknown command 'dmeo'; did you mean 'demo'"),
    ],
)
def test_usage(words, pattern, capsys):
    assert fails(capsys, words.split(), 2, pattern) == ""


def test_a_prompt_in_place_of_a_path(capsys):
    fails(capsys, ["train", "a sword"], 3, "'a sword': .*not from a prompt.*a folder")
    fails(capsys, ["sample", "a sword"], 4, "a sword: .*--labels NAME, not from a prompt")


LONG = "d/" * 3000


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (f"train {LONG}", 3),
        (f"train --resume {LONG}", 4),
        (f"train digits --steps 1 --init {LONG}", 4),
        (f"train --config {LONG}", 2),
        (f"inspect {LONG}", 3),
        (f"sample {LONG}", 4),
        (f"inpaint {LONG} --mask left", 4),
        (f"evaluate {LONG} --reference a.npz", 4),
        (f"evaluate a.npz --reference {LONG} --n 10", 3),
        (f"evaluate a.npz --reference a.npz --against {LONG}", 4),
        (f"likelihood {LONG}", 4),
        (f"curve {LONG}", 4),
        (f"tune-sampler {LONG}", 4),
        (f"runs show {LONG}", 4),
        (f"runs rm {LONG} --yes", 4),
    ],
    ids=lambda words: str(words).replace(LONG, "LONG"),
)
def test_a_path_longer_than_any_can_be(words, code, folder, capsys):
    np.savez(folder / "a.npz", images=np.random.default_rng(0).integers(0, 256, (20, 8, 8), "u1"))
    fails(capsys, words.split(), code, "d/d/d/")


@pytest.mark.parametrize("verb", ["train", "inspect"])
def test_data_that_is_not_there(verb, capsys):
    fails(capsys, [verb, "nowhere"], 3, "nowhere")


@pytest.mark.parametrize("verb", ["train", "inspect"])
def test_data_without_an_image(verb, folder, capsys):
    (folder / "empty").mkdir()
    fails(capsys, [verb, "empty"], 3, "empty")


def test_data_that_is_mostly_broken(folder, capsys):
    (folder / "broken").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "broken" / "0.png")
    for i in range(1, 4):
        (folder / "broken" / f"{i}.png").write_bytes(b"")
    fails(capsys, ["train", "broken", "--steps", 1], 3, "3 of 4 .*limit")


def run_of_no_steps(folder):
    """What is known as a run before any of its files is read."""
    (folder / "r").mkdir()
    (folder / "r" / "config.yaml").write_text("")


def test_out_that_is_a_file(folder, capsys):
    run_of_no_steps(folder)
    (folder / "file").write_text("")
    for out in ("file", "file/below"):
        fails(capsys, ["train", "digits", "--steps", 1, "--out", out], 2, f"--out {out}")
        fails(capsys, ["inspect", "digits", "--out", out], 2, f"--out {out}")
        fails(capsys, ["sample", "r", "--out", out], 2, f"--out {out}")
    assert (folder / "file").read_text() == ""


def test_out_that_holds_something_else(folder, capsys):
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.tex").write_text("words")
    fails(capsys, ["train", "digits", "--steps", 1, "--out", "mine"], 2, "thesis.tex.*not a run")
    assert [path.name for path in (folder / "mine").iterdir()] == ["thesis.tex"]


def test_samples_are_never_overwritten(folder, capsys):
    run_of_no_steps(folder)
    (folder / "drawn").mkdir()
    (folder / "drawn" / "samples.json").write_text("{}")
    fails(capsys, ["sample", "r", "--out", "drawn"], 2, "--out drawn: .*samples.json already")
    assert (folder / "drawn" / "samples.json").read_text() == "{}"


@pytest.mark.parametrize("words", ["sample absent", "runs show absent", "sample runs/latest"])
def test_a_run_that_is_not_there(words, capsys):
    fails(capsys, words.split(), 4, words.split()[-1])


@pytest.mark.parametrize("out", [[], ["--out", "file/below"], ["--out", "drawn"]])
def test_what_to_sample_is_looked_at_before_where_to_write(folder, capsys, out):
    (folder / "file").write_text("")
    (folder / "drawn").mkdir()
    (folder / "drawn" / "samples.json").write_text("{}")
    run_of_no_steps(folder)
    fails(capsys, ["sample", "r/config.yaml", *out], 4, "r/config.yaml: a file, not a run")
    fails(capsys, ["sample", folder / "nope", *out], 4, "nope: no such run")


def test_an_npz_in_no_folder_writes_nothing(folder, capsys):
    run_of_no_steps(folder)
    words = ["sample", "r", "--out", "drawn", "--npz", "nodir/x.npz"]
    fails(capsys, words, 2, "--npz nodir/x.npz: there is no folder nodir")
    assert {path.name for path in folder.iterdir()} == {"r"}


def damaged_runs(folder):
    """Runs of which one file each is not what it should be; name of the run -> that file."""
    damage = {
        "status.json": ["", "[]", "null", '{"step": 3}', '{"state": 5}', '{"heartbeat": "now"}'],
        "metrics.jsonl": ["}\n", "3\n", '{"event": "train"}\n', '{"event": "x", "time": "y"}\n'],
        "evaluation/first.json": ["", "[]", '{"metrics": {"fd": {"name": "fd"}}}'],
    }
    found = {}
    for file, texts in damage.items():
        for text in [*(text.encode() for text in texts), b"\xff\xfe\n"]:
            run = folder / "runs" / f"run-{len(found):02d}"
            (run / file).parent.mkdir(parents=True)
            (run / "config.yaml").write_text("")
            (run / file).write_bytes(text)
            found[run.name] = file
    return found


def test_damaged_runs(folder, capsys):
    damaged = damaged_runs(folder)
    (folder / "runs" / "sound").mkdir()
    (folder / "runs" / "sound" / "config.yaml").write_text("")
    assert main(["runs", "list"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    states = {line.split()[0]: line.split()[1] for line in printed.out.splitlines()[1:-1]}
    assert states.pop("runs/sound") == "not"  # started
    for name, file in damaged.items():
        assert (states[f"runs/{name}"] == "damaged") == (file != "evaluation/first.json")
        shown = fails(capsys, ["runs", "show", f"runs/{name}"], 4, f"runs/{name}/{file}:? ")
        assert shown == ""


def test_a_folder_that_is_no_run(folder, capsys):
    (folder / "plain").mkdir()
    fails(capsys, ["sample", "plain"], 4, "plain")
    fails(capsys, ["runs", "show", "plain"], 4, "plain: not a run")


def test_weights_to_start_from_that_are_not_there(capsys):
    fails(capsys, ["train", "digits", "--steps", 1, "--init", "absent"], 4, "absent")
