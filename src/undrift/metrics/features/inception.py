"""The space of the standard FID: TensorFlow's Inception of 2015 behind TensorFlow 1's resize.

Heusel et al., "GANs trained by a two time-scale update rule" (2017). A Frechet distance is called
FID only here, and only with the weights whose hash is known: other weights, another resize or
another range make other numbers (Parmar et al., "On aliased resizing", 2022).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import urllib.request
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor

from undrift.advice import possible
from undrift.errors import ModelFileError, UsageError
from undrift.files.cache import cache_directory
from undrift.files.durable import write_file
from undrift.files.reading import read_bytes
from undrift.metrics.features.colour import three_channels
from undrift.metrics.features.inception_network import (
    CLASSES,
    FEATURES,
    SIDE,
    InceptionNetwork,
    resize_as_tensorflow_1,
)

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_SIZE = "91 MB"
_PATIENCE = 60.0  # seconds without a byte before a download is given up
_BATCH = 32

_log = logging.getLogger("undrift")


class InceptionFeatures:
    """2048 features of the network, and the 1008 classes of its head.

    Args:
        network: its weights are used as they are.
        sha256: hex hash of the file that they came from.
        device: where to run.
    """

    description = (
        "2048 features of TensorFlow's Inception-2015-12-05, TensorFlow 1 bilinear resize to 299"
    )

    def __init__(
        self, network: InceptionNetwork, sha256: str, device: torch.device | str = "cpu"
    ) -> None:
        self.network = network.eval().requires_grad_(False).to(device)
        self.sha256 = sha256
        self.device = torch.device(device)

    @classmethod
    def open(
        cls,
        weights: str | Path | None = None,
        *,
        download: bool = False,
        device: torch.device | str = "cpu",
    ) -> InceptionFeatures:
        """Load the weights.

        Args:
            weights: a file with the parameter names of pytorch-fid, ``.pth`` or ``.safetensors``.
                Any such file works, under its own hash. Default: the standard file in the
                ``weights`` folder of ``$UNDRIFT_CACHE``, which must be the one that is known.
            download: fetch the standard file if it is not there.
            device: where to run.

        Raises:
            UsageError: no such file; the message says where to get it, how large it is and where
                to put it. Or a download that failed.
            ModelFileError: a damaged file, or one of another network.
        """
        standard = cache_directory() / "weights" / FILE
        path = standard if weights is None else Path(weights)
        if not os.path.lexists(path):
            if weights is not None:
                raise UsageError(f"no weight file {path}: give the path of {FILE}, from {URL}")
            if not download:
                hint = possible(
                    ", name another place by {feature_weights} FILE, or allow it with {download}",
                    "",
                )
                raise UsageError(
                    f"inception features need {FILE} ({_SIZE}): download it from {URL} to "
                    f"{path}{hint}"
                )
            _fetch(path)
        blob = read_bytes(path, UsageError, f"give the path of {FILE}")
        sha256 = hashlib.sha256(blob).hexdigest()
        if weights is None and sha256 != SHA256:
            raise ModelFileError(
                f"{path} has SHA-256 {sha256[:8]}, wanted {SHA256[:8]}: delete it, fetch it again"
                + possible(", or name it by {feature_weights} to use it under its own hash", "")
            )
        network = InceptionNetwork()
        try:
            network.load_state_dict(_tensors(blob, path))
        except (RuntimeError, TypeError, AttributeError) as error:
            raise ModelFileError(
                f"{path} does not hold this network: wanted the parameters of {FILE}"
            ) from error
        return cls(network, sha256, device)

    @property
    def name(self) -> str:
        """``inception@`` and eight hex digits of the weight file's SHA-256."""
        return f"inception@{self.sha256[:8]}"

    @property
    def dimension(self) -> int:
        """2048."""
        return FEATURES

    @property
    def classes(self) -> int:
        """1008: the network's own, eight of which belong to no ImageNet class."""
        return CLASSES

    @property
    def standard_fid(self) -> bool:
        """True for the known weights, whose hash was checked."""
        return self.sha256 == SHA256

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (n, 2048), float32, of grey or RGB ``images`` (n, H, W, C) uint8 of any size.

        Raises:
            UsageError: another type, shape or channel count.
        """
        parts = [np.zeros((0, FEATURES), np.float32)]
        for start in range(0, len(images), _BATCH):
            levels = three_channels(images[start : start + _BATCH], "inception")
            parts.append(self._run(levels.to(self.device)).cpu().numpy())
        return np.concatenate(parts)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Most probable class (n,) int64 of each of ``images`` (n, H, W, C) uint8."""
        return self.probabilities(images).argmax(axis=1)

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Probability (n, 1008) of each class, by logits without their bias.

        The published inception score left the bias out (Salimans et al., 2016, their code).
        """
        return self.read(images)[1]

    def read(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """``features`` and ``probabilities`` of ``images`` by one pass through the network."""
        features = self.features(images)
        return features, self.probabilities_of(features)

    def probabilities_of(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """``probabilities`` of images of which only ``features`` (n, 2048) are known."""
        weight = self.network.fc.weight.double().cpu()
        logits = torch.from_numpy(np.asarray(features, np.float64)) @ weight.T
        return logits.softmax(dim=1).numpy()

    def _run(self, levels: Tensor) -> Tensor:
        # convolutions of 10 bits (TF32), the default on recent GPUs, would move the features
        exact = (
            torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
            if self.device.type == "cuda"
            else contextlib.nullcontext()
        )
        with torch.no_grad(), exact:
            resized = resize_as_tensorflow_1(levels.float(), SIDE)
            return self.network((resized - 128) / 128)


def _tensors(blob: bytes, path: Path) -> dict[str, Tensor]:
    """Named tensors of a weight file; nothing in it is ever run."""
    try:
        if path.suffix == ".safetensors":
            return load(blob)
        return torch.load(io.BytesIO(blob), map_location="cpu", weights_only=True)
    except Exception as error:
        # damaged archives raise a dozen kinds, one of them in a module that is not imported here
        raise ModelFileError(
            f"{path} is no weight file, or damaged: wanted {FILE} or a .safetensors of it"
        ) from error


def _fetch(path: Path) -> None:
    """Download the standard file to ``path``, whole and checked or not at all."""
    _log.warning("downloading %s (%s) to %s", URL, _SIZE, path)
    try:
        with urllib.request.urlopen(URL, timeout=_PATIENCE) as response:
            blob = response.read()
    except OSError as error:
        raise UsageError(
            f"cannot download {URL}: {error}; fetch it by other means and put it at {path}"
        ) from error
    found = hashlib.sha256(blob).hexdigest()
    if found != SHA256:
        raise UsageError(
            f"what {URL} gave has SHA-256 {found[:8]}, wanted {SHA256[:8]}: try again, or fetch "
            f"the file by other means and put it at {path}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, blob, durable=False)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
