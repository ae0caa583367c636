"""Features that a small classifier of the user's own labels learns.

No download: the space is made from the labelled training images, which suits images that the large
public networks have never seen. Distances between classifier features follow Heusel et al. (2017).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.errors import UsageError
from undrift.metrics.features import cache
from undrift.metrics.features.convnet import LONGEST_SIDE
from undrift.metrics.features.fitted import FittedNetwork
from undrift.metrics.features.fitting import OnFit, initial_network, train
from undrift.metrics.features.resizing import shrink, shrunk_size

_VERSION = 2  # of the recipe below: a change of it must not find old entries in the cache


class DomainClassifier(FittedNetwork):
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
        on_fit: OnFit | None = None,
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
            on_fit: called while the network is trained, if it is.

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
        return cls._obtain(images, labels, count, seed, device, cache_directory, on_fit)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Most probable label (n,) int64 of each of ``images`` (n, H, W, C) uint8."""
        return self.outputs(images)[1].argmax(dim=1).numpy()

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Probability (n, K) of each class for each of ``images`` (n, H, W, C) uint8."""
        return self.read(images)[1]

    def read(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """``features`` and ``probabilities`` of ``images`` by one pass through the network."""
        features, logits = self.outputs(images)
        return features.double().numpy(), logits.double().softmax(dim=1).numpy()

    def probabilities_of(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """``probabilities`` of images of which only ``features`` (n, 64) are known."""
        network = self.network
        hidden = torch.from_numpy(np.asarray(features, np.float32)).to(network.scale.device)
        with torch.no_grad():
            logits = network.logits(hidden * network.scale)
        return logits.double().softmax(dim=1).cpu().numpy()

    @property
    def classes(self) -> int:
        """K, the number of classes."""
        return self.network.logits.out_features

    @classmethod
    def _obtain(
        cls,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        classes: int,
        seed: int,
        device: torch.device | str,
        directory: Path | None,
        on_fit: OnFit | None,
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
            train(network, shrunk.to(device), targets.to(device), seed, on_fit)
            cache.write(directory, entry, network.state_dict(), {"classes": classes, "seed": seed})
        else:
            network.load_state_dict(stored)
        return cls(network.to(device), (height, width, channels))


def _entry(
    images: Tensor, labels: Tensor, size: tuple[int, int], classes: int, seed: int, device: str
) -> str:
    """Name of the cache entry: everything that the trained weights depend on."""
    settings = f"{_VERSION}|{tuple(images.shape)}|{size}|{classes}|{seed}|{device}"
    digest = hashlib.sha256(settings.encode())
    digest.update(images.numpy().tobytes())
    digest.update(labels.numpy().tobytes())
    return f"domain-{digest.hexdigest()[:24]}"
