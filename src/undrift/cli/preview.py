"""What ``undrift train`` would do, without doing it: ``--print-config`` and ``--dry-run``."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from typing import Self

import torch
from rich.console import Console

from undrift.cli.console import columns, duration
from undrift.data import ImageSet, load
from undrift.errors import UsageError
from undrift.networks import count_parameters
from undrift.runs import configuration
from undrift.runs.configuration import RunConfig
from undrift.runs.recipes import choose_device, resolve
from undrift.runs.settings import TrainSettings, seconds
from undrift.training.distributed import World
from undrift.training.learners.diffusion import DiffusionLearner
from undrift.training.probe import fit_micro_batch, measure

PROBE_SECONDS = 2.0
GIB = 2**30


@dataclass(frozen=True)
class Preview:
    """A run that is not started.

    Attributes:
        config: what it would be.
        data: what it would be trained on.
    """

    config: RunConfig
    data: ImageSet

    @classmethod
    def of(cls, source: str | None, settings: TrainSettings, config: str | None) -> Self:
        """Resolve what the flags ask for, or read ``config``.

        Raises:
            UsageError: for settings that cannot be.
            DataError: for images that cannot be trained on.
        """
        given = None if config is None else configuration.load(config)
        source = given.data.source if given is not None else source
        if source is None:
            raise UsageError("no data given; name a folder of images, or try: undrift train digits")
        asked = given.data if given is not None else settings
        data = load(
            source,
            size=asked.size,
            fit=asked.fit,
            channels=asked.channels,
            background=asked.background,
            holdout=asked.holdout,
            bad_limit=asked.bad_limit,
        )
        if given is not None:
            return cls(given, data)
        return cls(resolve(source, settings, data, device=choose_device(settings.device)), data)

    def print_config(self) -> None:
        """Print the resolved configuration as YAML, and nothing else: it may go into a file.

        Under a budget its steps are 1, since only the probe of a run turns minutes into steps.
        """
        sys.stdout.write(configuration.dump(self.config))

    def print_cost(self, console: Console) -> None:
        """Train for a moment on a throw-away model, and print what the run would take."""
        config, plan = self.config, self.config.training
        train = self.data.split("train")

        def fresh() -> DiffusionLearner:
            return DiffusionLearner(config.model, plan.seed, plan.device)

        torch.set_num_threads(plan.threads)
        with World.join(plan.device) as world, torch.random.fork_rng():
            micro_batch = fit_micro_batch(fresh, plan, train, world)
            pace = measure(fresh, plan, train, world, PROBE_SECONDS)
        allowed = None if config.budget is None else seconds(config.budget)
        steps = plan.steps if allowed is None else max(1, int(allowed / pace))
        height, width, channels = train.images.shape[1:]
        facts = [
            ("data", f"{len(train.images):,} training images of {height}x{width}x{channels}"),
            ("classes", ", ".join(config.model.spec.class_names) or "none"),
            ("network", config.model.network.kind if config.model.network else "your own"),
            ("parameters", f"{count_parameters(fresh().networks):,}"),
            (
                "batch",
                f"{plan.batch_size}" + (f" in parts of {micro_batch}" if micro_batch else ""),
            ),
            ("device", f"{plan.device}, {plan.threads} threads, {plan.precision}"),
            ("memory", f"{_peak(plan.device) / GIB:.1f} GiB at its peak"),
            ("speed", f"{plan.batch_size / pace:.0f} images/s"),
            ("steps", f"{'about ' if allowed else ''}{steps:,}"),
            ("time", f"{duration(steps * pace)} for the steps alone"),
        ]
        for line in columns(facts):
            console.print(line)


def _peak(device: str) -> int:
    """Bytes: on CUDA what torch allocated, else the most that this process has occupied."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
