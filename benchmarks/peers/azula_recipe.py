"""Train azula's tutorial recipe on an npz and sample it: run with the peers' own Python.

The recipe is that of azula's MNIST tutorial: a class-conditional ``UNet`` of 16, 32, 64 channels
with two blocks each, the label embedding added to a two-layer embedding of the noise level,
``KarrasDenoiser`` on ``VPSchedule``, uniform times, Adam 3e-4 at batch 64, no EMA, no decay,
sampled by DDIM in 64 steps. ``--decay`` and ``--ema`` add what we do beside the network: the
learning rate falls linearly to zero over the last DECAY of the run, the weights are averaged over a
power-function window of relative width EMA.

The clock counts training only, and with ``--clock processor`` the processor time of it; the data is
in memory.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version

import numpy as np
import torch
from azula.denoise import KarrasDenoiser
from azula.nn.unet import UNet
from azula.noise import VPSchedule
from azula.sample import DDIMSampler, HeunSampler
from torch import Tensor, nn


class ConditionalUNet(nn.Module):
    """The tutorial's network: label and noise level share one modulation vector."""

    def __init__(self, channels: int, classes: int, features: int = 64) -> None:
        super().__init__()
        self.unet = UNet(
            in_channels=channels,
            out_channels=channels,
            hid_channels=[16, 32, 64],
            hid_blocks=[2, 2, 2],
            mod_features=features,
        )
        self.label = nn.Embedding(classes, features)
        self.level = nn.Sequential(nn.Linear(1, features), nn.SiLU(), nn.Linear(features, features))

    def forward(self, x_t: Tensor, level: Tensor, label: Tensor) -> Tensor:
        """Network output for noisy images (B, C, H, W), log noise level (B,), labels (B,)."""
        return self.unet(x_t, self.label(label) + self.level(level[..., None]))


def power_of(relative_width: float) -> float:
    """Exponent of the power-function average with this relative width (Karras et al. 2024)."""
    width = relative_width**-2
    return float(np.roots([1, 7, 16 - width, 12 - width]).real.max())


def main() -> None:
    """Train, sample, write ``--out`` and one JSON line on stdout."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="npz with images (N,H,W,C) and labels")
    parser.add_argument("--out", required=True, help="npz to write: images and labels")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--seconds", type=float, help="training time")
    length.add_argument("--images", type=int, help="training images instead of a time")
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("-n", type=int, default=1000, help="images to sample")
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--decay", type=float, default=0.0, help="share of the run that decays")
    parser.add_argument("--ema", type=float, default=0.0, help="relative width; 0 is none")
    parser.add_argument("--sampler", choices=("ddim", "heun"), default="ddim")
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    data = np.load(options.data)
    images = torch.from_numpy(data["images"]).permute(0, 3, 1, 2).float() / 127.5 - 1
    labels = torch.from_numpy(data["labels"]).long()
    classes = int(labels.max()) + 1
    denoiser = KarrasDenoiser(ConditionalUNet(images.shape[1], classes), VPSchedule())
    optimizer = torch.optim.Adam(denoiser.parameters(), lr=options.lr)
    weights = list(denoiser.parameters())
    average = [weight.detach().clone() for weight in weights] if options.ema else []
    power = power_of(options.ema) if options.ema else 0.0

    clock = time.process_time if options.clock == "processor" else time.perf_counter
    start = clock()
    step = seen = 0
    order = torch.randperm(len(images))
    while True:
        if options.images is None:
            progress = (clock() - start) / options.seconds
        else:
            progress = seen / options.images
        if progress >= 1:
            break
        if options.decay:
            rate = options.lr * min(1.0, (1 - progress) / options.decay)
            optimizer.param_groups[0]["lr"] = rate
        if len(order) < options.batch:  # drop_last, as the tutorial's loader does
            order = torch.randperm(len(images))
        rows, order = order[: options.batch], order[options.batch :]
        x = images[rows]
        loss = denoiser.loss(x, torch.rand(len(x)), label=labels[rows])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        seen += len(x)
        if average:
            torch._foreach_lerp_(average, weights, 1 - (1 - 1 / step) ** (power + 1))
    training = clock() - start

    if average:
        with torch.no_grad():
            for weight, mean in zip(weights, average, strict=True):
                weight.copy_(mean)
    denoiser.eval()
    wanted = torch.arange(options.n) % classes
    start = time.perf_counter()
    kind = DDIMSampler if options.sampler == "ddim" else HeunSampler
    sampler = kind(denoiser, steps=options.steps, silent=True)
    made = []
    for part in wanted.split(250):
        noise = sampler.init((len(part), *images.shape[1:]))
        made.append(sampler(noise, label=part))
    x = torch.cat(made)
    sampling = time.perf_counter() - start
    out = ((x.clip(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    np.savez(options.out, images=out, labels=wanted.numpy())
    print(
        json.dumps(
            {
                "peer": f"azula {version('azula')}",
                "torch": torch.__version__,
                "parameters": sum(weight.numel() for weight in weights),
                "steps": step,
                "images": seen,
                "seconds": round(training, 2),
                "images_per_second": round(seen / training, 1),
                "loss": round(float(loss.detach()), 4),
                "sampling_seconds": round(sampling, 2),
                "nfe": options.steps * (2 if options.sampler == "heun" else 1),
                "options": vars(options),
            }
        )
    )


if __name__ == "__main__":
    main()
