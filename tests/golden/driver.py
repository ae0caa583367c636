"""What the golden cases ask of the library: the one file here that its interface can break."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from rich.console import Console

import undrift
import undrift.data
from undrift.diffusion import Flow
from undrift.errors import TerminatedError
from undrift.options.train import TrainOptions
from undrift.pipelines import Pipeline
from undrift.runs.loading import load_pipeline
from undrift.runs.progress import TrainingProgress
from undrift.workflows.planning import find_start
from undrift.workflows.train import train_run

HERE = Path(__file__).parent
WRITTEN = HERE / "written"
"""Two runs that were stopped half-way and a pipeline, as version 0.1.0 wrote them."""

Arrays = dict[str, NDArray[Any]]


BARE = TrainOptions(bare=True)


def configuration(name: str) -> Path:
    """A complete ``config.yaml``: no recipe and no default has a say in it."""
    return HERE / "configurations" / f"{name}.yaml"


def train(config: Path, out: Path, *, stop_after: int | None = None) -> None:
    """Train what ``config`` says into ``out``, up to the pipeline; or stop as SIGTERM does."""

    def stop(progress: TrainingProgress) -> None:
        if progress.step == stop_after:
            os.kill(os.getpid(), signal.SIGTERM)

    start = find_start(None, BARE, out, config)
    try:
        train_run(start, BARE, console=Console(quiet=True), callback=stop)
    except TerminatedError:
        if stop_after is None:
            raise


def resume(run: Path) -> None:
    """Train an interrupted run to its end."""
    train_run(find_start(run, BARE), BARE, console=Console(quiet=True))


def copied(name: str, folder: Path) -> Path:
    """A copy in ``folder`` of what is stored under ``name``."""
    return Path(shutil.copytree(WRITTEN / name, folder / name))


def weights(run: Path) -> Arrays:
    """The weights of a finished run's pipeline, by name."""
    return safetensors.numpy.load_file(run / "pipeline" / "model.safetensors")


def pipeline(name: str, **which: Any) -> Pipeline:
    """The pipeline of what is stored under ``name``."""
    return load_pipeline(WRITTEN / name, **which)


@cache
def denoiser() -> Pipeline:
    """The stored diffusion pipeline, on the path it was trained on (VE)."""
    return pipeline("pipeline")


@cache
def flow_denoiser() -> Pipeline:
    """The same network on the flow path, which begins at alpha = 0."""
    made = copy.copy(denoiser())
    path = copy.copy(made.denoiser)
    path.schedule = Flow()
    made.model = replace(made.model, denoiser=path)
    return made


@cache
def generator() -> Pipeline:
    """The pipeline of the stored GAN."""
    return pipeline("r3gan")


@cache
def digits() -> NDArray[np.uint8]:
    """All of the handwritten digits, uint8 (1797, 8, 8, 1)."""
    return undrift.data.load("digits").images


def evaluation(out: Path, **settings: Any) -> dict[str, float]:
    """Numbers of an evaluation of the stored pipeline, by ``metric.which``."""
    undrift.evaluate(WRITTEN / "pipeline", reference="digits", out=out, device="cpu", **settings)
    return _numbers(json.loads(out.read_text())["metrics"], ("value", "low", "high", "floor"))


def likelihood(out: Path, **settings: Any) -> dict[str, float]:
    """Numbers of the likelihood of digits under the stored pipeline, by ``method.which``."""
    undrift.bits_per_dim(WRITTEN / "pipeline", "digits", out=out, device="cpu", **settings)
    methods = json.loads(out.read_text())["methods"]
    return _numbers(methods, ("bits_per_dim", "standard_error", "low", "high", "nfe"))


def curve(out: Path, **settings: Any) -> dict[str, float]:
    """Numbers of the quality of few-step samplers of the stored pipeline, by sampler and NFE."""
    undrift.curve(WRITTEN / "pipeline", reference="digits", out=out, device="cpu", **settings)
    found: dict[str, float] = {}
    for cell in json.loads((out / "curve.json").read_text())["cells"]:
        numbers = _numbers(cell["metrics"], ("value", "low", "high"))
        found |= {f"{cell['sampler']}.{cell['nfe']}.{name}": x for name, x in numbers.items()}
    return found


def _numbers(entries: dict[str, dict[str, Any]], which: tuple[str, ...]) -> dict[str, float]:
    return {
        f"{name}.{key}": float(entry[key])
        for name, entry in entries.items()
        for key in which
        if entry.get(key) is not None
    }
