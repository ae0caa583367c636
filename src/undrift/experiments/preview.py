"""What a run would be, before it is one: ``undrift train --print-config`` and ``--dry-run``."""

from __future__ import annotations

import copy
import os
import resource
import sys
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from undrift.data import ImageSet
from undrift.networks import count_parameters
from undrift.runs.configuration import RunConfig
from undrift.runs.images import load_images
from undrift.runs.recipes import choose_device, resolve
from undrift.runs.settings import TrainSettings, seconds
from undrift.training.distributed import World
from undrift.training.learners.diffusion import DiffusionLearner
from undrift.training.probe import measure
from undrift.training.signals import StopSignals

PROBE_SECONDS = 3.0


@dataclass(frozen=True)
class Preview:
    """What a few throw-away updates say of a run.

    Attributes:
        config: the resolved configuration; under a budget its steps are an estimate.
        parameters: trainable parameters.
        images: training images.
        seconds_per_step: measured.
        megabytes: peak memory of the training process so far (host), or of the device.
    """

    config: RunConfig
    parameters: int
    images: int
    seconds_per_step: float
    megabytes: float

    @property
    def seconds(self) -> float:
        """Expected wall-clock time of the training."""
        return self.config.training.steps * self.seconds_per_step


def resolve_config(
    source: str | os.PathLike[str], settings: TrainSettings, network: nn.Module | None = None
) -> RunConfig:
    """The configuration that ``undrift train`` would start from.

    Raises:
        UsageError: settings that cannot be.
        DataError: images that are missing, empty or too broken.
    """
    return _resolved(source, settings, network)[0]


def preview(
    source: str | os.PathLike[str], settings: TrainSettings, network: nn.Module | None = None
) -> Preview:
    """Resolve a run and make a few of its updates, leaving nothing behind.

    Raises:
        UsageError: settings that cannot be.
        DataError: images that are missing, empty or too broken.
    """
    config, train = _resolved(source, settings, network)
    device = config.training.device
    with torch.random.fork_rng():
        torch.set_num_threads(config.training.threads)
        learner = DiffusionLearner(
            config.model, config.training.seed, device, network=copy.deepcopy(network)
        )
        world = World(0, 1, 0, torch.device(device))
        pace = measure(lambda: learner, config.training, train, world, PROBE_SECONDS, StopSignals())
    if config.budget is not None:
        steps = max(1, int(seconds(config.budget) / pace))
        config = replace(config, training=replace(config.training, steps=steps))
    return Preview(config, count_parameters(learner.networks), len(train), pace, _peak(device))


def _resolved(
    source: str | os.PathLike[str], settings: TrainSettings, network: nn.Module | None
) -> tuple[RunConfig, ImageSet]:
    name = os.fspath(source)
    data = load_images(name, settings)
    device = choose_device(settings.device)
    config = resolve(name, settings, data, device=device, own_network=network is not None)
    return config, data.split("train")


def _peak(device: Literal["cpu", "cuda"]) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    # Linux counts in kilobytes, macOS in bytes.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
