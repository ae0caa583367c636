"""Training and sampling steps of undrift and of diffusers, made to be timed side by side.

Both train on the same images in memory, class-conditionally, with gradient clipping and an average
of the weights: ours is the library's own ``Trainer``, diffusers' is its course recipe. Neither is
compiled.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel
from diffusers.training_utils import EMAModel
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import undrift.data
from undrift.conditioning import Condition
from undrift.networks import UNetConfig
from undrift.options.train import TrainOptions
from undrift.pipelines import DiffusionPipeline
from undrift.runs.recipes import resolve
from undrift.training.distributed import World
from undrift.training.learners.diffusion import DiffusionLearner
from undrift.training.loop import Trainer
from undrift.training.optimizers import AdamWConfig
from undrift.training.signals import StopSignals

CLASSES = 10
COSINE_LAMBDA_MIN = -5.1
Steps = Callable[[int], None]


def random_images(size: int, channels: int, count: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, size, size, channels) uint8 of noise, and labels."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (count, size, size, channels), dtype=np.uint8)
    return images, draw.integers(0, CLASSES, count)


def ours(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    batch: int,
    precision: str,
    network: UNetConfig | None = None,
) -> tuple[Steps, DiffusionLearner, UNetConfig]:
    """Training steps of undrift's recipe, or of another network with AdamW, as diffusers has it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npz"
        np.savez(path, images=images, labels=labels)
        data = undrift.data.load(path, holdout=0)
    settings = TrainOptions(
        steps=1_000_000,
        batch_size=batch,
        holdout=0.0,
        precision="bfloat16" if precision == "bfloat16" else "float32",
        threads=torch.get_num_threads(),
    )
    config = resolve("benchmark", settings, data, device="cpu")
    if network is not None:
        model = replace(config.model, network=network, optimizer=AdamWConfig())
        config = replace(config, model=model)
    learner = DiffusionLearner(config.model, 0, torch.device("cpu"))
    trainer = Trainer(learner, config.training, data.split("train"), world=World.join())
    stop = StopSignals()
    chosen = config.model.network
    if not isinstance(chosen, UNetConfig):
        raise SystemExit(f"the recipe's network is {type(chosen).__name__}, wanted a U-Net")
    return (lambda count: trainer.run(stop, until=trainer.step + count)), learner, chosen


def diffusers_network(size: int, channels: int) -> UNet2DModel:
    """The course recipe's network: 1.7 million parameters, attention on the two coarser levels."""
    return UNet2DModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(32, 64, 64),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        num_class_embeds=CLASSES,
    )


def theirs(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    batch: int,
    precision: str,
    channels_last: bool,
) -> tuple[Steps, UNet2DModel, EMAModel]:
    """Training steps of diffusers' course recipe, its network and the average of its weights."""
    size, channels = images.shape[1], images.shape[3]
    network = diffusers_network(size, channels)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
    scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    average = EMAModel(network.parameters(), decay=0.999, use_ema_warmup=True, power=0.75)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    classes = torch.from_numpy(labels)

    def steps(count: int) -> None:
        for _ in range(count):
            rows = torch.randint(len(pixels), (batch,))
            x = pixels[rows]
            if channels_last:
                x = x.contiguous(memory_format=torch.channels_last)
            noise = torch.randn_like(x)
            times = torch.randint(0, 1000, (batch,))
            noisy = scheduler.add_noise(x, noise, times)
            with _autocast(precision):
                guess = network(noisy, times, class_labels=classes[rows]).sample
            loss = F.mse_loss(guess.float(), noise)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            average.step(network.parameters())

    return steps, network, average


def their_samples(
    network: UNet2DModel, n: int, steps: int, *, batch: int, channels_last: bool, precision: str
) -> Tensor:
    """``n`` images (n, C, H, W) by DPMSolverMultistepScheduler, as its pipeline would draw them."""
    size, channels = network.config["sample_size"], network.config["in_channels"]
    scheduler = DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        lambda_min_clipped=COSINE_LAMBDA_MIN,
    )
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = network.to(memory_format=layout).eval()
    parts = []
    with torch.no_grad(), _autocast(precision):
        for labels in (torch.arange(n) % CLASSES).split(batch):
            scheduler.set_timesteps(steps)
            x = torch.randn(len(labels), channels, size, size).contiguous(memory_format=layout)
            for time in scheduler.timesteps:
                guess = network(x, time, class_labels=labels).sample
                x = scheduler.step(guess.float(), time, x).prev_sample
            parts.append(x)
    return torch.cat(parts)


def our_samples(
    pipeline: DiffusionPipeline, n: int, steps: int, *, batch: int, precision: str
) -> np.ndarray:
    """``n`` images (n, H, W, C) uint8 by the library's pipeline."""
    chosen = "bfloat16" if precision == "bfloat16" else "float32"
    drawn = pipeline(
        n, labels="all", steps=steps, sampler="dpmpp_2m", batch_size=batch, precision=chosen
    )
    return drawn.images


def our_flops(learner: DiffusionLearner) -> float:
    """Floating-point operations per image of the network, forward and backward."""
    network, encoder = learner.networks["network"], learner.networks["encoder"]
    x, labels = torch.randn(4, *learner.config.spec.image_shape), torch.arange(4)

    def call() -> Tensor:
        return network(x, torch.zeros(4), encoder(Condition({"labels": labels}), 4))

    return _flops(call) / 4


def their_flops(network: UNet2DModel) -> float:
    """The same for diffusers."""
    size, channels = network.config["sample_size"], network.config["in_channels"]
    x, labels = torch.randn(4, channels, size, size), torch.arange(4)
    return _flops(lambda: network(x, 10, class_labels=labels).sample) / 4


def _flops(call: Callable[[], Tensor]) -> float:
    with FlopCounterMode(display=False) as counter:
        call().sum().backward()
    return float(counter.get_total_flops())


def equal_flops(
    wanted: float, measure: Callable[[UNetConfig], float], base: UNetConfig, within: float = 0.05
) -> UNetConfig:
    """The variant of ``base`` (its width, its blocks) that costs ``wanted`` FLOPs.

    FLOPs are a parabola in the width, so two measurements give the width; the roundest one (to 16,
    8, 4, 2 channels) that is near enough is taken, since odd widths waste vector lanes.

    Raises:
        SystemExit: if none comes within ``within``.
    """
    for blocks in (base.blocks, base.blocks + 1):
        variant = replace(base, blocks=blocks)
        small, large = (measure(replace(variant, width=width)) for width in (32, 64))
        square = (large - 2 * small) / (64**2 - 2 * 32**2)
        linear = (small - square * 32**2) / 32
        exact = ((linear**2 + 4 * square * wanted) ** 0.5 - linear) / (2 * square)
        for multiple in (16, 8, 4, 2):
            config = replace(variant, width=max(multiple, round(exact / multiple) * multiple))
            predicted = square * config.width**2 + linear * config.width
            if abs(predicted / wanted - 1) <= within and (
                abs(measure(config) / wanted - 1) <= within
            ):
                return config
    raise SystemExit(f"no U-Net within {within:.0%} of {wanted / 1e6:.1f} MFLOP per image")


def _autocast(precision: str) -> torch.autocast | nullcontext[None]:
    if precision == "bfloat16":
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return nullcontext()
