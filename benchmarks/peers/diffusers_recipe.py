"""Train diffusers' course recipe on an npz and sample it, as ``azula_recipe.py`` does for azula.

The recipe is that of the speed benchmarks (``contenders.py``): ``UNet2DModel`` of 32, 64, 64
channels, class-conditional, AdamW at 1e-3, clipping, ``EMAModel``; the averaged weights are sampled
by ``DPMSolverMultistepScheduler``. The clock counts training only, and with ``--clock processor``
the processor time of it; the data is in memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from contenders import CLASSES, their_samples, theirs  # noqa: E402 - the folder above is no package


def main() -> None:
    """Train, sample, write ``--out`` and one JSON line on stdout."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="npz with images (N,H,W,C) and labels")
    parser.add_argument("--out", required=True, help="npz to write: images and labels")
    parser.add_argument("--seconds", type=float, required=True, help="training time")
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("-n", type=int, default=1000, help="images to sample")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    data = np.load(options.data)
    steps, network, average = theirs(
        data["images"],
        data["labels"],
        batch=options.batch,
        precision="float32",
        channels_last=False,
    )
    clock = time.process_time if options.clock == "processor" else time.perf_counter
    start, count = clock(), 0
    while clock() - start < options.seconds:
        steps(1)
        count += 1
    training = clock() - start
    average.copy_to(network.parameters())

    start = time.perf_counter()
    x = their_samples(
        network, options.n, options.steps, batch=250, channels_last=False, precision="float32"
    )
    sampling = time.perf_counter() - start
    made = ((x.clip(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    np.savez(options.out, images=made, labels=np.arange(options.n) % CLASSES)
    print(
        json.dumps(
            {
                "peer": f"diffusers {version('diffusers')}",
                "torch": torch.__version__,
                "parameters": sum(weight.numel() for weight in network.parameters()),
                "steps": count,
                "images": count * options.batch,
                "seconds": round(training, 2),
                "images_per_second": round(count * options.batch / training, 1),
                "sampling_seconds": round(sampling, 2),
                "nfe": options.steps,
                "options": vars(options),
            }
        )
    )


if __name__ == "__main__":
    main()
