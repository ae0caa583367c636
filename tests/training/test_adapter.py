"""Adapters are trained beside a frozen base: exactly resumed, and their maps are followed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.pipelines.models import shaken

from undrift.conditioning import NO_LABEL, Condition
from undrift.data import ImageSet
from undrift.data.loader import Batch, as_batch
from undrift.diffusion import LogNormal
from undrift.families.adapter.recipe import BASE_IMAGES, HIGH_NOISE, adapted
from undrift.networks.control import ControlConfig
from undrift.networks.lora import LoRAConfig
from undrift.pipelines import DiffusionPipeline
from undrift.pipelines.adapter import BaseReference
from undrift.pipelines.maps import maps_of
from undrift.randomness import Draws
from undrift.training.learner import Progress
from undrift.training.learners.adapter import AdapterLearner
from undrift.training.learners.diffusion import DiffusionLearner
from undrift.training.loop import Trainer
from undrift.training.optimizers import AdamWConfig
from undrift.training.signals import StopSignals

from .small import ALONE, digits, learner, plan
from .test_exact_resume import resumed
from .test_maps import MASK, images
from .test_maps import learner as bar_learner

SHAPES = [ControlConfig(share=0.5), LoRAConfig(rank=2)]
__all__ = ["images"]


def adapter(
    base: DiffusionLearner, shape, maps=(), classes: tuple[int, ...] | None = None
) -> AdapterLearner:
    pipeline: DiffusionPipeline = base.pipeline()
    if not pipeline.denoiser.network.out.weight.any():  # a network that was never trained answers 0
        shaken(pipeline.denoiser.network)
    reference = BaseReference("/base", pipeline.fingerprint)
    recipe = adapted(base.config, reference, shape, maps, 16, 1000, 3e-3, classes)
    return AdapterLearner(recipe.model, 0, "cpu", pipeline)


def maps_for(shape) -> tuple:
    from undrift.conditioning import MapSpec

    return (MapSpec("edges", (1, 8, 8), "edges"),) if isinstance(shape, ControlConfig) else ()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.kind)
def test_a_resumed_run_is_the_uninterrupted_one_and_the_base_stays(shape, tmp_path: Path) -> None:
    train = digits()

    def make() -> AdapterLearner:
        return adapter(learner(train), shape, maps_for(shape))

    frozen = make().adapted.model.weights.state_dict()
    whole = resumed(make, train, tmp_path)
    after = whole.learner.adapted.model.weights.state_dict()
    changed = {name for name in frozen if not torch.equal(frozen[name], after[name])}
    assert changed and all(
        "branch" in name or "map_" in name or "lora_" in name for name in changed
    )


def test_the_recipe_skews_noise_and_drops_classes() -> None:
    base = learner(digits())
    control = adapted(
        base.config,
        BaseReference("/b", "f"),
        ControlConfig(),
        maps_for(ControlConfig()),
        16,
        800,
        None,
        None,
    )
    assert control.batch_size == 16 and control.images == 400
    assert isinstance(base.config.levels, LogNormal)
    assert control.model.model.levels.mean == base.config.levels.mean + HIGH_NOISE
    made = adapter(base, ControlConfig(), maps_for(ControlConfig()))
    rows, draws = 4000, Draws(0, 0, 4000, 0, 4000)
    condition = made._encoder.spec.derived(
        Condition({"labels": torch.zeros(rows, dtype=torch.int64)}),
        torch.zeros(rows, 1, 8, 8, dtype=torch.uint8),
        draws,
    )
    dropped = made._dropped(condition, draws)
    assert abs((dropped["labels"] == NO_LABEL).double().mean() - 0.5) < 0.04
    assert abs((dropped["map_edges"] < 0).flatten(1).all(dim=1).double().mean() - 0.1) < 0.03


def test_classes_go_by_the_bases_numbers_and_unknown_ones_are_not_given() -> None:
    train = digits()
    base = learner(train)
    made = adapter(base, LoRAConfig(), classes=(3, -1, 0))
    taken = made._taken(Condition({"labels": torch.tensor([0, 1, 2, 1])}))
    assert taken["labels"].tolist() == [3, NO_LABEL, 0, NO_LABEL]
    seen = {}
    made._dropped = lambda condition, draws: seen.setdefault("condition", condition)  # type: ignore[method-assign]
    batch = Batch(
        as_batch(train.take(np.arange(4))), Condition({"labels": torch.tensor([2, 1, 0, 0])})
    )
    made.loss("denoise", batch, Progress(0, 1, 0, 0.0), Draws(0, 0, 4, 0, 4))
    assert seen["condition"]["labels"].tolist() == [0, NO_LABEL, 3, 3]


def test_a_new_class_leaves_what_the_base_draws_of_its_own() -> None:
    """The loss has the change of the base's predictions of its own classes, and no other term."""
    base = learner(digits())
    new, own = (adapter(base, LoRAConfig(), classes=classes) for classes in ((-1,), (3,)))
    assert (new._base_images, own._base_images) == (BASE_IMAGES, 0)
    images, labels = new._of_base
    assert len(images) == BASE_IMAGES and sorted(set(labels.tolist())) == list(range(10))
    again = adapter(base, LoRAConfig(), classes=(-1,))._of_base[0]
    assert torch.equal(again, images)
    batch = Batch(
        as_batch(digits().take(np.arange(4))), Condition({"labels": torch.zeros(4).long()})
    )

    def losses(made: AdapterLearner) -> torch.Tensor:
        made._classes = (-1,)
        return made.loss("denoise", batch, Progress(0, 1, 0, 0.0), Draws(0, 0, 4, 0, 4)).per_sample

    assert torch.equal(losses(new), losses(own))  # a new adapter changes nothing
    for made in (new, own):
        shaken(made.networks, 3)
    change = losses(new) - losses(own)
    assert (change > 0).all()
    change.mean().backward()
    with torch.no_grad():
        for weight in new.networks.parameters():
            weight -= 1e-3 * weight.grad
    assert new._changed(Draws(0, 0, 4, 0, 4)).mean() < change.mean()


def test_every_class_of_the_base_is_among_its_images() -> None:
    base = learner(digits()).config
    names = tuple(map(str, range(200)))
    spec = replace(base.spec, class_names=names, class_frequencies=(1 / 200,) * 200)
    many = replace(base, spec=spec)
    recipe = adapted(many, BaseReference("/b", "f"), LoRAConfig(), (), 16, 800, None, (-1,))
    assert recipe.model.base_images == 200


@pytest.mark.slow
def test_a_frozen_base_learns_to_follow_masks(images: ImageSet) -> None:
    train, held_out = images.split("train"), images.split("validation")
    base = bar_learner(images)
    Trainer(base, plan(steps=80, batch_size=32), train, world=ALONE).run(StopSignals())
    base.config = replace(base.config, optimizer=AdamWConfig(learning_rate=5e-3))
    made = adapter(base, ControlConfig(share=0.5), (MASK,))
    Trainer(made, plan(steps=100, batch_size=32), train, world=ALONE).run(StopSignals())
    found = made.validate(made.pipeline(), held_out.images, held_out.condition())
    gap = found["condition_gaps"]["map_mask"]
    assert gap["gap"] > 8 * gap["standard_error"]
    pipeline = made.pipeline()
    given = maps_of(pipeline.spec, held_out, np.arange(24))
    mask = given["mask"][..., 0] == 1
    shares = [
        ((pipeline(24, maps=given, steps=8, strength=one).images[..., 0] > 125) == mask).mean()
        for one in (0.0, 1.0)
    ]
    assert shares[1] > 0.85 and shares[0] < 0.75
