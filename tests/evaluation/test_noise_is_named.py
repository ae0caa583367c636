"""Real sprites: what metrics say of shuffled ones, and what a run says of a model of noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.data.real import real, some

import undrift
import undrift.data
from undrift.metrics import Images
from undrift.metrics.corruptions import corrupted, corruptions_of
from undrift.report.record import RunRecord
from undrift.report.sensitivity import with_samples
from undrift.report.verdict import Verdict

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sprites(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    folder = some(real("emoji"), tmp_path_factory.mktemp("emoji"), 1200)
    return np.asarray(undrift.data.load(folder, size=32, holdout=0).images)


def test_shuffled_sprites_are_told_from_real_ones(sprites: np.ndarray) -> None:
    order = np.random.default_rng(0).permutation(len(sprites))
    reference, samples = sprites[order[:400]], sprites[order[400:800]]
    shuffle = next(one for one in corruptions_of(samples) if one.name == "shuffled pixels")
    shuffled = corrupted(Images(samples, None), shuffle, seed=0).images
    assert not np.array_equal(shuffled, samples)
    names = ["texture_fd", "coverage"]
    real_ones, theirs = (
        undrift.evaluate(images, reference=reference, metrics=names, features="random").metrics
        for images in (samples, shuffled)
    )
    assert theirs["texture_fd"].value > 5 * real_ones["texture_fd"].value
    unseen = theirs["texture_fd"].unseen or ()
    assert "structure" not in unseen
    # coverage in random features does not see weak noise, and says so beside its value
    assert any(what.startswith("noise") for what in theirs["coverage"].unseen)
    assert not any(what.startswith("noise") for what in unseen)


def test_a_model_of_52_steps_is_called_early(sprites: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "sprites.npy", sprites)
    out = tmp_path / "run"
    undrift.train(tmp_path / "sprites.npy", size=16, steps=52, parameters="100k", out=out, seed=0)
    record = RunRecord.read(out)
    found = with_samples(Verdict("learned", "By its loss it has learned."), record.evaluation)
    assert found.state == "early"
    assert "not clearly better than real images with" in found.sentence
