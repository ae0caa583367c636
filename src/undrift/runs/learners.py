"""From a run's configuration to the learner that it trains."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.limits import machine_memory
from undrift.networks import at_most_parameters
from undrift.runs.configuration import RunConfig
from undrift.training.learners.diffusion import DiffusionLearner
from undrift.training.learners.gan import GANLearner
from undrift.training.learners.gan_config import GANConfig

_BYTES = 4
"""Of a parameter; training takes several times as many."""


def build_learner(
    config: RunConfig,
    device: torch.device | str = "cpu",
    *,
    network: nn.Module | None = None,
    eigenvalues: Tensor | None = None,
) -> DiffusionLearner | GANLearner:
    """Make the learner of a run, at its initial weights.

    Args:
        config: the run.
        device: where to train.
        network: the user's own network; diffusion models only.
        eigenvalues: see `DiffusionLearner`; a GAN has no use for them.

    Raises:
        UsageError: a network of the user's own for a GAN, or one larger than memory.
    """
    model, seed = config.model, config.training.seed
    if isinstance(model, GANConfig) and network is not None:
        raise UsageError(f"{model.method}: a GAN builds its own networks; leave network= out")
    with at_most_parameters(machine_memory() // _BYTES):
        if isinstance(model, GANConfig):
            return GANLearner(model, seed, device)
        return DiffusionLearner(model, seed, device, network=network, eigenvalues=eigenvalues)
