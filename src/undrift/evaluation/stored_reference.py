"""A reference in one file: features instead of images, so that it can be used without the data.

The file is safetensors: ``features`` (m, D), ``labels`` (m,) where there are any, ``floor`` and
``floor_labels``, the same of up to as many other real images, and the weights of the feature
network where these were fitted on the data. Its header holds a JSON object: the feature
space by name and hash, hash and split of the data, the classes, hashes of the images and of the
sets that samples must not be, and that of all tensors, by which damage is noticed.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from undrift.advice import named
from undrift.errors import ModelFileError, UsageError, one_line
from undrift.evaluation.reference import (
    OnFeatures,
    Reference,
    ReferenceImages,
    WholeSet,
    seconds_per_image,
)
from undrift.evaluation.target import content_hash
from undrift.files.durable import write_output
from undrift.files.reading import expanded, parse_json
from undrift.files.tensors import read_tensors
from undrift.limits import LARGEST_IMAGE
from undrift.metrics import Images
from undrift.metrics.features import DomainClassifier, FeatureExtractor, OnFit, open_extractor
from undrift.metrics.features.cache import content_hash as tensor_hash
from undrift.metrics.features.choose import restored
from undrift.metrics.features.fitted import FittedNetwork
from undrift.options import FeatureOptions
from undrift.schema import from_plain, stored_as, to_plain

SUFFIX = ".safetensors"
_HEADER = "undrift.reference"
_NETWORK = "network."


@dataclass(frozen=True, kw_only=True)
class Header:
    """The JSON object of a reference file; its entries are explained above."""

    space: str
    spec: str
    image_shape: tuple[int, int, int] = stored_as("shape")
    classes: tuple[str, ...]
    source: str
    split: str
    data: str
    images: str
    sets: tuple[tuple[str, int, str], ...]
    sha256: str


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredReference(ReferenceImages):
    """What a reference file holds; of its images only number, size and labels are true.

    Attributes:
        features: (m, D).
        floor: features of other real images; None where there were none.
        floor_labels: their labels.
        header: the JSON object.
        network: weights of the feature network; empty where they are stored elsewhere.
    """

    features: NDArray[np.floating]
    floor: NDArray[np.floating] | None
    floor_labels: NDArray[np.int64] | None
    header: Header
    network: dict[str, Tensor]

    @property
    def space(self) -> str:
        """The feature space of the file."""
        return self.header.spec

    def in_space(
        self,
        n: int,
        seed: int,
        options: FeatureOptions,
        device: torch.device | str,
        *,
        classify: bool = True,
        on_features: OnFeatures | None = None,
        on_fit: OnFit | None = None,
    ) -> Reference:
        """Take ``n`` of the stored features at most, and open their space."""
        extractor = self._extractor(options, device)
        if extractor.name != self.header.space:
            other = f"holds features of {self.header.space}, not of {extractor.name}"
            if options.features is None:
                raise ModelFileError(
                    f"{self.source} {other}, whose weights are here; store it again"
                )
            raise ModelFileError(
                f"{named('features')} {options.features}: {self.source} {other}; leave it out, or "
                "store a reference of that space"
            )
        if on_features is not None:
            on_features(seconds_per_image(extractor, self.images.images))
        rows = self.images.rows(n, seed, "reference")
        classifier = extractor if isinstance(extractor, DomainClassifier) else None
        return Reference(
            self,
            self.images.take(rows),
            extractor,
            classifier,
            seed,
            known=self.features[rows],
            known_floor=self.floor,
            floor_labels=self.floor_labels,
        )

    def _extractor(self, options: FeatureOptions, device: torch.device | str) -> FeatureExtractor:
        spec = options.features or self.space
        height, width, channels = self.header.image_shape
        if self.network and spec == self.space:
            kind = self.header.space.partition("@")[0]
            found = restored(kind, self.network, (height, width, channels))
            found.network.to(device)
            return found
        if self.network or spec in ("domain", "random", "pixels"):
            raise ModelFileError(
                f"{named('features')} {spec}: {self.source} holds features of {self.header.space}, "
                f"not of {spec}; leave it out, or store a reference of that space"
            )
        example = np.zeros((2, height, width, channels), np.uint8)
        return open_extractor(
            spec,
            example,
            None,
            device=device,
            weights=options.feature_weights,
            download=options.download,
        )


def is_stored(source: object) -> bool:
    """Whether ``source`` names a reference file."""
    return isinstance(source, str | os.PathLike) and Path(source).suffix == SUFFIX


def store_reference(path: Path, reference: Reference, spec: str) -> None:
    """Write ``reference`` to ``path``, as features.

    Args:
        path: a name that ends in ``.safetensors``.
        reference: the real images and their space.
        spec: the space as the user named it.

    Raises:
        UsageError: a space that is fitted on the data and can't be stored, or the file can't be
            written.
    """
    extractor, images = reference.extractor, reference.images
    if extractor.name.partition("@")[0] == "pixels" or path.suffix != SUFFIX:
        raise UsageError(
            f"{named('save_reference')} {path}: wanted a name that ends in {SUFFIX}, and features "
            f"other than pixels; these are {extractor.name}"
        )
    tensors = {"features": torch.from_numpy(np.ascontiguousarray(reference.features))}
    if images.labels is not None:
        tensors["labels"] = torch.from_numpy(images.labels)
    if (floor := reference.floor) is not None:
        tensors["floor"] = torch.from_numpy(np.ascontiguousarray(floor.sample_features))
        if floor.samples.labels is not None:
            tensors["floor_labels"] = torch.from_numpy(floor.samples.labels)
    if isinstance(extractor, FittedNetwork):
        weights = extractor.network.state_dict()
        tensors |= {_NETWORK + name: tensor.cpu() for name, tensor in weights.items()}
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    height, width, channels = images.images.shape[1:]
    source = reference.source
    header = Header(
        space=extractor.name,
        spec=spec,
        image_shape=(height, width, channels),
        classes=source.classes,
        source=Path(source.source).name,
        split=source.split,
        data=source.fingerprint,
        images=_content(reference),
        sets=tuple((whole.name, whole.count, whole.content) for whole in source.sets),
        sha256=tensor_hash(tensors),
    )
    data = save(tensors, {_HEADER: json.dumps(to_plain(header))})
    write_output(path, data, flag=named("save_reference"))


def _content(reference: Reference) -> str:
    """Hash of the images that the features are of; without images, their set and number."""
    if reference.source.training is not None:
        return content_hash(reference.images.images)
    whole = reference.source.sets[0].content
    return f"{whole}-{len(reference.images)}-{reference.seed}"


def _check_tensors(tensors: dict[str, Tensor], header: Header) -> None:
    """Refuse shapes that no reference has.

    Raises:
        ValueError: what is wrong.
    """
    if not all(1 <= side <= LARGEST_IMAGE for side in header.image_shape):
        raise ValueError(f"images of shape {list(header.image_shape)}")
    classes = len(header.classes)
    for rows, labels in (("features", "labels"), ("floor", "floor_labels")):
        if rows in tensors and (tensors[rows].ndim != 2 or not tensors[rows].numel()):
            raise ValueError(f"{rows} of shape {tuple(tensors[rows].shape)}")
        if labels not in tensors:
            continue
        given = tensors[labels]
        if given.dtype != torch.int64 or given.shape != tensors[rows].shape[:1]:
            raise ValueError(f"{labels} of {given.dtype}, shape {tuple(given.shape)}")
        if not (0 <= int(given.min()) and int(given.max()) < classes):
            raise ValueError(f"{labels} of other classes than the {classes} in the header")


def open_stored(given: str | os.PathLike[str], split: str | None) -> StoredReference:
    """Read a reference file.

    Raises:
        UsageError: ``split`` is another one than the file's.
        ModelFileError: no such file, another kind of file, or a damaged one.
    """
    source = os.fspath(given)
    advice = "make one by undrift evaluate --save-reference"
    tensors, about = read_tensors(expanded(source, ModelFileError), ModelFileError, advice)
    if _HEADER not in about:
        raise ModelFileError(f"{source}: no readable reference file; {advice}")
    plain = parse_json(about[_HEADER], source, ModelFileError, advice)
    try:
        header = from_plain(Header, plain, "its header")
        _check_tensors(tensors, header)
        whole = header.sha256 == tensor_hash(tensors)
        labels = tensors["labels"].numpy() if "labels" in tensors else None
        floor_labels = tensors["floor_labels"].numpy() if "floor_labels" in tensors else None
        features = tensors["features"].numpy()
        found = StoredReference(
            source,
            header.split,
            Images.unseen(len(features), header.image_shape, labels),
            None,
            header.classes,
            header.data,
            tuple(WholeSet(name, count, known=content) for name, count, content in header.sets),
            features=features,
            floor=tensors["floor"].numpy() if "floor" in tensors else None,
            floor_labels=floor_labels,
            header=header,
            network={
                name.removeprefix(_NETWORK): tensor
                for name, tensor in tensors.items()
                if name.startswith(_NETWORK)
            },
        )
    except (UsageError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(
            f"{source}: no readable reference file ({one_line(error)}); {advice}"
        ) from error
    if not whole:
        raise ModelFileError(f"{source}: damaged, its hash is another; make it again")
    if split is not None and split != found.split:
        raise UsageError(f"{named('split')} {split}: {source} holds {found.split} images")
    return found
