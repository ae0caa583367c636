"""The images that are scored, and the values that their pixels can take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from undrift.conditioning import Condition
from undrift.conditioning.text import Texts
from undrift.data import DataReport, ImageSet
from undrift.errors import UsageError
from undrift.evaluation.target import Target, load_for, part_of
from undrift.likelihood import ValueGrid
from undrift.names import find
from undrift.options import Split
from undrift.pipelines.spec import SampleSpec
from undrift.randomness import generator


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """Images of one split.

    Attributes:
        source: what the user named.
        split: which part it is; "all" where nothing is held out.
        images: uint8 (n, H, W, C).
        labels: (n,) int64, numbered like the classes of the model, or None.
        numbers: (n,) places in the split, which key each image's noise.
        names: name of each image.
        available: images of the split.
        value_levels: values that a pixel can take.
        rule: where that number comes from.
        fingerprint: of the whole data set.
        report: what loading it found.
        given: captions and numbers of the images that the model takes; empty without any.
    """

    source: str
    split: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    numbers: NDArray[np.int64]
    names: tuple[str, ...]
    available: int
    value_levels: int
    rule: str
    fingerprint: str
    report: DataReport
    given: Condition


def open_images(
    model: Target,
    source: str | None,
    split: Split | None,
    n: int | None,
    value_levels: int | None,
    seed: int,
) -> ScoredImages:
    """Open the images to score.

    Args:
        model: the model.
        source: data; None is the data that the run was trained on.
        split: which part; None is the first there is of test, validation and all.
        n: images at most, drawn by the seed; None is all.
        value_levels: number of levels; None is the data's own.
        seed: of the draw.

    Raises:
        UsageError: no data, no such split, other sizes or classes.
        DataError: data that cannot be read.
    """
    if model.pipeline is None:
        raise UsageError(
            f"{model.name}: these are samples; a likelihood needs a model, give a run or pipeline"
        )
    whole, source = load_for(model, source)
    found, part = part_of(whole, source, split)
    rows = np.arange(len(part))
    if n is not None and n < len(part):
        order = torch.randperm(len(part), generator=generator(seed, "likelihood rows"))
        rows = np.sort(order[:n].numpy())
    grid = ValueGrid.of(whole.report.histogram) if value_levels is None else ValueGrid(value_levels)
    rule = "given" if value_levels is not None else f"from the values that occur in {source}"
    return ScoredImages(
        source,
        found,
        part.take(rows),
        _renamed(part, model, rows),
        rows,
        tuple(part.names[i] for i in rows),
        len(part),
        grid.count,
        rule,
        whole.fingerprint,
        whole.report,
        _given(part, model.pipeline.spec, rows),
    )


def _given(part: ImageSet, spec: SampleSpec, rows: NDArray[np.int64]) -> Condition:
    """The first caption of each image and its numbers, as far as the model takes them."""
    found = Condition()
    if spec.text is not None and part.captions is not None:
        captions = (part.captions[row] for row in rows)
        found = found.with_entry("text", Texts.single(one[0] if one else "" for one in captions))
    names = [number.name for number in spec.numbers]
    if names and part.numbers is not None and {*names} <= {*part.number_names}:
        columns = [part.number_names.index(name) for name in names]
        numbers = torch.from_numpy(part.numbers[rows][:, columns].copy())
        found = found.with_entry("numbers", numbers)
    return found


def _renamed(part: ImageSet, model: Target, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Labels numbered like the classes of the model; None where either side has none."""
    if part.labels is None or not model.classes:
        return None
    known = {name: k for k, name in enumerate(model.classes)}
    found = [find(name, known) for name in part.class_names]
    table = np.array([-1 if k is None else k for k in found], dtype=np.int64)
    labels = table[part.labels[rows]]
    return None if (labels < 0).any() else labels
