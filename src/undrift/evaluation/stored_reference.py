"""A reference in one file: features instead of images, so that it can be used without the data.

The file is safetensors: ``features`` (m, D), ``labels`` (m,) where there are any, ``floor`` and
``floor_labels``, the same of up to as many other real images, and the weights of the feature
network where these were fitted on the data. Its header holds a JSON object: the feature
space by name and hash, hash and split of the data, the classes, hashes of the images and of the
sets that samples must not be, and that of all tensors, by which damage is noticed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from undrift.errors import ModelFileError, UsageError, one_line
from undrift.evaluation.bench import Bench, OnFeatures, seconds_per_image
from undrift.evaluation.reference import Reference, WholeSet
from undrift.evaluation.subject import content_hash
from undrift.files.durable import write_output
from undrift.files.reading import expanded, parse_json
from undrift.files.tensors import read_tensors
from undrift.limits import LARGEST_IMAGE
from undrift.metrics import Images
from undrift.metrics.features import DomainClassifier, FeatureExtractor, open_extractor
from undrift.metrics.features.cache import content_hash as tensor_hash
from undrift.metrics.features.choose import restored
from undrift.metrics.features.fitted import FittedNetwork
from undrift.schema import from_plain

SUFFIX = ".safetensors"
_HEADER = "undrift.reference"
_NETWORK = "network."


@dataclass(frozen=True, eq=False)
class StoredReference:
    """What a reference file holds.

    Attributes:
        reference: its images are stand-ins, of which only number, size and labels are true.
        features: (m, D).
        floor: the same of other real images, and
        floor_labels: what they show; None where there were none.
        header: the JSON object.
        network: weights of the feature network; empty where these come from elsewhere.
    """

    reference: Reference
    features: NDArray[np.floating]
    floor: NDArray[np.floating] | None
    floor_labels: NDArray[np.int64] | None
    header: dict[str, Any]
    network: dict[str, Tensor]

    def bench(
        self,
        n: int,
        seed: int,
        *,
        features: str | None,
        weights: str | None,
        download: bool,
        device: torch.device | str,
        on_features: OnFeatures | None = None,
    ) -> Bench:
        """As `Bench.open`, with the space that the features are of.

        Raises:
            UsageError: weights that are missing.
            ModelFileError: ``features`` are another space, or its weights are others.
        """
        spec = features or self.header["spec"]
        extractor = self._extractor(spec, weights, download, device)
        if extractor.name != self.header["space"]:
            other = f"holds features of {self.header['space']}, not of {extractor.name}"
            if features is None:
                raise ModelFileError(
                    f"{self.reference.source} {other}, whose weights are here; store it again"
                )
            raise ModelFileError(
                f"--features {features}: {self.reference.source} {other}; leave it out, or store a "
                "reference of that space"
            )
        if on_features is not None:
            on_features(seconds_per_image(extractor, self.reference.images.images))
        rows = self.reference.images.rows(n, seed, "reference")
        classifier = extractor if isinstance(extractor, DomainClassifier) else None
        return Bench(
            self.reference,
            self.reference.images.take(rows),
            extractor,
            classifier,
            seed,
            known=self.features[rows],
            known_floor=self.floor,
            floor_labels=self.floor_labels,
        )

    def _extractor(
        self, spec: str, weights: str | None, download: bool, device: torch.device | str
    ) -> FeatureExtractor:
        shape = self.reference.images.images.shape[1:]
        kind = self.header["space"].partition("@")[0]
        if self.network and spec == self.header["spec"]:
            found = restored(kind, self.network, (shape[0], shape[1], shape[2]))
            found.network.to(device)
            return found
        if self.network or spec in ("domain", "random", "pixels"):
            raise ModelFileError(
                f"--features {spec}: {self.reference.source} holds features of "
                f"{self.header['space']}, not of {spec}; leave it out, or store a reference of "
                "that space"
            )
        example = np.zeros((2, *shape), np.uint8)
        return open_extractor(
            spec, example, None, device=device, weights=weights, download=download
        )


def is_stored(source: object) -> TypeGuard[str]:
    """Whether ``source`` names a reference file."""
    return isinstance(source, str) and Path(source).suffix == SUFFIX


def store_reference(path: Path, bench: Bench, spec: str) -> None:
    """Write the real images of ``bench`` to ``path``, as features.

    Raises:
        UsageError: a space that is fitted on the data and can't be stored, or the file can't be
            written.
    """
    kind = bench.extractor.name.partition("@")[0]
    if kind == "pixels" or path.suffix != SUFFIX:
        raise UsageError(
            f"--save-reference {path}: wanted a name that ends in {SUFFIX}, and features other "
            f"than pixels; these are {bench.extractor.name}"
        )
    tensors = {"features": torch.from_numpy(np.ascontiguousarray(bench.features))}
    if bench.held_out.labels is not None:
        tensors["labels"] = torch.from_numpy(bench.held_out.labels)
    if (floor := bench.floor) is not None:
        tensors["floor"] = torch.from_numpy(np.ascontiguousarray(floor.sample_features))
        if floor.samples.labels is not None:
            tensors["floor_labels"] = torch.from_numpy(floor.samples.labels)
    if isinstance(bench.extractor, FittedNetwork):
        weights = bench.extractor.network.state_dict()
        tensors |= {_NETWORK + name: tensor.cpu() for name, tensor in weights.items()}
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    header = {
        "space": bench.extractor.name,
        "spec": spec,
        "shape": list(bench.held_out.images.shape[1:]),
        "classes": list(bench.reference.classes),
        "source": Path(bench.reference.source).name,
        "split": bench.reference.split,
        "data": bench.reference.fingerprint,
        "images": _content(bench),
        "sets": [[whole.name, whole.count, whole.content] for whole in bench.reference.sets],
        "sha256": tensor_hash(tensors),
    }
    data = save(tensors, {_HEADER: json.dumps(header)})
    write_output(path, data, flag="--save-reference")


def _content(bench: Bench) -> str:
    """Names the images that the features are of; where these are not here, by their set and n."""
    if bench.reference.training is not None:
        return content_hash(bench.held_out.images)
    whole = bench.reference.sets[0].content
    return f"{whole}-{len(bench.held_out)}-{bench.seed}"


@dataclass(frozen=True)
class _Header:
    """What the header's JSON object has to say; its entries are explained above."""

    space: str
    spec: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    source: str
    split: str
    data: str
    images: str
    sets: tuple[tuple[str, int, str], ...]
    sha256: str


def _check_tensors(tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Refuse shapes that no reference has.

    Raises:
        ValueError: what is wrong.
    """
    if not all(1 <= side <= LARGEST_IMAGE for side in header["shape"]):
        raise ValueError(f"images of shape {header['shape']}")
    classes = len(header["classes"])
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


def open_stored(source: str, split: str | None) -> StoredReference:
    """Read a reference file.

    Raises:
        UsageError: ``split`` is another one than the file's.
        ModelFileError: no such file, another kind of file, or a damaged one.
    """
    advice = "make one by undrift evaluate --save-reference"
    tensors, about = read_tensors(expanded(source, ModelFileError), ModelFileError, advice)
    if _HEADER not in about:
        raise ModelFileError(f"{source}: no readable reference file; {advice}")
    header = parse_json(about[_HEADER], source, ModelFileError, advice)
    try:
        from_plain(_Header, header, "its header")
        _check_tensors(tensors, header)
        whole = header["sha256"] == tensor_hash(tensors)
        features = tensors["features"].numpy()
        labels = tensors["labels"].numpy() if "labels" in tensors else None
        images = Images.unseen(len(features), tuple(header["shape"]), labels)
        reference = Reference(
            source,
            header["split"],
            images,
            None,
            tuple(header["classes"]),
            header["data"],
            tuple(WholeSet(name, count, known=content) for name, count, content in header["sets"]),
        )
    except (UsageError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(
            f"{source}: no readable reference file ({one_line(error)}); {advice}"
        ) from error
    if not whole:
        raise ModelFileError(f"{source}: damaged, its hash is another; make it again")
    if split is not None and split != reference.split:
        raise UsageError(f"--split {split}: {source} holds {reference.split} images")
    network = {
        name.removeprefix(_NETWORK): tensor
        for name, tensor in tensors.items()
        if name.startswith(_NETWORK)
    }
    floor, floor_labels = (
        tensors[name].numpy() if name in tensors else None for name in ("floor", "floor_labels")
    )
    return StoredReference(reference, features, floor, floor_labels, header, network)
