"""Features of images, in which the distances of this package are measured.

No download: the space is made from the user's own training images. `DomainClassifier` learns their
labels; `RandomFeatures` serves images without labels, with a network that is never trained. Both
carry a name with a hash of their weights, and a distance is only comparable within one name.

References: Heusel et al. (2017) for distances between classifier features; Naeem et al., "Reliable
fidelity and diversity metrics for generative models" (2020), for random features where no trained
ones fit the domain.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.errors import UsageError
from undrift.metrics import cache
from undrift.metrics.convnet import LONGEST_SIDE, FeatureNetwork
from undrift.metrics.fitting import initial_network, settle, train
from undrift.metrics.resizing import shrink, shrunk_size
from undrift.randomness import generator

_VERSION = 1  # of the recipe below: a change of it must not find old entries in the cache
_BATCH = 1024


class FeatureExtractor(Protocol):
    """What the metrics need to know of a feature space."""

    @property
    def name(self) -> str:
        """``kind@hash``: the space that a number was measured in."""
        ...

    @property
    def description(self) -> str:
        """The space in words, for the protocol string."""
        ...

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Features (n, 64) of ``images`` (n, H, W, C) uint8."""
        ...


class _NetworkFeatures:
    """Features of a `FeatureNetwork`, its name, and the size of images it accepts."""

    kind = ""

    def __init__(self, network: FeatureNetwork, shape: tuple[int, int, int]) -> None:
        self.network = network.eval().requires_grad_(False)
        self.shape = shape

    @property
    def name(self) -> str:
        """``kind@`` and eight hex digits of the weights' SHA-256."""
        return f"{self.kind}@{cache.content_hash(self.network.state_dict())[:8]}"

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Features (n, 64), float64, of ``images`` (n, H, W, C) uint8.

        Their mean variance over the training images is 1, which fixes the unit of a distance.

        Raises:
            UsageError: images of another size or channel count than those fitted on.
        """
        return self._outputs(images)[0].double().numpy()

    def _outputs(self, images: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        if images.ndim != 4 or images.shape[1:] != self.shape or images.dtype != np.uint8:
            raise UsageError(
                f"images {images.dtype} {images.shape}: {self.kind} features were fitted on uint8 "
                f"(n, {', '.join(map(str, self.shape))})"
            )
        device = self.network.mean.device
        shrunk = shrink(images, LONGEST_SIDE)
        with torch.no_grad():
            parts = [self.network(block.to(device)) for block in shrunk.split(_BATCH)]
        features, logits = zip(*parts, strict=True)
        return torch.cat(features).cpu(), torch.cat(logits).cpu()


class DomainClassifier(_NetworkFeatures):
    """A small classifier of the user's own labels; its 64 last hidden units are the features."""

    kind = "domain"
    description = "64 features of a small classifier trained on the labelled training images"

    @classmethod
    def fit(
        cls,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        *,
        classes: int | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        cache_directory: Path | None = None,
    ) -> DomainClassifier:
        """Train on ``images`` (n, H, W, C) uint8 and ``labels`` (n,), or load an earlier result.

        The result is a function of the arguments, the device and torch's thread count. It is cached
        under a hash of images, labels and settings. Seconds for 8 x 8 digits, about half a minute
        of two CPU cores for 60,000 images of 28 x 28.

        Args:
            images: the training split only: what the metrics compare with must stay unseen.
            labels: integers in [0, classes).
            classes: number of classes; default the largest label + 1.
            seed: of the initial weights, the order and the shifts.
            device: where to train and run.
            cache_directory: default the ``features`` folder of ``$UNDRIFT_CACHE``.

        Raises:
            UsageError: fewer than two images or classes, or labels that do not fit.
        """
        count = int(labels.max()) + 1 if classes is None and labels.size else classes or 0
        if labels.shape != (len(images),) or len(images) < 2 or count < 2:
            raise UsageError(
                f"a classifier of {len(images)} images, labels {labels.shape}, {count} classes: "
                "needs two of each and one label per image"
            )
        if labels.min() < 0 or labels.max() >= count:
            raise UsageError(f"labels {labels.min()} to {labels.max()}: {count} classes were named")
        return cls._obtain(images, labels, count, seed, device, cache_directory)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Most probable label (n,) int64 of each of ``images`` (n, H, W, C) uint8."""
        return self._outputs(images)[1].argmax(dim=1).numpy()

    @classmethod
    def _obtain(
        cls,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        classes: int,
        seed: int,
        device: torch.device | str,
        directory: Path | None,
    ) -> DomainClassifier:
        height, width, channels = images.shape[1:]
        shrunk = shrink(images, LONGEST_SIDE)
        targets = torch.from_numpy(labels.astype(np.int64))
        entry = _entry(shrunk, targets, (height, width), classes, seed, torch.device(device).type)
        directory = cache.features_directory() if directory is None else directory
        network = initial_network(channels, classes, shrunk_size(height, width, LONGEST_SIDE), seed)
        stored = cache.read(directory, entry)
        if stored is None:
            network.to(device)
            train(network, shrunk.to(device), targets.to(device), seed)
            cache.write(directory, entry, network.state_dict(), {"classes": classes, "seed": seed})
        else:
            network.load_state_dict(stored)
        return cls(network.to(device), (height, width, channels))


class RandomFeatures(_NetworkFeatures):
    """The same network with random weights, for images without labels.

    Only its normalisations are set, on the training images. It tells distributions apart, but knows
    nothing of what matters to people: its distances are coarser than a classifier's.
    """

    kind = "random"
    description = "64 features of an untrained random network, normalised on the training images"

    @classmethod
    def fit(cls, images: NDArray[np.uint8], *, seed: int = 0) -> RandomFeatures:
        """Draw weights from ``seed``, normalise them on ``images`` (n, H, W, C) uint8, n >= 2."""
        if len(images) < 2:
            raise UsageError(f"random features of {len(images)} images: needs at least 2")
        height, width, channels = images.shape[1:]
        order = torch.randperm(len(images), generator=generator(seed, "random features"))
        chosen = np.sort(order[:4096].numpy())
        shrunk = shrink(images[chosen], LONGEST_SIDE)
        network = initial_network(channels, 1, shrunk_size(height, width, LONGEST_SIDE), seed)
        settle(network, shrunk)
        return cls(network, (height, width, channels))


def _entry(
    images: Tensor, labels: Tensor, size: tuple[int, int], classes: int, seed: int, device: str
) -> str:
    """Name of the cache entry: everything that the trained weights depend on."""
    settings = f"{_VERSION}|{tuple(images.shape)}|{size}|{classes}|{seed}|{device}"
    digest = hashlib.sha256(settings.encode())
    digest.update(images.numpy().tobytes())
    digest.update(labels.numpy().tobytes())
    return f"domain-{digest.hexdigest()[:24]}"
