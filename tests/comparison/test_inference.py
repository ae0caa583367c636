"""What a finished run of every method costs to draw with, measured for real."""

from __future__ import annotations

import pytest

import undrift
from undrift.comparison.inference import speed_of

METHODS = ("diffusion", "dcgan", "wgan_gp", "sngan", "stylegan2", "r3gan")


@pytest.mark.parametrize("method", METHODS)
def test_what_drawing_costs(tmp_path, method):
    run = tmp_path / "run"
    undrift.train("digits", method=method, steps=5, out=run, parameters="20k", threads=1, bare=True)
    found = speed_of(run, "cpu", 1)
    assert found["flops"] > 10_000
    assert found["nfe"] > 1 if method == "diffusion" else found["nfe"] == 1
    assert 0 < found["batch_ms"] < found["single_ms"]
