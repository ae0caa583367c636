"""A learner, a plan and data small enough to be trained in milliseconds."""

from __future__ import annotations

from dataclasses import replace

import torch

import undrift.data
from undrift.codec import Standardise, codec_config
from undrift.data import ImageSet
from undrift.networks import UNetConfig
from undrift.pipelines import SampleSpec
from undrift.training.distributed import World
from undrift.training.learners.diffusion import DiffusionConfig, DiffusionLearner
from undrift.training.plan import TrainingPlan

ALONE = World(0, 1, 0, torch.device("cpu"))


def digits() -> ImageSet:
    return undrift.data.load("digits").split("train")


def model(images: ImageSet, **changes: object) -> DiffusionConfig:
    height, width, channels = images.shape
    config = DiffusionConfig(
        spec=SampleSpec(
            image_shape=(channels, height, width),
            class_names=images.class_names,
            class_frequencies=tuple(1 / len(images.class_names) for _ in images.class_names),
        ),
        codec=codec_config(Standardise.fit(images.images)),
        network=UNetConfig(width=8, multipliers=(1, 2), blocks=1, dropout=0.1),
        width=16,
    )
    return replace(config, **changes)


def learner(images: ImageSet, **changes: object) -> DiffusionLearner:
    return DiffusionLearner(model(images, **changes), seed=0)


def plan(**changes: object) -> TrainingPlan:
    return replace(TrainingPlan(steps=8, batch_size=16), **changes)
