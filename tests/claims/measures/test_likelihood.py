"""Bits per dimension of a real run: the model and the histograms score the same images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.claims.results import measured_run

import undrift
from undrift.claims.measures import likelihood as measure
from undrift.evaluation.likelihood import run as scoring
from undrift.likelihood import ValueGrid
from undrift.likelihood.histogram import histogram_bits
from undrift.runs.configuration import load
from undrift.runs.directory import RunDirectory
from undrift.runs.images import load_images

N = 16


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("bits") / "run"
    settings = {"recipe": "likelihood", "parameters": "30k", "threads": 1}
    undrift.train("digits", out=out, steps=3, batch_size=8, bare=True, **settings)
    return out


def _expected(run, images, labels):
    """Bits of ``images`` under histograms of the run's training images."""
    config = load(RunDirectory(run).config)
    data = load_images(config.data.source, config.data)
    grid, train = ValueGrid.of(data.report.histogram), data.split("train")

    def levels(some):
        return grid.index(torch.from_numpy(some.reshape(len(some), -1))).numpy()

    order = np.random.default_rng(0).permutation(len(train))
    smoothing, counted = np.split(order, [len(train) // 10])
    seen, known = levels(train.images), np.asarray(train.labels)
    return histogram_bits(
        (seen[counted], known[counted]),
        (seen[smoothing], known[smoothing]),
        (levels(images), np.asarray(labels)),
        len(data.class_names),
        grid.count,
    )


@pytest.mark.slow
def test_histograms_score_the_images_that_the_model_scores(run, monkeypatch):
    scored, opened = [], scoring.open_images

    def noted(*asked):
        scored.append(opened(*asked))
        return scored[-1]

    monkeypatch.setattr(scoring, "open_images", noted)
    monkeypatch.setattr(measure, "POINTS", 2)
    trained = measured_run("likelihood", "diffusion", 0, {})
    found = {seed: measure.bits(trained, run, N, seed, "cpu") for seed in (0, 1)}
    for record, held_out in zip(found.values(), scored[::2], strict=True):
        assert held_out.split == record.split and len(held_out.images) == N
        assert record.held_out["elbo"].n == N
        expected = _expected(run, held_out.images, held_out.labels)
        assert record.histogram == pytest.approx(expected)
    assert not np.array_equal(scored[0].numbers, scored[2].numbers)
    assert found[0].histogram != found[1].histogram
