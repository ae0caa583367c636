"""What a run does once its last step is made: pipeline, samples, first metrics, report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from undrift.data import ImageSet
from undrift.experiments.report import gather_material, write_report
from undrift.metrics import first_metrics
from undrift.networks import count_parameters
from undrift.pipelines import DiffusionPipeline, Samples
from undrift.runs.configuration import RunConfig
from undrift.runs.directory import RunDirectory
from undrift.runs.loading import load_weights
from undrift.runs.log import RunLog
from undrift.runs.recorder import draw_grid
from undrift.training.learners.diffusion import DiffusionLearner

PIXELS = 64_000
"""Pixels to draw for the first metrics on a CPU: 1,000 digits, or 128 images of 32 x 32."""

FEWEST, MOST = 128, 1000

VIEW_BYTES = 2**29
"""Pixels of each split that metrics and report look at."""


def close_run(
    run: RunDirectory,
    config: RunConfig,
    data: ImageSet,
    log: RunLog,
    network: nn.Module | None,
    check: Callable[[int, int], None],
) -> None:
    """Write ``pipeline/``, ``grid.png``, ``evaluation/first.json`` and ``report.html``.

    Every part is written by rename, so that a run killed here does it again when resumed.

    Args:
        run: a run whose last checkpoint is written.
        config: its configuration.
        data: its images.
        log: where to say what is being done.
        network: the user's own network, if the run has one.
        check: called now and then with the sampler's progress; raises to stop.
    """
    learner = DiffusionLearner(
        config.model, config.training.seed, config.training.device, network=network
    )
    pipeline = learner.pipeline(load_weights(run, config))
    pipeline.save_pretrained(run.pipeline)
    log.say(f"saved the pipeline: {run.pipeline}")
    run.write_bytes("grid.png", draw_grid(pipeline))

    began = time.perf_counter()
    samples = pipeline(_count(config), seed=0, on_progress=check)
    sampling = time.perf_counter() - began
    log.say(f"drew {len(samples.images)} samples in {sampling:.1f} s")

    began = time.perf_counter()
    train = View.of(data.split("train"))
    name, held_out = _held_out(data)
    metrics = first_metrics(
        samples.images,
        samples.labels,
        train,
        held_out,
        held_out_name=name,
        seed=config.training.seed,
        device=config.training.device,
    )
    run.write_json("evaluation/first.json", metrics)
    measuring = time.perf_counter() - began
    log.say(f"measured them in {measuring:.1f} s")
    for entry in metrics["metrics"].values():
        floor = "none" if entry["floor"] is None else f"{entry['floor']:.4g}"
        log.say(f"  {entry['name']}: {entry['value']:.4g} (floor {floor})")
    _report(run, config, train, pipeline, samples, {"sampling": sampling, "metrics": measuring})


def _report(
    run: RunDirectory,
    config: RunConfig,
    train: View,
    pipeline: DiffusionPipeline,
    samples: Samples,
    seconds: dict[str, float],
) -> Path:
    spec = config.model.spec
    trajectory = pipeline(1, seed=0, trajectory=True).trajectory
    learnt = [m for m in (pipeline.denoiser, pipeline.encoder) if m is not None]
    parameters = sum(count_parameters(module) for module in learnt)
    material = gather_material(
        samples.images,
        samples.labels,
        train,
        spec.class_names,
        strip=None if trajectory is None else trajectory.denoised[:, 0],
        strip_levels=() if trajectory is None else np.exp(-trajectory.log_snr / 2).tolist(),
        parameters=parameters,
        nfe=samples.nfe,
        sampling_seconds=samples.seconds,
        sampler=f"{spec.sampler}, {spec.steps} steps, guidance {spec.guidance:g}",
        seconds=seconds,
    )
    return write_report(run.path, material)


def _count(config: RunConfig) -> int:
    """Samples for the first metrics: as many as a short wait allows."""
    _, height, width = config.model.spec.shape
    if config.training.device == "cuda":
        return MOST
    return int(np.clip(PIXELS // (height * width), FEWEST, MOST))


def _held_out(data: ImageSet) -> tuple[str, View | None]:
    for name in ("test", "validation"):
        split = data.split(name)
        if len(split):
            return name, View.of(split)
    return "test", None


@dataclass(frozen=True)
class View:
    """Images of a split that fit into memory: all of them, or evenly spaced ones.

    Attributes:
        images: (n, H, W, C) uint8.
        labels: (n,) int64, or None.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None

    @classmethod
    def of(cls, split: ImageSet) -> View:
        """The view of ``split``."""
        most = max(FEWEST, VIEW_BYTES // int(np.prod(split.shape)))
        rows = np.linspace(0, len(split) - 1, min(len(split), most)).astype(np.int64)
        return cls(split.take(rows), None if split.labels is None else split.labels[rows])
