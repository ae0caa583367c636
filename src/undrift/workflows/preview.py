"""What a run would be, before it is one: ``undrift train --print-config`` and ``--dry-run``."""

from __future__ import annotations

import copy
import os
import resource
import sys
from dataclasses import dataclass
from typing import Literal

import torch
from rich.console import Console
from torch import nn

from undrift.data import ImageSet
from undrift.data.findings import finding_lines
from undrift.networks import count_parameters
from undrift.options.train import TrainOptions
from undrift.runs.configuration import RunConfig
from undrift.runs.device import choose_device
from undrift.runs.expectation import Expectation, expectation_of
from undrift.runs.images import load_images
from undrift.runs.log import RunLog
from undrift.runs.recipes import build_learner, resolve
from undrift.training.distributed import World
from undrift.training.learner import Learner
from undrift.training.probe import measure
from undrift.training.signals import StopSignals
from undrift.workflows.closing import closing_seconds
from undrift.workflows.planning import fit_to_machine

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
        findings: what loading the images found, a line each.
        closing: expected seconds of evaluation and report after the training.
        expectation: what samples to expect; None where nothing is known.
    """

    config: RunConfig
    parameters: int
    images: int
    seconds_per_step: float
    megabytes: float
    findings: tuple[str, ...]
    closing: float
    expectation: Expectation | None

    @property
    def seconds(self) -> float:
        """Expected wall-clock time of the training."""
        return self.config.training.steps * self.seconds_per_step


def resolve_config(
    source: str | os.PathLike[str], settings: TrainOptions, network: nn.Module | None = None
) -> RunConfig:
    """The configuration that ``undrift train`` would start from.

    Raises:
        UsageError: settings that cannot be.
        DataError: images that are missing, empty or too broken.
    """
    return _resolved(source, settings, network)[0]


def preview(
    source: str | os.PathLike[str], settings: TrainOptions, network: nn.Module | None = None
) -> Preview:
    """Resolve a run and make a few of its updates, leaving nothing behind.

    Raises:
        UsageError: settings that cannot be.
        DataError: images that are missing, empty or too broken.
    """
    config, data = _resolved(source, settings, network)
    train = data.split("train")
    device = config.training.device

    def fresh() -> Learner:
        return build_learner(config, device, network=copy.deepcopy(network))

    threads = torch.get_num_threads()
    with torch.random.fork_rng(), StopSignals() as stop:
        torch.set_num_threads(config.training.threads)
        world = World(0, 1, 0, torch.device(device))
        if config.budget is not None:
            quiet = RunLog(Console(quiet=True), None)
            config = fit_to_machine(config, data, fresh, world, stop, quiet)
        pace = config.seconds_per_step
        if pace is None:
            pace = measure(fresh, config.training, train, world, PROBE_SECONDS, stop)
        closing = closing_seconds(config, data, pace)
        torch.set_num_threads(threads)
        if stop.received is not None:
            raise stop.error("stopped; nothing was written")
    parameters = count_parameters(fresh().networks)
    findings = tuple(finding_lines(data.report, training=True))
    expected = expectation_of(config, train, pace)
    return Preview(config, parameters, len(train), pace, _peak(device), findings, closing, expected)


def _resolved(
    source: str | os.PathLike[str], settings: TrainOptions, network: nn.Module | None
) -> tuple[RunConfig, ImageSet]:
    name = os.fspath(source)
    data = load_images(name, settings)
    device = choose_device(settings.device)
    config = resolve(name, settings, data, device=device, own_network=network is not None)
    return config, data


def _peak(device: Literal["cpu", "cuda"]) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    # Linux counts in kilobytes, macOS in bytes.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
