r"""Do images follow their masks? Overlap of masks that a small network reads from the images.

A network that is trained on real images and their masks reads the class of each pixel of an image;
its masks are compared with those that the images were drawn from. With :math:`P_i^k, T_i^k` the
pixels of class :math:`k` in the read and in the given mask of image :math:`i`,

.. math::

    \mathrm{IoU}_k = \frac{\sum_i |P_i^k \cap T_i^k|}{\sum_i |P_i^k \cup T_i^k|}, \qquad
    \mathrm{mIoU} = \frac1K \sum_k \mathrm{IoU}_k                                            (1)

over the K classes that occur. Held-out real pairs say how well the network itself can do, and
samples beside the masks of other samples what images reach that ignore their masks. Intervals are
bootstrapped over images.

Reference: Park et al. 2019, "Semantic Image Synthesis with Spatially-Adaptive Normalization"
(SPADE), section 4, which measures samples this way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from undrift.errors import UsageError
from undrift.metrics.estimate import Estimate
from undrift.randomness import generator, key

WIDTH, BATCH, RATE = 16, 16, 3e-3
"""Channels at full resolution, images of a batch, and peak learning rate."""

RESAMPLES = 1000


@dataclass(frozen=True)
class Overlap:
    """Overlap of masks, by equation (1).

    Attributes:
        images: how many.
        mean: over the classes that occur, with a 95 % interval.
        classes: IoU of each class, nan where it occurs in no mask.
    """

    images: int
    mean: Estimate
    classes: tuple[float, ...]


class Segmenter(nn.Module):
    """A U-Net of three levels that reads the class of each pixel.

    Args:
        channels: of the images.
        classes: of a pixel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 1, 1, dtype=torch.float32))
        self.register_buffer("std", torch.ones(channels, 1, 1, dtype=torch.float32))
        self.fine = _block(channels, WIDTH)
        self.middle = _block(WIDTH, 2 * WIDTH)
        self.coarse = _block(2 * WIDTH, 4 * WIDTH)
        self.middle_up = _block(6 * WIDTH, 2 * WIDTH)
        self.fine_up = _block(3 * WIDTH, WIDTH)
        self.out = nn.Conv2d(WIDTH, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Uint8 (B, C, H, W) -> logits (B, classes, H, W)."""
        fine = self.fine((images.float() - self.mean) / self.std)
        middle = self.middle(F.max_pool2d(fine, 2, ceil_mode=True))
        coarse = self.coarse(F.max_pool2d(middle, 2, ceil_mode=True))
        middle = self.middle_up(torch.cat([_grown(coarse, middle), middle], dim=1))
        return self.out(self.fine_up(torch.cat([_grown(middle, fine), fine], dim=1)))


def fit_segmenter(
    images: NDArray[np.uint8],
    masks: NDArray[np.int64],
    *,
    classes: int,
    steps: int = 1500,
    seed: int = 0,
) -> Segmenter:
    """Train a segmenter on real pairs, mirrored at random, on the CPU.

    Args:
        images: uint8 (N, H, W, C).
        masks: class of each pixel, (N, H, W).
        classes: K; masks hold 0 to K - 1.
        steps: updates.
        seed: of the weights and the order.

    Raises:
        UsageError: no pairs, masks of another size, or a class out of range.
    """
    if not len(images) or masks.shape != images.shape[:3]:
        raise UsageError(f"segmenter: images {images.shape}, masks {masks.shape}; wanted pairs")
    if masks.min() < 0 or masks.max() >= classes:
        raise UsageError(
            f"segmenter: classes {masks.min()} to {masks.max()}, wanted 0 to {classes - 1}"
        )
    pixels, truth = _tensor(images), torch.from_numpy(np.ascontiguousarray(masks))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(seed, "segmenter"))
        model = Segmenter(images.shape[3], classes)
        flat = pixels.float().transpose(0, 1).flatten(1)
        model.mean.copy_(flat.mean(1)[:, None, None])
        model.std.copy_(flat.std(1).clamp_min(1.0)[:, None, None])
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        model.train()
        for step in range(steps):
            drawn = generator(seed, "masks", step)
            rows = torch.randint(len(images), (BATCH,), generator=drawn, device="cpu")
            across, down = (torch.randint(2, (2,), generator=drawn, device="cpu") == 1).tolist()
            axes = [axis for axis, chosen in ((-1, across), (-2, down)) if chosen]
            loss = F.cross_entropy(model(pixels[rows].flip(axes)), truth[rows].flip(axes))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def overlap(
    model: Segmenter, images: NDArray[np.uint8], masks: NDArray[np.int64], *, seed: int = 0
) -> Overlap:
    """Measure how far masks that are read from images are those they were drawn from.

    Args:
        model: from `fit_segmenter`.
        images: uint8 (N, H, W, C).
        masks: class of each pixel, (N, H, W).
        seed: of the bootstrap.
    """
    read = np.concatenate(
        [
            model(_tensor(images[start : start + 64])).argmax(dim=1).numpy()
            for start in range(0, len(images), 64)
        ]
    )
    return mask_overlap(read, masks, classes=model.out.out_channels, seed=seed)


def mask_overlap(
    read: NDArray[np.int64], given: NDArray[np.int64], *, classes: int, seed: int = 0
) -> Overlap:
    """Equation (1) of masks (N, H, W) of ``classes`` classes.

    Raises:
        UsageError: no masks, or some of another shape.
    """
    if read.shape != given.shape or not len(read):
        raise UsageError(f"overlap: masks {read.shape} and {given.shape}; wanted pairs")
    # pixels in both masks, and in either: (N, K) each
    both, either = (
        np.stack([combine(read == k, given == k).sum((1, 2)) for k in range(classes)], axis=1)
        for combine in (np.logical_and, np.logical_or)
    )
    by_class = _ratios(both.sum(axis=0), either.sum(axis=0))
    count = len(read)
    random = np.random.default_rng(key(seed, "overlap"))
    times = random.multinomial(count, np.full(count, 1 / count), RESAMPLES)  # each image is drawn
    low, high = np.quantile(
        np.nanmean(_ratios(times @ both, times @ either), axis=1), [0.025, 0.975]
    )
    method = f"bootstrap of {RESAMPLES} over {count} images, the segmenter held fixed"
    mean = Estimate(float(np.nanmean(by_class)), float(low), float(high), method)
    return Overlap(count, mean, tuple(by_class.tolist()))


def _ratios(both: NDArray[np.int64], either: NDArray[np.int64]) -> NDArray[np.float64]:
    """IoU of each class, nan of a class in neither mask."""
    return np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)


def _block(inward: int, outward: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inward, outward, 3, padding=1),
        nn.GroupNorm(8, outward),
        nn.SiLU(),
        nn.Conv2d(outward, outward, 3, padding=1),
        nn.GroupNorm(8, outward),
        nn.SiLU(),
    )


def _grown(coarse: Tensor, fine: Tensor) -> Tensor:
    return F.interpolate(coarse, size=fine.shape[2:], mode="nearest")


def _tensor(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
