"""Conditions that samples are drawn with: captions, numbers and maps of reference images."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.evaluation.reference import ReferenceImages
from undrift.metrics import Images
from undrift.metrics.images import GivenMap
from undrift.metrics.swap import swapped_captions
from undrift.pipelines import Pipeline, Samples
from undrift.pipelines.given import Given
from undrift.pipelines.maps import maps_for
from undrift.pipelines.numbers import OutOfRangeWarning
from undrift.pipelines.prompts import prompt_terms
from undrift.pipelines.spec import SampleSpec
from undrift.randomness import generator
from undrift.wording import images_of


@dataclass(frozen=True, eq=False)
class Conditions:
    """What M reference images give to a model; sample i gets that of image i modulo M.

    Attributes:
        labels: (M,) classes of the model; None where none are given.
        captions: M texts; None where none are given.
        numbers: (M, K) in the model's order; None where none are given.
        names: of the K numbers.
        source: whose they are, in words.
        maps: of the M images; empty where none are given.
    """

    labels: NDArray[np.int64] | None
    captions: tuple[str, ...] | None
    numbers: NDArray[np.float64] | None
    names: tuple[str, ...]
    source: str
    maps: tuple[GivenMap, ...] = ()

    @property
    def words(self) -> list[str]:
        """What is given, but for classes, in words."""
        found = [] if self.captions is None else ["captions"]
        found += [] if self.numbers is None else self.names
        return found + [f"{one.spec.name} maps" for one in self.maps]

    @property
    def key(self) -> str:
        """Hexadecimal; equal for the same conditions in the same order."""
        parts = (self.labels, self.captions, self.numbers, self.names)
        plain = [one.tolist() if isinstance(one, np.ndarray) else one for one in parts]
        named = hashlib.sha256(repr(plain).encode())
        for one in self.maps:
            named.update(one.spec.name.encode())
            named.update(np.ascontiguousarray(one.pixels).data)
        return named.hexdigest()[:16]

    def arguments(self, first: int, count: int) -> Given:
        """Of a pipeline that draws samples ``first`` to ``first + count - 1``."""
        # Image i of a request gets entry i modulo their number.
        rows = self._rows(np.array(sorted(range(first, first + count), key=lambda i: i % count)))
        found: Given = {}
        if self.labels is not None:
            found["labels"] = self.labels[rows].tolist()
        if self.captions is not None:
            found["prompts"] = [self.captions[row] for row in rows]
        if self.numbers is not None:
            columns = self.numbers[rows].T.tolist()
            found["numbers"] = dict(zip(self.names, columns, strict=True))
        if self.maps:
            found["maps"] = {one.spec.name: one.pixels[rows] for one in self.maps}
        return found

    def given(self, images: NDArray[np.uint8], labels: NDArray[np.int64] | None) -> Images:
        """Samples 0 to n - 1 with what they were drawn with."""
        rows = self._rows(np.arange(len(images)))
        captions = None if self.captions is None else tuple(self.captions[row] for row in rows)
        numbers = None if self.numbers is None else self.numbers[rows]
        maps = tuple(one.take(rows) for one in self.maps)
        return Images(images, labels, captions, numbers, maps)

    def swapped(self, known: Sequence[str], seed: int) -> Conditions | None:
        """The same with a word of each caption in another's place; see `swapped_captions`.

        Args:
            known: training captions, to learn from what goes where.
            seed: of the choice.

        Returns:
            None where there are no captions, or no word can take another's place.
        """
        if self.captions is None:
            return None
        changed = tuple(swapped_captions(self.captions, known, seed))
        return None if changed == self.captions else replace(self, captions=changed)

    def _rows(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        maps = (one.pixels for one in self.maps)
        parts = (self.labels, self.captions, self.numbers, *maps)
        return samples % next(len(one) for one in parts if one is not None)


def samples_of(
    pipeline: Pipeline,
    count: int,
    first: int,
    conditions: Conditions | None,
    **settings: Any,  # noqa: ANN401 - the family's dataclass says which
) -> Samples:
    """Draw samples ``first`` to ``first + count - 1`` with what is given.

    Numbers outside of the training range are no warning: they are those of reference images.
    """
    given: Given = {} if conditions is None else conditions.arguments(first, count)
    with warnings.catch_warnings(action="ignore", category=OutOfRangeWarning):
        return pipeline(count, first=first, **settings, **given)


def conditions_of(pipeline: Pipeline, reference: ReferenceImages, seed: int) -> Conditions | None:
    """Captions, numbers and maps of the reference images that the model takes, in a random order.

    Classes go with them, so that what is given together belongs together. Images whose caption the
    model does not read whole are left out.

    Args:
        pipeline: the model.
        reference: real images.
        seed: of the order.

    Returns:
        None for a model that takes none of these, or a reference that has none of them.
    """
    return conditions_from(
        pipeline.spec,
        reference.images,
        (reference.classes, reference.number_names),
        (reference.source, reference.split),
        seed,
    )


def conditions_from(
    spec: SampleSpec,
    images: Images,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    source: tuple[str, str],
    seed: int,
) -> Conditions | None:
    """See `conditions_of`.

    Args:
        spec: of the model.
        images: real images.
        names: of their classes, and of their numbers.
        source: whose the images are, and which split.
        seed: of the order.
    """
    classes, number_names = names
    captions = None if spec.text is None else images.captions
    numbers = _numbers(spec, images, number_names)
    if captions is None and numbers is None and not spec.maps:
        return None
    rows = np.arange(len(images))
    if captions is not None and spec.text is not None:
        read = [bool(one) and not spec.text.cut([one]) for one in captions]
        plain = [len(prompt_terms(one)) == 1 for one in captions]
        rows = np.flatnonzero(np.array(read) & np.array(plain))
        if not len(rows):  # none that the model reads: the rest is given without
            rows, captions = np.arange(len(images)), None
    rows = rows[_order(len(rows), seed)]
    maps = _maps(spec, images.take(rows))
    if captions is None and numbers is None and not maps:
        return None
    return Conditions(
        _labels(spec, images, classes, rows),
        None if captions is None else tuple(captions[row] for row in rows),
        None if numbers is None else numbers[rows],
        tuple(number.name for number in spec.numbers),
        f"{source[0]}: {images_of(source[1], len(rows))}",
        maps,
    )


def obedience(conditions: Conditions | None) -> list[str]:
    """Metrics that say whether ``conditions`` are followed."""
    if conditions is None:
        return []
    found = [] if conditions.captions is None else ["prompt_top1", "prompt_top5"]
    found += [] if conditions.numbers is None else ["number_error"]
    found += ["mask_iou"] if any(one.spec.values for one in conditions.maps) else []
    derived = any(one.spec.source != "paired" for one in conditions.maps)
    return found + (["map_error"] if derived else [])


def condition_lines(spec: SampleSpec, conditions: Conditions | None) -> list[str]:
    """What a model is drawn with and what is left open; nothing of a model of classes alone."""
    taken = [*(["captions"] if spec.text is not None else []), *(n.name for n in spec.numbers)]
    taken += [f"{one.name} maps" for one in spec.maps]
    given = [] if conditions is None else conditions.words
    left_open = [name for name in taken if name not in given]
    lines = []
    if conditions is not None and given:
        lines.append(f"drawn with the {' and '.join(given)} of {conditions.source}")
    if left_open:
        why = "the reference does not give them all"
        lines.append(f"left open: {' and '.join(left_open)}, since {why}")
    return lines


def _order(count: int, seed: int) -> NDArray[np.int64]:
    return torch.randperm(count, generator=generator(seed, "conditions"), device="cpu").numpy()


def _numbers(
    spec: SampleSpec, images: Images, names: tuple[str, ...]
) -> NDArray[np.float64] | None:
    wanted = [number.name for number in spec.numbers]
    if images.numbers is None or not wanted or not {*wanted} <= {*names}:
        return None
    return images.numbers[:, [names.index(name) for name in wanted]]


def _maps(spec: SampleSpec, images: Images) -> tuple[GivenMap, ...]:
    """Maps that the model takes, of some images; a mask with other classes is left out."""
    known = {one.name: one for one in spec.maps}
    paired = {
        one.spec.name: one.pixels
        for one in images.maps
        if one.spec.name in known and {*one.spec.values} <= {*known[one.spec.name].values}
    }
    found = maps_for(spec, images.images, paired)
    return tuple(GivenMap(known[name], pixels) for name, pixels in found.items())


def _labels(
    spec: SampleSpec, images: Images, classes: tuple[str, ...], rows: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Classes of the model that the images' classes are; None where one is another."""
    labels, names = images.labels, spec.class_names
    if labels is None or not names:
        return None
    place = {name: i for i, name in enumerate(names)}
    found = [place.get(classes[label], -1) for label in labels[rows]]
    return None if -1 in found else np.array(found, np.int64)
