"""Rotated digits: does the requested angle appear, also between those of the training data.

    python benchmarks/rotated_digits.py $UNDRIFT_DATA/mnist --budget 20m --out rotated

Handwritten 2, 3, 4, 5 and 7 are turned by known angles and shrunk to 16x16; no training image has
an angle in `GAP`. A regressor trained on other turned digits reads the angle from images, and its
mean error on samples is compared with that on real ones. Criterion: at most 1.5 times as large,
held-out angles included.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from record import conditions, write
from torch import Tensor, nn
from torch.nn import functional

import undrift
import undrift.data
from undrift.runs.configuration import load as load_config

DIGITS = (2, 3, 4, 5, 7)
"""Digits that half a turn does not take to themselves or to another one."""

LARGEST = 60.0
"""Degrees, on either side."""

GAP = (15.0, 30.0)
SIDE = 16
UNIT = 30.0
"""Degrees in which the regressor counts."""


def turned(digits: NDArray[np.uint8], angles: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Images (N, 28, 28) turned counter-clockwise by angles (N,) in degrees: (N, 16, 16)."""
    pictures = (
        Image.fromarray(digit)
        .rotate(angle, Image.Resampling.BICUBIC)
        .resize((SIDE, SIDE), Image.Resampling.BOX)
        for digit, angle in zip(digits, angles, strict=True)
    )
    return np.stack([np.asarray(picture) for picture in pictures])


def inputs(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images.reshape(-1, 1, SIDE, SIDE)).float() / 255


def regressor(images: NDArray[np.uint8], angles: NDArray[np.float64], steps: int) -> nn.Module:
    """A convolutional network that reads the angle, in units of `UNIT`."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for channels, width, stride in ((1, 24, 1), (24, 48, 2), (48, 96, 2)):
        layers += [nn.Conv2d(channels, width, 3, stride, padding=1), nn.ReLU()]
    layers += [nn.Flatten(), nn.Linear(96 * 16, 128), nn.ReLU(), nn.Linear(128, 1)]
    network = nn.Sequential(*layers)
    x, wanted = inputs(images), torch.from_numpy(angles).float() / UNIT
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (128,))
        loss = functional.smooth_l1_loss(network(x[rows])[:, 0], wanted[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network


@torch.no_grad()
def errors(
    network: nn.Module, images: NDArray[np.uint8], angles: NDArray[np.float64]
) -> dict[str, float]:
    """Mean error of the angle in degrees, its standard error, and the mean in `GAP`."""
    found = network(inputs(images))[:, 0].double().numpy() * UNIT
    error = np.abs(found - angles)
    held_out = (angles > GAP[0]) & (angles < GAP[1])
    return {
        "mean": error.mean(),
        "standard_error": error.std() / len(error) ** 0.5,
        "held_out_angles": error[held_out].mean(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="MNIST's folder")
    parser.add_argument("--budget", default="20m", help="of the training")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("-n", type=int, default=600, help="samples for each guidance")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    data = undrift.data.load(options.data).split("train")
    if data.labels is None:
        raise SystemExit(f"{options.data}: wanted digits with their labels")
    rows = np.flatnonzero(np.isin(data.labels, DIGITS))
    digits, labels = data.take(rows)[..., 0], data.labels[rows]
    random = np.random.default_rng(0)
    angles = random.uniform(-LARGEST, LARGEST, len(rows))
    real = turned(digits, angles)
    seen, unseen = slice(0, 24_000), slice(24_000, None)
    network = regressor(real[seen], angles[seen], steps=1500)

    again = random.uniform(-LARGEST, LARGEST, len(rows))[seen]
    again = again[(again < GAP[0]) | (again > GAP[1])]
    kept = slice(0, len(again))
    path = options.out / "rotated.npz"
    np.savez(path, images=turned(digits[kept], again), labels=labels[kept], angle=again)
    run = undrift.train(
        path,
        numbers=("angle",),
        budget=options.budget,
        bare=True,
        out=options.out / "run",
        progress=True,
    )
    pipeline = undrift.Pipeline.from_pretrained(run.pipeline)
    wanted = random.uniform(1 - LARGEST, LARGEST - 1, options.n)
    result: dict[str, Any] = {"real": errors(network, real[unseen], angles[unseen])}
    for guidance in (1.0, 1.5, 2.0):
        drawn = pipeline(
            options.n, labels="all", numbers={"angle": wanted.tolist()}, guidance=guidance
        )
        result[f"guidance {guidance:g}"] = errors(network, drawn.images, wanted)
    trained = load_config(run.directory / "config.yaml").training
    result["images_trained_on"] = trained.steps * trained.batch_size
    print(json.dumps(result, indent=1))
    write("rotated-digits", conditions() | result)


if __name__ == "__main__":
    main()
