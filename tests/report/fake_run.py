"""A run directory with everything in it and nothing trained, for tests of the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from undrift.metrics.results import RESULTS, MetricResult
from undrift.pipelines.diffusion.one_step import OneStep
from undrift.report import ReportMaterial, gather_material
from undrift.report.history import History
from undrift.runs.events import Event
from undrift.schema import to_plain

STEPS, BATCH = 1200, 64
LOG_SNR = np.linspace(7.0, -5.0, 10)
NAMES = tuple(str(digit) for digit in range(10))


class Split:
    """Images and labels: what the report and the metrics need of a data set."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.int64] | None) -> None:
        self.images = images
        self.labels = labels


def history_of(events: Sequence[dict[str, Any]]) -> History:
    """The history of planted events, each at time 0 if it does not say when."""
    return History.of([Event.of({"time": 0.0, **event}, "planted") for event in events])


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The embedded digits, uint8 (1797, 8, 8, 1), and their labels."""
    data = load_digits()
    images = np.round(data.images * 255 / 16).astype(np.uint8)[..., None]
    return images, data.target.astype(np.int64)


def make_run(directory: Path, *, floor: float = 0.45, fall: float = 3.0) -> Path:
    """Write a finished run of 1,200 steps into ``directory``.

    Args:
        directory: made if absent.
        floor: error relative to the Gaussian denoiser's at the end, at middle noise.
        fall: how fast it gets there; 0 never moves.
    """
    (directory / "samples").mkdir(parents=True)
    (directory / "evaluation").mkdir()
    images, labels = digits()
    _write(directory / "config.yaml", yaml.safe_dump(config(), sort_keys=False))
    _json(directory / "data.json", data(images, labels))
    _json(
        directory / "environment.json",
        {
            "python": "3.13.1",
            "platform": "Linux x86_64",
            "packages": {"undrift": "0.1.0", "torch": "2.13.0+cpu", "numpy": "2.4.6"},
            "device": "cpu",
            "cores": 2,
            "threads": 2,
            "command": ["undrift", "train", "digits", "--budget", "60s"],
            "git": None,
        },
    )
    _json(directory / "status.json", {"state": "done", "step": STEPS, "steps": STEPS})
    _json(directory / "evaluation" / "first.json", evaluation())
    found = events(directory, images, floor, fall)
    lines = [json.dumps({"time": 1000.0 + i, **event}) for i, event in enumerate(found)]
    _write(directory / "metrics.jsonl", "\n".join(lines) + "\n")
    return directory


def material(count: int = 200) -> ReportMaterial:
    """Digits with a little noise, posing as samples."""
    images, labels = digits()
    draws = np.random.default_rng(0)
    noise = draws.normal(0, 12, images[:count].shape)
    samples = np.clip(images[-count:] + noise, 0, 255).astype(np.uint8)
    levels = [float("inf"), 20.0, 8.0, 4.0, 2.0, 1.2, 0.7, 0.4, 0.2, 0.05, 0.0]
    blends = [level / (1 + level) if np.isfinite(level) else 1.0 for level in levels]
    mean = images.mean(axis=0)
    strip = np.stack([mean * b + samples[0] * (1 - b) for b in blends]).astype(np.uint8)
    return gather_material(
        samples,
        labels[-count:],
        Split(images[:-count], labels[:-count]),
        NAMES,
        strip=strip,
        strip_levels=levels,
        parameters=943_617,
        nfe=20,
        sampling_seconds=3.7,
        sampler="dpmpp_2m, 20 steps, guidance 1",
        seconds={"probe": 2.1, "validation": 3.0, "grids": 4.1, "sampling": 3.7, "metrics": 5.2},
    )


def config() -> dict[str, Any]:
    """What ``config.yaml`` holds."""
    return {
        "data": {"source": "digits", "size": None, "holdout": 0.05},
        "model": {
            "spec": {"shape": [1, 8, 8], "class_names": list(NAMES)},
            "codec": {"kind": "standardise", "mean": [78.0], "std": [96.0]},
            "network": {"kind": "unet", "patch": 1, "width": 64, "multipliers": [1, 2]},
            "schedule": {"kind": "ve", "sigma_max": 80.0},
            "parameterization": "edm",
            "levels": {"kind": "log_normal", "mean": -0.6, "std": 1.3, "stratified": True},
            "weighting": {"kind": "edm"},
            "label_dropout": 0.1,
            "flip": False,
            "augment": 0.0,
            "optimizer": {"kind": "adamw", "learning_rate": 2e-3, "betas": [0.9, 0.99]},
        },
        "training": {
            "steps": STEPS,
            "batch_size": BATCH,
            "seed": 0,
            "learning_rate": {"warm_up": 0.02, "decay": 0.5},
            "clip": 1.0,
            "ema": [0.05, 0.1],
            "precision": "float32",
            "device": "cpu",
            "threads": 2,
        },
        "budget": "60s",
        "seconds_per_step": 0.046,
        "init": None,
    }


def data(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> dict[str, Any]:
    """What ``data.json`` holds."""
    histogram = np.bincount(images.ravel(), minlength=256)
    counts = np.bincount(labels, minlength=10)
    return {
        "source": "digits",
        "kind": "digits",
        "count": len(images),
        "size": [8, 8],
        "channels": 1,
        "sizes": {"8x8": len(images)},
        "modes": {"L": len(images)},
        "value_levels": 17,
        "mean": [float(images.mean())],
        "std": [float(images.std())],
        "histogram": [histogram.tolist()],
        "classes": {name: int(n) for name, n in zip(NAMES, counts, strict=True)},
        "splits": {"train": 1538, "validation": 79, "test": 180},
        "duplicates": {"extra": 0, "groups": 0, "straddling": 0, "examples": []},
        "set_aside": [{"name": "three/torn <b>.png", "reason": "truncated file"}],
        "ignored": 2,
        "ignored_kinds": {".txt": 1, "hidden": 1},
        "notes": [],
        "warnings": ["only 17 distinct values: the images are coarsely quantised"],
        "fingerprint": "0f" * 16,
    }


def evaluation() -> dict[str, Any]:
    """What ``evaluation/first.json`` holds."""

    metrics = {
        "fd": metric("fd", 0.913, (0.71, 1.12), 0.674, "FD[domain@026832a2]"),
        "label_accuracy": metric("label_accuracy", 0.982, (0.97, 0.99), 0.987),
        "coverage": metric("coverage", 0.941, None, 0.967),
        "memorization": metric("memorization", 0.012, (0.007, 0.021), 0.011, "memorization"),
    }
    return {
        "metrics": to_plain(metrics),
        "missing": {},
        "features": {"name": "domain@026832a2"},
        "protocol": "1000 samples against 180 test images",
    }


def metric(
    key: str,
    value: float,
    interval: tuple[float, float] | None,
    floor: float | None,
    name: str = "",
    **more: Any,
) -> MetricResult:
    """A metric's result."""
    name = name or f"{key.replace('_', ' ')}[domain@026832a2]"
    needed: dict[str, dict[str, Any]] = {
        "label_accuracy": {"classes": {}},
        "memorization": {
            "flagged": False,
            "p_value": 1.0,
            "exact": 0,
            "threshold": 0.1,
            "held_out": None,
            "closest": (),
        },
    }
    low, high = interval or (None, None)
    facts: dict[str, Any] = {"n": 1000, "n_reference": 180, "better": "lower", "interval": ""}
    facts |= {"protocol": f"how {name} was computed"} | needed.get(key, {}) | more
    numbers = {"value": value, "low": low, "high": high, "floor": floor}
    return RESULTS.get(key, MetricResult)(name=name, **numbers, **facts)


def events(
    directory: Path, images: NDArray[np.uint8], floor: float, fall: float
) -> list[dict[str, Any]]:
    """What ``metrics.jsonl`` holds; draws the grids that it names."""
    draws = np.random.default_rng(1)
    ratio = np.exp(-LOG_SNR / 2)
    gaussian = (0.9 * ratio**2 / (0.9 + ratio**2)) * 0.8
    shape = np.exp(-((LOG_SNR - 1.0) ** 2) / 12.0)
    log: list[dict[str, Any]] = [
        {"event": "start", "step": 0},
        {"event": "probe", "seconds_per_step": 0.046, "steps": STEPS, "seconds": 2.1},
    ]
    for step in range(10, STEPS + 1, 10):
        done = step / STEPS
        log.append(
            {
                "event": "train",
                "step": step,
                "images": step * BATCH,
                "loss": 0.18 + 0.9 * np.exp(-9 * done) + draws.normal(0, 0.012),
                "grad_norm": 0.3 + 1.4 * np.exp(-12 * done) + abs(draws.normal(0, 0.05)),
                "learning_rate": 2e-3 * min(1.0, done / 0.02, (1 - done) / 0.5),
                "images_per_second": 1390 + draws.normal(0, 25),
                "data_wait": 0.003,
            }
        )
    for step in (30, 70, 130, 220, 350, 520, 760, 980, STEPS):
        done = step / STEPS
        for weights, lag in (("ema", 1.0), ("raw", 1.25)):
            excess = 1.6 * np.exp(-fall * 2.2 * done / lag) if fall else 1.6
            relative = (1 + excess) * (1 - (1 - floor) * shape * (1 - np.exp(-fall * done)))
            losses = (gaussian * relative).tolist()
            log.append(
                {
                    "event": "validation",
                    "step": step,
                    "images": step * BATCH,
                    "weights": weights,
                    "loss": float(np.mean(losses)),
                    "log_snr": LOG_SNR.tolist(),
                    "losses": losses,
                    "gaussian": gaussian.tolist(),
                    "standard_errors": [0.01 * loss for loss in losses],
                    "condition_gaps": {
                        "labels": {
                            "gaps": [0.1 * done * loss for loss in losses],
                            "standard_errors": [0.02 * loss for loss in losses],
                            "gap": 0.1 * done * float(np.mean(losses)),
                            "standard_error": 0.02 * float(np.mean(losses)),
                            "loss": float(np.mean(losses)),
                        }
                    },
                    "seconds": 0.17,
                }
            )
    for step in (1, 20, 60, 130, 250, 400, 600, 900, STEPS):
        for weights in ("ema", "raw"):
            file = f"samples/step_{step:06d}_{weights}.png"
            noise = 150 * np.exp(-6 * step / STEPS) * (1.2 if weights == "raw" else 1.0)
            _grid(images[:40], noise, draws).save(directory / file)
            log.append({"event": "grid", "step": step, "file": file, "weights": weights})
    shown = images[-6:]
    estimates = [shown + draws.normal(0, std, shown.shape) for std in (4, 8, 16)]
    found = OneStep(shown, np.clip(estimates, 0, 255).astype(np.uint8))
    file = f"samples/step_{STEPS:06d}_one_step.png"
    found.picture().save(directory / file)
    log.append({"event": "one_step", "step": STEPS, "file": file, "weights": "ema"})
    log.append({"event": "checkpoint", "step": 600, "seconds": 0.4, "bytes": 19_000_000})
    log.append({"event": "checkpoint", "step": STEPS, "seconds": 0.4, "bytes": 19_000_000})
    log.append({"event": "done", "step": STEPS, "images": STEPS * BATCH, "seconds": 57.9})
    return log


def _grid(images: NDArray[np.uint8], noise: float, draws: np.random.Generator) -> Image.Image:
    noisy = np.clip(images + draws.normal(0, noise, images.shape), 0, 255).astype(np.uint8)
    sheet = noisy[..., 0].reshape(5, 8, 8, 8).transpose(0, 2, 1, 3).reshape(40, 64)
    return Image.fromarray(sheet).resize((256, 160), Image.Resampling.NEAREST)


def _json(path: Path, content: dict[str, Any]) -> None:
    _write(path, json.dumps(content))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
