"""Maps steer what is drawn: a bar whose place is said by a mask, learned in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from undrift.conditioning import MapSpec
from undrift.conditioning.maps.derive import edges
from undrift.data import ImageSet, load
from undrift.data.loader import Batch, as_batch
from undrift.networks import UNetConfig
from undrift.pipelines import SampleSpec
from undrift.pipelines.maps import maps_of
from undrift.randomness import Draws
from undrift.training.learner import Progress
from undrift.training.learners.diffusion import DiffusionLearner
from undrift.training.loop import Trainer
from undrift.training.optimizers import AdamWConfig
from undrift.training.signals import StopSignals

from .small import ALONE, model, plan
from .test_exact_resume import resumed

SIDE = 8
MASK = MapSpec("mask", (1, SIDE, SIDE), values=((0,), (1,)))
EDGES = MapSpec("edges", (1, SIDE, SIDE), "edges")
MASKED = MapSpec("masked", (1, SIDE, SIDE), "masked")


def bars(random: np.random.Generator, count: int) -> NDArray[np.bool_]:
    """Bars of 3 columns somewhere: bool (N, 8, 8)."""
    left = random.integers(0, SIDE - 2, count)[:, None, None]
    columns = np.arange(SIDE)[None, None, :]
    return np.broadcast_to((columns >= left) & (columns < left + 3), (count, SIDE, SIDE))


def bars_with_masks(folder: Path, *, shuffled: bool = False) -> ImageSet:
    """Bars of one grey on another, both random: the mask says where, and not how bright.

    Args:
        folder: for their file.
        shuffled: give each image the mask of another.
    """
    random = np.random.default_rng(0)
    where = bars(random, 600)
    dark, light = random.integers(0, 90, (600, 1, 1)), random.integers(160, 256, (600, 1, 1))
    mask = where[random.permutation(600)] if shuffled else where
    np.savez(folder / "bars.npz", images=np.where(where, light, dark).astype(np.uint8), mask=mask)
    return load(folder / "bars.npz", maps=["mask"], holdout=0.2)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    return bars_with_masks(tmp_path_factory.mktemp("bars"))


def learner(images: ImageSet, *maps: MapSpec, seed: int = 0, **changes: object) -> DiffusionLearner:
    config = model(
        images,
        spec=SampleSpec((1, SIDE, SIDE), maps=maps),
        network=UNetConfig(width=16, multipliers=(1, 2), blocks=1),
        optimizer=AdamWConfig(learning_rate=3e-3),
        **changes,
    )
    return DiffusionLearner(config, seed)


def trained(made: DiffusionLearner, images: ImageSet, steps: int) -> None:
    Trainer(made, plan(steps=steps, batch_size=32), images, world=ALONE).run(StopSignals())


def gaps(made: DiffusionLearner, images: ImageSet) -> dict[str, dict[str, float]]:
    return made.validate(made.pipeline(), images.images, images.condition())["condition_gaps"]


@pytest.mark.slow
def test_samples_follow_their_masks_and_the_gap_says_so(images: ImageSet) -> None:
    made = learner(images, MASK)
    held_out = images.split("validation")
    before = gaps(made, held_out)["map_mask"]
    assert abs(before["gap"]) <= 4 * before["standard_error"] + 1e-9
    trained(made, images.split("train"), 120)
    after = gaps(made, held_out)["map_mask"]
    assert after["gap"] > 8 * after["standard_error"] and after["gap"] > 0.5 * after["loss"]
    rows = np.arange(24)
    given = maps_of(made.config.spec, held_out, rows)
    samples = made.pipeline()(24, maps=given, seed=0, steps=8).images[..., 0]
    mask = given["mask"][..., 0] == 1
    # bright on the bar, dark beside it; under the mask of another image it is not
    assert ((samples > 125) == mask).mean() > 0.93
    assert ((samples > 125) == np.roll(mask, 1, axis=0)).mean() < 0.8


@pytest.mark.parametrize(
    "changes", [{"flip": True}, {"augment": 0.9}, {"flip": True, "augment": 0.5}]
)
def test_maps_follow_what_training_does_to_their_images(
    images: ImageSet, changes: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the network is given beside an image are the mask and the edges of that image."""
    made = learner(images, MASK, EDGES, label_dropout=0.0, **changes)
    rows = np.arange(64)
    seen = {}
    encoder, objective = made._encoder, made._objective
    monkeypatch.setattr(
        encoder, "forward", lambda condition, count: seen.setdefault("condition", condition)
    )

    def spied(denoiser, x0, context, draws):
        seen["x0"] = x0
        raise StopIteration

    monkeypatch.setattr(made, "_objective", spied)
    batch = Batch(as_batch(images.take(rows)), images.condition()[torch.from_numpy(rows)])
    with pytest.raises(StopIteration):
        made.loss("denoise", batch, Progress(0, 1, 0, 0.0), Draws(0, 0, 64, 0, 64))
    pixels = made.codec.decode(seen["x0"])
    mask, lines = seen["condition"]["map_mask"], seen["condition"]["map_edges"]
    assert torch.equal(lines, edges(pixels)) and objective is not None
    before = batch.condition["map_mask"]
    assert isinstance(before, torch.Tensor) and not torch.equal(mask, before)
    # the bar is the brighter part of its image, wherever it has gone
    middle = (pixels.float().amax((2, 3), True) + pixels.float().amin((2, 3), True)) / 2
    agree = ((pixels.float() > middle) == (mask == 1)).float().flatten(1).mean(dim=1)
    assert agree.mean() > (0.999 if changes == {"flip": True} else 0.95)


def test_validation_takes_the_same_holes_every_time(images: ImageSet) -> None:
    made, held_out = learner(images, MASKED), images.split("validation")
    pipeline, condition = made.pipeline(), held_out.condition()
    found = [made.validate(pipeline, held_out.images, condition) for _ in range(2)]
    assert found[0] == found[1] and "map_masked" in found[0]["condition_gaps"]
    assert made.one_step(pipeline, held_out.images, condition) is not None


def test_a_resumed_run_is_the_uninterrupted_one(images: ImageSet, tmp_path: Path) -> None:
    """Holes are drawn by step and row, so that a resume needs only its step."""
    maps, changes = (MASK, EDGES, MASKED), {"flip": True, "label_dropout": 0.3}
    resumed(lambda: learner(images, *maps, **changes), images.split("train"), tmp_path)
