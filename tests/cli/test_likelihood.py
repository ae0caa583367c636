"""``undrift likelihood``: results, files, and what it refuses."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import torch
from tests.pipelines.models import CLASSES, small
from tests.pipelines.test_gan import pipeline as gan

import undrift
from undrift.cli.dispatch import main
from undrift.errors import UsageError
from undrift.files.ownership import written_by_undrift
from undrift.pipelines import Pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("likelihood")
    torch.manual_seed(0)
    small(kind="edm").save_pretrained(made / "model")
    small(classes=()).save_pretrained(made / "plain")
    gan().save_pretrained(made / "gan")
    noise = np.random.default_rng(0)
    images = noise.integers(0, 256, (40, 6, 5, 1)).astype(np.uint8)
    labels = np.arange(40) % 3
    np.savez(made / "data.npz", images=images, labels=labels, class_names=np.array(CLASSES))
    np.savez(made / "samples.npz", images=images)
    return made


@pytest.fixture(autouse=True)
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("UNDRIFT_CACHE", str(folder / "cache"))


QUICK = ["--points", "3", "-n", "6"]


def test_both_methods_with_their_gap_and_a_score_per_image(tmp_path, capsys):
    out, rows = tmp_path / "out.json", tmp_path / "rows.csv"
    words = ["likelihood", "model", "data.npz", "--method", "both", *QUICK]
    assert main([*words, "--out", str(out), "--per-image", str(rows)]) == 0
    assert written_by_undrift(out) and written_by_undrift(rows)
    printed = capsys.readouterr().out
    assert "data.npz: 6 of 40 images, given their label" in printed
    assert "values: 256 levels, from the values that occur in data.npz" in printed
    assert printed.rstrip().splitlines()[-1].startswith("next: undrift likelihood model")
    found = json.loads(out.read_text())
    elbo, ode = found["methods"]["elbo"], found["methods"]["ode"]
    assert elbo["nfe"] == 3 and elbo["n"] == 6 and elbo["dimensions"] == 30
    assert ode["nfe"] == 8 and ode["backward_passes"] == 30 * 8
    assert "exact trace" in ode["protocol"] and "given the label" in elbo["protocol"]
    assert all(found["methods"][name]["protocol"].endswith("; float32") for name in ("elbo", "ode"))
    assert sum(elbo["terms"].values()) == pytest.approx(elbo["bits_per_dim"])
    assert elbo["low"] < elbo["bits_per_dim"] < elbo["high"]
    assert found["gap"]["value"] == pytest.approx(ode["bits_per_dim"] - elbo["bits_per_dim"])
    table = list(csv.DictReader(rows.read_text().splitlines()))
    assert len(table) == 6
    bits = [float(row["elbo_bits_per_dim"]) for row in table]
    assert np.mean(bits) == pytest.approx(elbo["bits_per_dim"], abs=1e-5)
    assert table[int(np.argmax(bits))]["rank"] == "1"
    assert sorted(row["rank"] for row in table) == list("123456")


def test_a_part_of_the_images_scores_as_in_the_whole(tmp_path):
    whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    for n, path in ((0, whole), (5, part)):
        words = ["likelihood", "plain", "data.npz", "-n", str(n), "--points", "2", "--quiet"]
        # fewer images than the pilot needs: both are estimated at the same levels
        assert main([*words, "--chain", "3", "--per-image", str(path)]) == 0
    found = {
        row["number"]: row["elbo_bits_per_dim"]
        for row in csv.DictReader(whole.read_text().splitlines())
    }
    rows = list(csv.DictReader(part.read_text().splitlines()))
    assert len(found) == 40 and len(rows) == 5
    for row in rows:
        wanted = float(found[row["number"]])
        assert float(row["elbo_bits_per_dim"]) == pytest.approx(wanted, abs=2e-5)


def test_from_python_and_summed_over_classes():
    found = undrift.bits_per_dim("model", "data.npz", n=4, points=2, classes="marginal")
    assert found.methods["elbo"].nfe == 2 * 3
    assert "marginal over 3 classes" in found.methods["elbo"].protocol


def test_unlabelled_data_are_summed_over_classes_and_say_so(capsys):
    assert main(["likelihood", "model", "samples.npz", *QUICK]) == 0
    assert "summed over 3 classes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["model"], 2, "belongs to no run with data of its own; name DATA"),
        (["data.npz", "data.npz"], 2, "these are samples; a likelihood needs a model"),
        (["model", "data.npz", "-n", "1"], 2, "--n 1: wanted at least 2 images"),
        (["model", "nothing.npz"], 3, "nothing.npz"),
        (["nothing", "data.npz"], 4, "no such run"),
        (["model", "data.npz", "--levels", "17"], 3, "which is not one of 17 levels"),
        (["model", "data.npz", "--levels", "300"], 2, "256 at most"),
        (["model", "data.npz", "--points", "1"], 2, "--points 1"),
        (["model", "samples.npz", "--classes", "given"], 2, "give marginal or none"),
        (["plain", "data.npz", "--classes", "marginal"], 2, "this model has none"),
        (["model", "data.npz", "--split", "test"], 2, "it has"),
        (["model", "data.npz", "--log-snr-max", "-20", *QUICK], 2, "the lower first"),
        (["model", "data.npz", "--log-snr-max", "1e3", *QUICK], 2, "wanted numbers from -60 to 60"),
        (["gan"], 2, "GANPipeline has no likelihood: it draws images without a density"),
        (["gan", "data.npz", "--method", "ode"], 2, "GANPipeline has no likelihood"),
        (["model", "data.npz", "--per-image", "no/where.csv"], 2, "there is no folder"),
    ],
)
def test_what_it_refuses(words, code, message, capsys):
    assert main(["likelihood", *words]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and message in lines[0], lines


def test_a_family_without_a_likelihood_says_so():
    class Sampler(Pipeline):
        spec = weights = None
        fingerprint = ""

        def _draw(self, *request): ...
        def to(self, device): ...
        def save_pretrained(self, directory): ...

    with pytest.raises(UsageError, match="Sampler has no likelihood: it draws images without a"):
        Sampler().likelihood(np.zeros((1, 2, 2, 1), np.uint8), None)


def test_results_of_other_settings_have_names_of_their_own():
    """In a run they would overwrite each other; the same settings have the same name."""
    from undrift.evaluation.likelihood.images import ScoredImages
    from undrift.evaluation.likelihood.run import file_name
    from undrift.options import LikelihoodOptions

    images = ScoredImages.__new__(ScoredImages)
    for name, value in (("split", "test"), ("images", [0] * 6), ("fingerprint", "ab")):
        object.__setattr__(images, name, value)
    requests = [
        LikelihoodOptions(),
        LikelihoodOptions(levels=16),
        LikelihoodOptions(weights="raw"),
        LikelihoodOptions(classes="none"),
        LikelihoodOptions(log_snr_max=9.0),
    ]
    names = [file_name(request, images) for request in requests]
    assert len(set(names)) == len(names)
    assert file_name(LikelihoodOptions(batch_size=3, out="x.json"), images) == names[0]
