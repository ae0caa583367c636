"""``undrift sample``: what it writes, and what it refuses, on a small untrained pipeline."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from undrift.cli.dispatch import main
from undrift.codec import IdentityConfig, build_codec
from undrift.conditioning import ConditionEncoder, ConditionSpec
from undrift.diffusion import VE, Denoiser, edm
from undrift.networks import MLPConfig, build_network
from undrift.pipelines import DiffusionPipeline, SampleSpec

CLASSES = ("cat", "dog", "red, fox")


def save(folder, classes):
    torch.manual_seed(0)
    encoder = ConditionEncoder(ConditionSpec(classes=len(classes)), 16)
    config = MLPConfig(width=16, blocks=1)
    network = build_network(config, channels=3, size=(4, 4), context=encoder.context_spec)
    for weight in network.parameters():  # outputs start at zero: without this, labels say nothing
        torch.nn.init.normal_(weight, std=0.2)
    spec = SampleSpec(
        image_shape=(3, 4, 4),
        class_names=classes,
        class_frequencies=(0.5, 0.25, 0.25) if classes else (),
    )
    denoiser = Denoiser(network, VE(), edm(0.5))
    pipeline = DiffusionPipeline(
        denoiser, encoder, build_codec(IdentityConfig()), spec, network_config=config
    )
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    return save(tmp_path_factory.mktemp("models") / "labelled", CLASSES)


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    return save(tmp_path_factory.mktemp("models") / "unlabelled", ())


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def draw(*words):
    assert main(["sample", *(str(word) for word in words)]) == 0


def refused(capsys, code, pattern, *words):
    assert main(["sample", *(str(word) for word in words)]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("undrift: ") and pattern in line, line


def labels_of(folder):
    record = json.loads((folder / "samples.json").read_text())
    return [entry["class"] for entry in record["images"]]


def test_it_writes_pictures_a_grid_and_a_record(labelled, folder, capsys):
    draw(labelled, "-n", 3, "--steps", 2, "--out", "a b", "--npz", "all.npz")
    out = folder / "a b"
    names = {path.name for path in out.iterdir()}
    assert names == {"000000.png", "000001.png", "000002.png", "grid.png", "samples.json"}
    record = json.loads((out / "samples.json").read_text())
    assert record["nfe"] == 2 and record["seconds"] > 0
    assert record["settings"]["steps"] == 2 and record["settings"]["sampler"] == "dpmpp_2m"
    assert record["command"].startswith("undrift sample ") and "--out 'a b'" in record["command"]
    arrays = np.load(folder / "all.npz")
    assert arrays["images"].shape == (3, 4, 4, 3) and arrays["images"].dtype == np.uint8
    assert arrays["labels"].shape == (3,) and arrays["labels"].dtype == np.int64
    for i in range(3):
        picture = Image.open(out / f"00000{i}.png")
        assert np.array_equal(np.asarray(picture), arrays["images"][i])
        assert json.loads(picture.text["settings"])["seed"] == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("next: undrift sample ")
    assert not any("\x1b" in line for line in lines)


def test_the_defaults_are_those_of_the_contract(labelled, folder):
    shutil.copytree(labelled, folder / "model")
    draw("model")
    record = json.loads((folder / "samples" / "0-16" / "samples.json").read_text())
    settings = record["settings"]
    assert (settings["n"], settings["seed"], settings["steps"]) == (16, 0, 20)
    assert (settings["sampler"], settings["guidance"]) == ("dpmpp_2m", 1.0)
    assert record["nfe"] == 20


def test_samples_lie_beside_a_pipeline_and_never_in_it(labelled, folder, monkeypatch):
    model = shutil.copytree(labelled, folder / "run" / "pipeline")
    before = {path.name for path in model.iterdir()}
    draw("run/pipeline", "-n", 1)  # not in a run
    assert (folder / "samples" / "0-1" / "samples.json").exists()
    (folder / "run" / "config.yaml").write_text("")
    draw("run/pipeline", "-n", 1)
    assert (folder / "run" / "samples" / "0-1" / "samples.json").exists()
    monkeypatch.chdir(model)
    draw(".", "-n", 1, "--seed", 2)
    assert (folder / "run" / "samples" / "2-1" / "samples.json").exists()
    assert {path.name for path in model.iterdir()} == before


def test_an_npz_may_lie_among_the_samples(labelled, folder):
    draw(labelled, "-n", 1, "--steps", 1, "--out", "new/x", "--npz", "new/x/all.npz")
    assert (folder / "new" / "x" / "all.npz").exists()


def test_the_command_in_the_record_repeats_the_images(labelled, folder):
    import shlex

    draw(labelled, "-n", 2, "--steps", 3, "--seed", 5, "--npz", "one.npz", "--out", "one")
    command = json.loads((folder / "one" / "samples.json").read_text())["command"]
    words = shlex.split(command.replace("one.npz", "two.npz").replace("--out one", "--out two"))
    assert words[0] == "undrift"
    assert main(words[1:]) == 0
    one, two = np.load("one.npz"), np.load("two.npz")
    assert np.array_equal(one["images"], two["images"])
    assert np.array_equal(one["labels"], two["labels"])


def test_the_first_four_of_eight_are_those_of_four(labelled):
    draw(labelled, "-n", 8, "--steps", 3, "--out", "eight", "--npz", "8.npz", "--batch-size", 3)
    draw(labelled, "-n", 4, "--steps", 3, "--out", "four", "--npz", "4.npz")
    eight, four = np.load("8.npz"), np.load("4.npz")
    assert np.array_equal(eight["labels"][:4], four["labels"])
    assert np.abs(eight["images"][:4].astype(int) - four["images"]).max() <= 1
    draw(labelled, "-n", 4, "--steps", 3, "--out", "other", "--npz", "o.npz", "--seed", 1)
    assert np.abs(np.load("o.npz")["images"].astype(int) - four["images"]).max() > 1


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["cat"], ["cat"] * 4),
        (["dog", "cat"], ["dog", "cat", "dog", "cat"]),
        (["dog,cat"], ["dog", "cat", "dog", "cat"]),
        (["red, fox", "cat"], ["red, fox", "cat", "red, fox", "cat"]),
        (["1", "0"], ["dog", "cat", "dog", "cat"]),
        (["all"], ["cat", "dog", "red, fox", "cat"]),
    ],
)
def test_labels_are_names_or_indices_in_turn(labelled, folder, words, wanted):
    draw(labelled, "-n", 4, "--steps", 1, "--out", "out", "--labels", *words)
    assert labels_of(folder / "out") == wanted


def test_without_labels_they_follow_the_training_frequencies(labelled, folder):
    draw(labelled, "-n", 400, "--steps", 1, "--out", "out")
    share = np.mean([label == "cat" for label in labels_of(folder / "out")])
    assert abs(share - 0.5) < 4 * (0.5 * 0.5 / 400) ** 0.5


def test_guidance_costs_two_evaluations_and_changes_images(labelled, folder):
    common = [labelled, "-n", 2, "--steps", 3, "--labels", "cat"]
    draw(*common, "--out", "one", "--npz", "one.npz")
    draw(*common, "--out", "two", "--npz", "two.npz", "--guidance", 4)
    record = json.loads((folder / "two" / "samples.json").read_text())
    assert record["nfe"] == 6
    assert not np.array_equal(np.load("one.npz")["images"], np.load("two.npz")["images"])


def test_what_a_model_can_not_do_is_refused(labelled, unlabelled, capsys):
    refused(capsys, 2, "'cta'", labelled, "--labels", "cta", "--out", "x")
    refused(capsys, 2, "label 3:", labelled, "--labels", "3", "--out", "x")
    refused(capsys, 2, "no classes", unlabelled, "--labels", "cat", "--out", "x")
    refused(capsys, 2, "'dpm9'", labelled, "--sampler", "dpm9", "--out", "x")
    refused(capsys, 2, "--ema", labelled, "--ema", 0.05, "--out", "x")
    refused(capsys, 2, "is a folder", labelled, "--npz", ".", "--out", "x")
    if not torch.cuda.is_available():
        refused(capsys, 2, "--device cuda", labelled, "--device", "cuda", "--out", "x")


def test_an_adaptive_sampler_reports_what_each_image_took(labelled, folder, capsys):
    words = [labelled, "-n", 3, "--sampler", "dpm_adaptive", "--tolerance", 0.05]
    draw(*words, "--out", "x", "--batch-size", 2)
    record = json.loads((folder / "x" / "samples.json").read_text())
    costs = [entry["nfe"] for entry in record["images"]]
    assert record["nfe_of_images"] == {"mean": np.mean(costs), "max": max(costs)}
    assert min(costs) >= 3 and record["nfe"] >= np.mean(costs)
    assert record["settings"]["sampler"] == "dpmpp_adaptive"
    assert record["settings"]["tolerance"] == 0.05
    assert f"on average, at most {max(costs):g}" in capsys.readouterr().out


def test_a_threshold_and_an_analytic_first_step_are_recorded(labelled, folder):
    words = [labelled, "-n", 2, "--steps", 3, "--guidance", 5, "--labels", "cat"]
    draw(*words, "--out", "x", "--threshold", "dynamic:0.9", "--analytic-first-step")
    record = json.loads((folder / "x" / "samples.json").read_text())
    assert record["nfe"] == 4  # of six
    assert record["settings"]["threshold"] == "dynamic:0.9"
    assert record["settings"]["analytic_first_step"] is True


def test_settings_that_exclude_each_other_are_refused(labelled, folder, capsys):
    for pattern, *words in (
        ("leave steps out", "--sampler", "dopri5", "--steps", 5),
        ("leave grid out", "--sampler", "dopri5", "--grid", "karras"),
        ("leave trajectory out", "--sampler", "dopri5", "--trajectory"),
        ("above 0", "--sampler", "dopri5", "--tolerance", 0),
        ("--tolerance nan", "--sampler", "dopri5", "--tolerance", "nan"),
        ("name one of dopri5", "--tolerance", 0.01),
        ("analytic first step", "--sampler", "dopri5", "--analytic-first-step"),
        ("1 step", "--steps", 1, "--analytic-first-step"),
        ("choose static", "--threshold", "soft"),
    ):
        refused(capsys, 2, pattern, labelled, *words, "--out", "x")
    assert not (folder / "x").exists()


def test_samples_of_the_same_name_are_refused(labelled, folder, capsys):
    draw(labelled, "-n", 1, "--steps", 1, "--out", "x", "--quiet")
    before = (folder / "x" / "samples.json").read_bytes()
    refused(capsys, 2, "samples.json", labelled, "-n", 1, "--seed", 1, "--out", "x")
    assert (folder / "x" / "samples.json").read_bytes() == before


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "MANIFEST.json"])
def test_a_damaged_pipeline_is_4(labelled, folder, capsys, name):
    for damage in ("flip", "cut", "remove"):
        model = shutil.copytree(labelled, folder / damage)
        data = bytearray((model / name).read_bytes())
        data[len(data) // 2] ^= 1
        (model / name).write_bytes(data if damage == "flip" else data[: len(data) // 2])
        if damage == "remove":
            (model / name).unlink()
        refused(capsys, 4, damage, model, "--out", "x")
    assert not (folder / "x").exists()


def test_quiet_prints_nothing(labelled, capsys):
    draw(labelled, "-n", 1, "--steps", 1, "--out", "x", "--quiet")
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err == ""


def test_a_real_process_says_it_plainly(labelled, folder, capsys):
    words = ["sample", str(labelled), "-n", "2", "--steps", "1", "--out", "x" * 90]
    done = subprocess.run([sys.executable, "-m", "undrift", *words], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    assert f"wrote {'x' * 90}/grid.png" in done.stdout.splitlines()
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1


def test_guidance_by_a_weak_model_in_an_interval(labelled, tmp_path, capsys):
    weak = tmp_path / "weak@0.5"  # a folder of that name is no share of training
    shutil.copytree(labelled, weak)
    words = f"{labelled} -n 2 --steps 3 --guidance 2 --quiet".split()
    extra = f"--guide-with {weak} --guidance-interval 0.1 50 --guidance-rescale 0.3".split()
    assert main(["sample", *words, *extra, "--out", str(tmp_path / "a")]) == 0
    found = json.loads((tmp_path / "a" / "samples.json").read_text())["settings"]
    assert found["guidance_interval"] == [0.1, 50.0] and found["guidance_rescale"] == 0.3
    assert len(found["guide_with"]) == 16
    for flags, message in [
        ("--guide-with nowhere", "no such run"),
        (f"--guide-with {labelled}@0.5", "at 0.5 needs a run"),
        ("--guidance-interval", "--guidance-interval: wanted two noise levels"),
        ("--guidance-interval 3", "--guidance-interval: wanted two noise levels"),
        ("--guidance-interval 3 1", "lower one first"),
    ]:
        assert main(["sample", *words, *flags.split(), "--out", str(tmp_path / "b")]) in (2, 4)
        assert message in capsys.readouterr().err
