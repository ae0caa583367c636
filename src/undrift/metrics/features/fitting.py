"""How a feature network comes to its weights: initial draw, normalisation, training, unit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from undrift.metrics.features.convnet import FeatureNetwork
from undrift.networks import are_points
from undrift.randomness import generator, key

_BLOCK = 1024
_PEAK_RATE = 4e-3
_IMAGES_SEEN = 48_000  # in all, but
_FEWEST_PASSES, _MOST_PASSES = 3.0, 40.0  # of each image
_UNTIMED = 3  # steps before the pace is known: the first one takes longer

OnFit = Callable[[int, int, float], None]
"""Called as (images seen, images to be seen in all, expected seconds for the rest); raises to stop.
"""


def initial_network(
    channels: int, classes: int, size: tuple[int, int], seed: int
) -> FeatureNetwork:
    """An untrained network whose weights are named by ``seed``; global state is untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(seed, "feature network"))
        return FeatureNetwork(channels, classes, size)


def train(
    network: FeatureNetwork,
    images: Tensor,
    labels: Tensor,
    seed: int,
    on_fit: OnFit | None = None,
) -> None:
    """Teach ``network`` the ``labels`` (n,) of ``images`` (n, C, h, w) uint8, in place.

    AdamW with a warm-up and a cosine to zero; images shifted by about a 24th of a side, points not
    at all. About 48,000 images are seen, but each at least 3 and at most 40 times.
    """
    count = len(images)
    batch = min(count, 128 if count < 10_000 else 256)
    passes = min(_MOST_PASSES, max(_FEWEST_PASSES, _IMAGES_SEEN / count))
    height, width = images.shape[2:]
    shift = 0 if are_points((height, width)) else max(1, round(max(height, width) / 24))
    draws = generator(seed, "feature training")

    def loss(rows: Tensor) -> Tensor:
        down, right = torch.randint(-shift, shift + 1, (2,), generator=draws).tolist()
        rows = rows.to(images.device)
        logits = network(_shifted(images[rows], down, right))[1]
        return F.cross_entropy(logits, labels[rows])

    descend(
        network,
        images,
        loss,
        draws,
        batch=batch,
        passes=passes,
        peak_rate=_PEAK_RATE,
        on_fit=on_fit,
    )


def descend(
    network: FeatureNetwork,
    images: Tensor,
    loss: Callable[[Tensor], Tensor],
    draws: torch.Generator,
    *,
    batch: int,
    passes: float,
    peak_rate: float,
    on_fit: OnFit | None = None,
) -> None:
    """Train ``network`` in place and set its normalisations and unit.

    Args:
        network: on the device of ``images``; in eval mode afterwards.
        images: (n, C, h, w) uint8.
        loss: of a batch, from its rows of ``images``; it may take more from ``draws``.
        draws: gives the order of the images.
        batch: rows per step.
        passes: times that each image is seen.
        peak_rate: learning rate of AdamW after its warm-up, before its cosine to zero.
        on_fit: called while it is trained.
    """
    count = len(images)
    steps = max(1, math.ceil(count * passes / batch))
    _normalise(network, images)
    optimizer = torch.optim.AdamW(network.parameters(), lr=peak_rate, weight_decay=0.05)
    network.train()
    _lay_out(network, torch.channels_last)
    order = torch.empty(0, dtype=torch.int64)
    began = time.perf_counter()
    for step in range(steps):
        if step == _UNTIMED:
            began = time.perf_counter()
        elif step > _UNTIMED and on_fit is not None:
            pace = (time.perf_counter() - began) / (step - _UNTIMED)
            on_fit(step * batch, steps * batch, pace * (steps - step))
        progress = step / steps
        rate = peak_rate * min(progress / 0.1, 1.0, 0.5 + 0.5 * math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = rate
        while len(order) < batch:
            order = torch.cat([order, torch.randperm(count, generator=draws)])
        rows, order = order[:batch], order[batch:]
        value = loss(rows)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
    _lay_out(network, torch.contiguous_format)
    _set_unit(network, images)


def settle(network: FeatureNetwork, images: Tensor) -> None:
    """Set the normalisations of an untrained ``network`` on ``images`` (n, C, h, w), in place."""
    _normalise(network, images)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean over batches
    network.train()
    with torch.no_grad():
        for _ in range(2):  # the second pass sees inputs that the first has settled
            for block in images.split(256):
                if len(block) > 1:
                    network(block)
    _set_unit(network, images)


def _normalise(network: FeatureNetwork, images: Tensor) -> None:
    """Set mean and deviation of each channel; block by block, to keep float64 copies small."""
    count = images[:, 0].numel()
    total, squares = (
        torch.zeros_like(network.mean).double(),
        torch.zeros_like(network.mean).double(),
    )
    for block in images.split(_BLOCK):
        levels = block.double()
        total += levels.sum(dim=(0, 2, 3))
        squares += levels.square().sum(dim=(0, 2, 3))
    mean = total / count
    deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
    network.mean.copy_(mean)
    # a channel without spread, such as an opaque alpha, has the unit of the others
    unit = deviation.max().clamp(min=1.0)
    network.std.copy_(torch.where(deviation < 1.0, unit, deviation))


def _shifted(images: Tensor, down: int, right: int) -> Tensor:
    """Images moved by whole pixels, edges repeated: one shift per batch costs next to nothing."""
    height, width = images.shape[2:]
    rows = (torch.arange(height, device=images.device) - down).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) - right).clamp(0, width - 1)
    return images[:, :, rows][:, :, :, columns]


def _set_unit(network: FeatureNetwork, images: Tensor) -> None:
    """Scale the features so that their mean variance over ``images`` is 1; leaves eval mode on."""
    network.eval()
    with torch.no_grad():
        features = torch.cat([network(block)[0] for block in images.split(_BLOCK)]).double()
    network.scale.copy_(features.var(dim=0).mean().clamp(min=1e-12).sqrt())


def _lay_out(network: FeatureNetwork, layout: torch.memory_format) -> None:
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)
