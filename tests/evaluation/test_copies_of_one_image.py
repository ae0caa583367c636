"""A run of copies of one image ends with its report: what has no spread is not measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import undrift
from undrift.errors import UsageError


def train(tmp_path: Path, images: np.ndarray, **settings: Any) -> Path:
    np.savez(tmp_path / "copies.npz", images=images)
    run, small = tmp_path / "run", {"network": "mlp", "steps": 2, "batch_size": 8}
    data = str(tmp_path / "copies.npz")
    undrift.train(data, out=str(run), device="cpu", progress=False, **small, **settings)
    return run


def test_its_metrics_are_missing_with_their_reason(tmp_path: Path):
    run = train(tmp_path, np.full((60, 8, 8, 1), 128, np.uint8))
    found = json.loads((run / "evaluation" / "first.json").read_text())
    assert found["metrics"] == {} and "all the same" in found["missing"]["fd"]
    assert "60 images that are all the same, or as good as" in (run / "report.html").read_text()


def test_looks_at_samples_are_refused_before_training(tmp_path: Path):
    images = np.full((60, 8, 8, 1), 128, np.uint8)
    images[:12, 0, 0] = 129
    with pytest.raises(UsageError, match="evaluate_every: features of .* images that are all"):
        train(tmp_path, images, holdout=0.2, evaluate_every=1)
    assert not (tmp_path / "run" / "checkpoints").exists()
