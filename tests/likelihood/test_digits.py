"""Likelihood of real data, the handwritten digits, under a model that has learned a little."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import torch
from tests.training.small import ALONE, model, plan

import undrift.data
from undrift.cli.dispatch import main
from undrift.diffusion import LogSNR
from undrift.errors import UsageError
from undrift.likelihood import BoundMethod, FlowMethod, LikelihoodRequest
from undrift.likelihood.learned import VariationalConfig
from undrift.networks import MLPConfig
from undrift.training.learners.diffusion import DiffusionLearner
from undrift.training.loop import Trainer
from undrift.training.signals import StopSignals


@pytest.fixture(scope="module")
def held_out():
    return undrift.data.load("digits").split("test")


@pytest.fixture(scope="module")
def trained():
    images = undrift.data.load("digits").split("train")
    config = model(
        images,
        network=MLPConfig(width=128, blocks=1),
        schedule=LogSNR((7.2, -10.0)),
        likelihood=VariationalConfig(17, 7.2, -10.0, bins=16),
    )
    learner = DiffusionLearner(config, 0)
    with StopSignals() as stop:
        Trainer(learner, plan(steps=150, batch_size=64), images, world=ALONE, store=None).run(stop)
    return learner.pipeline()


def scored(pipeline, part, method, n=12, levels=17):
    request = LikelihoodRequest(method, levels, "given")
    return pipeline.likelihood(part.images[:n], request, part.labels[:n])


def test_random_probes_agree_with_the_exact_trace(trained, held_out):
    """The same images, the same numbers in their bins: only the trace differs."""
    exact = scored(trained, held_out, FlowMethod(points=9, trace="exact"))
    random = scored(trained, held_out, FlowMethod(points=9, trace="hutchinson", probes=4))
    difference = random.bits - exact.bits
    error = float(difference.std(ddof=1)) / math.sqrt(len(difference))
    assert 1e-4 < error < 0.1, "the probes make no difference, or all of it"
    assert abs(float(difference.mean())) < 4 * error
    assert exact.backwards == 64 * exact.evaluations and random.backwards == 4 * random.evaluations


def test_bound_and_flow_are_two_models_with_a_gap(trained, tmp_path, capsys):
    trained.save_pretrained(tmp_path / "model")
    out = tmp_path / "out.json"
    words = ["likelihood", str(tmp_path / "model"), "digits", "--method", "both", "-n", "16"]
    assert main([*words, "--points", "24", "--batch-size", "16", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "values: 17 levels, from the values that occur in digits" in printed
    assert "ode - elbo" in printed and "exact trace" in printed
    found = json.loads(out.read_text())
    elbo, ode = found["methods"]["elbo"], found["methods"]["ode"]
    assert found["data"]["value_levels"] == 17
    assert "over 17 levels" in elbo["protocol"] and "over 17 levels" in ode["protocol"]
    gap = found["gap"]
    assert gap["value"] == pytest.approx(ode["bits_per_dim"] - elbo["bits_per_dim"])
    # paired by image: better known than the difference of two means
    assert 0 < gap["standard_error"] < elbo["standard_error"] + ode["standard_error"]
    assert "likelihoods of two models" in gap["of"]


def test_bits_count_the_levels_of_the_data(trained, held_out):
    """A few steps teach more than no model: fewer bits than 17 equal levels, and far from 256."""
    bits = scored(trained, held_out, BoundMethod(points=32), n=64).bits
    assert 2 < float(bits.mean()) < 5.2
    uniform = FlowMethod(points=9, trace="hutchinson", dequantization="uniform")
    few, many = (scored(trained, held_out, uniform, levels=levels).bits for levels in (17, 256))
    # the same density over bins of 1 instead of 15 or 16 bytes
    assert float((many - few).mean()) > 2


def test_what_is_no_digit_comes_first(trained, held_out, tmp_path):
    trained.save_pretrained(tmp_path / "model")
    levels = np.unique(held_out.images)
    noise = np.random.default_rng(0).choice(levels, (3, 8, 8, 1)).astype(np.uint8)
    images = np.concatenate([held_out.images[:20], noise])
    np.savez(tmp_path / "mixed.npz", images=images)
    rows = tmp_path / "rows.csv"
    words = ["likelihood", str(tmp_path / "model"), str(tmp_path / "mixed.npz"), "-n", "0"]
    assert main([*words, "--points", "24", "--per-image", str(rows), "--quiet"]) == 0
    table = list(csv.DictReader(rows.read_text().splitlines()))
    first = {int(row["number"]) for row in table if int(row["rank"]) <= 3}
    assert len(table) == 23 and first == {20, 21, 22}


def test_weights_of_half_precision_are_refused(trained, held_out):
    narrow = trained.with_weights(trained.state_dict())
    narrow.denoiser.network.to(torch.bfloat16)
    with pytest.raises(UsageError, match=r"weights network\..* in bfloat16"):
        scored(narrow, held_out, BoundMethod(points=2), n=2)
