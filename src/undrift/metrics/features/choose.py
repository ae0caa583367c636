"""Feature spaces by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift import synonyms
from undrift.advice import named
from undrift.errors import ModelFileError, UsageError
from undrift.metrics.features.convnet import LONGEST_SIDE, FeatureNetwork
from undrift.metrics.features.domain import DomainClassifier
from undrift.metrics.features.extractor import FeatureExtractor
from undrift.metrics.features.fitted import FittedNetwork
from undrift.metrics.features.fitting import OnFit
from undrift.metrics.features.inception import InceptionFeatures
from undrift.metrics.features.own import function_features, onnx_features, torchscript_features
from undrift.metrics.features.pixels import PixelFeatures
from undrift.metrics.features.pretrained import PretrainedFeatures
from undrift.metrics.features.resizing import shrunk_size
from undrift.metrics.features.selfsupervised import SelfSupervisedFeatures
from undrift.metrics.features.spread import require_different
from undrift.metrics.features.texture import TextureFeatures
from undrift.metrics.features.untrained import RandomFeatures
from undrift.names import did_you_mean

_FITTED: dict[str, type[FittedNetwork]] = {
    found.kind: found for found in (DomainClassifier, SelfSupervisedFeatures, RandomFeatures)
}
_NAMES = ("domain", "random", "pixels", "texture", "inception", "dinov2", "clip")


def open_extractor(
    spec: str,
    training_images: NDArray[np.uint8],
    training_labels: NDArray[np.int64] | None,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    cache_directory: Path | None = None,
    weights: str | Path | None = None,
    download: bool = False,
    on_fit: OnFit | None = None,
) -> FeatureExtractor:
    """The feature space ``spec``, fitted on the training images where it is fitted at all.

    Args:
        spec: ``domain`` (a classifier of the training labels; without two classes of them, features
            learned without labels), ``random``, ``pixels``, ``texture``, ``inception``, ``dinov2``
            or ``clip`` with an optional ``:DIRECTORY_OR_HUB_ID``, ``FILE.pt``, ``FILE.onnx``, or
            ``module:function``.
        training_images: (n, H, W, C) uint8.
        training_labels: (n,), or None.
        seed: of fitted spaces.
        device: where networks run.
        cache_directory: where fitted networks are cached, default the ``features`` folder of
            ``$UNDRIFT_CACHE``.
        weights: the weight file, where the space needs one.
        download: fetch weights that are missing; without it nothing touches the network.
        on_fit: called while a network is trained, if one is.

    Raises:
        UsageError: an unknown space, a setting that it does not have, weights that are missing, or
            training images that are all the same.
        ModelFileError: weights that are damaged or of another network.
    """
    kind, _, argument = spec.partition(":")
    if weights is not None and kind != "inception":
        raise UsageError(
            f"{named('feature_weights')} {weights}: features {spec!r} take no weight file; it goes "
            f"with {named('features')} inception"
        )
    if kind in ("domain", "random", "pixels", "texture", "inception") and argument:
        raise UsageError(f"features {spec!r}: {kind} takes nothing after a colon")
    if kind in ("domain", "random"):
        require_different(training_images, f"{kind} features")
    if kind == "domain":
        if training_labels is not None and len(np.unique(training_labels)) > 1:
            return DomainClassifier.fit(
                training_images,
                training_labels,
                seed=seed,
                device=device,
                cache_directory=cache_directory,
                on_fit=on_fit,
            )
        return SelfSupervisedFeatures.fit(
            training_images,
            seed=seed,
            device=device,
            cache_directory=cache_directory,
            on_fit=on_fit,
        )
    if kind == "random":
        return RandomFeatures.fit(training_images, seed=seed, device=device)
    if kind == "pixels":
        return PixelFeatures.fit(training_images, seed=seed)
    if kind == "texture":
        return TextureFeatures.fit(training_images, seed=seed)
    if kind == "inception":
        return InceptionFeatures.open(weights, download=download, device=device)
    if kind in ("dinov2", "clip"):
        return PretrainedFeatures.open(kind, argument or None, download=download, device=device)
    return _own(spec, training_images, device)


def restored(
    kind: str, weights: Mapping[str, Tensor], shape: tuple[int, int, int]
) -> FittedNetwork:
    """A space that was fitted before, from its weights.

    Args:
        kind: first half of its name.
        weights: of its network.
        shape: (H, W, C) of the images.

    Raises:
        ModelFileError: weights of another network.
    """
    try:
        outputs = len(weights["logits.weight"])
        size = shrunk_size(shape[0], shape[1], LONGEST_SIDE)
        network = FeatureNetwork(shape[2], outputs, size)
        network.load_state_dict(dict(weights))
        return _FITTED[kind](network, shape)
    except (KeyError, RuntimeError) as error:
        raise ModelFileError(f"weights of {kind} features do not fit images {shape}") from error


def _own(spec: str, example: NDArray[np.uint8], device: torch.device | str) -> FeatureExtractor:
    suffix = Path(spec).suffix
    if suffix == ".pt":
        return torchscript_features(Path(spec), example, device)
    if suffix == ".onnx":
        return onnx_features(Path(spec), example)
    if ":" in spec:
        return function_features(spec, example)
    hint = did_you_mean(spec, _NAMES, "", synonyms.FEATURES)
    choices = f"give one of {', '.join(_NAMES)}, a file .pt or .onnx, or module:function"
    raise UsageError(f"unknown features {spec!r}: {f'{hint} {choices}'.strip()}")
