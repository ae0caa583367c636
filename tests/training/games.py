"""Small GANs of every kind, and a run of one through the one training loop."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from undrift.conditioning import Condition
from undrift.data import ImageSet
from undrift.data.loader import Batch
from undrift.gan import Hinge, NonSaturating, Wasserstein
from undrift.networks.gan import DCGANConfig, R3GANConfig, SNGANConfig, StyleGAN2Config
from undrift.pipelines import Pipeline, SampleSpec
from undrift.randomness import Draws
from undrift.training.checkpoint import CheckpointStore
from undrift.training.learner import Progress
from undrift.training.learners.gan import GANLearner
from undrift.training.learners.gan_config import GANConfig, PenaltyConfig
from undrift.training.learning_rate import LearningRate
from undrift.training.loop import Trainer
from undrift.training.optimizers import AdamWConfig

from .small import ALONE, digits, plan

IMAGES = digits()
SPEC = SampleSpec(image_shape=(1, 8, 8), class_names=IMAGES.class_names, steps=1)
GAMES = {
    "r3gan": GANConfig(
        SPEC,
        network=R3GANConfig(width=8, latent=4, group_width=4, blocks=1),
        penalty=PenaltyConfig(r1=0.05, r2=0.05, end=0.1),
        augment=0.5,
        generator_optimizer=AdamWConfig(betas=(0.0, 0.99), beta2_start=0.9),
    ),
    "stylegan2": GANConfig(
        SPEC,
        network=StyleGAN2Config(width=4, latent=4, group=2),
        loss=NonSaturating(),
        penalty=PenaltyConfig(r1=0.1, every=3),
        adapt=200,
    ),
    "narrow": GANConfig(
        SPEC,
        network=R3GANConfig(width=8, latent=4, group_width=4, blocks=1, patch=2),
        penalty=PenaltyConfig(r1=0.05, r2=0.05, end=0.1),
    ),
    "sngan": GANConfig(
        SPEC, network=SNGANConfig(width=4, latent=4), loss=Hinge(), critic_steps=2, flip=True
    ),
    "wgan_gp": GANConfig(
        SPEC,
        network=SNGANConfig(width=4, latent=4, spectral_norm=False),
        loss=Wasserstein(),
        penalty=PenaltyConfig(two_sided=10.0),
        critic_steps=3,
    ),
    "dcgan": GANConfig(SPEC, network=DCGANConfig(width=4, latent=4), loss=NonSaturating()),
}


class Notes:
    """An observer that keeps events, and draws with every pipeline if it is to."""

    def __init__(self, draws: bool = False) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []
        self._draws = draws

    def event(self, name: str, **entries: object) -> None:
        self.events.append((name, entries))

    def step(self, progress: Progress) -> None: ...

    def grid(self, progress: Progress, pipelines: dict[str, Pipeline]) -> None:
        for pipeline in pipelines.values():
            if self._draws:
                pipeline(2)

    def of(self, name: str) -> list[dict[str, object]]:
        return [entries for kind, entries in self.events if kind == name]


def trainer(
    game: GANConfig,
    *,
    store: CheckpointStore | None = None,
    watched: bool = False,
    steps: int = 7,
    precision: Literal["float32", "bfloat16"] | None = None,
) -> Trainer:
    made = GANLearner(game, seed=0)
    settings = plan(
        steps=steps,
        batch_size=8,
        learning_rate=LearningRate(warm_up=0, decay=0),
        clip=1e3,
        checkpoint_every=1,
        keep=100,
        grid_every=1,
        validate_every=1,
        precision=precision or ("bfloat16" if game == GAMES["narrow"] else "float32"),
    )
    return Trainer(
        made,
        settings,
        IMAGES,
        validation=IMAGES if watched else None,
        world=ALONE,
        observer=Notes(watched) if watched or store else None,
        store=store,
    )


def state(done: Trainer) -> dict[str, Tensor]:
    return {
        **{f"network/{n}": t for n, t in done.learner.networks.state_dict().items()},
        **{f"buffers/{n}": t for n, t in done.learner.buffers.state_dict().items()},
        **{f"ema/{n}": t for n, t in done.ema.state().items()},
        **{f"optimizer/{n}": t for n, t in done._optimizer_state().items()},
    }


def batch(images: ImageSet, count: int = 8) -> tuple[Batch, Draws]:
    pixels = torch.from_numpy(np.ascontiguousarray(images.images[:count].transpose(0, 3, 1, 2)))
    condition = Condition({"labels": torch.from_numpy(images.labels[:count])})
    return Batch(pixels, condition), Draws(0, 0, count, 0, count)
