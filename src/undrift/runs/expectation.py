r"""What samples to expect of a run, before it is one.

How many training images a model must have seen (N, a repeated image counted each time) until its
samples look like something depends on the images. Measured with the default diffusion recipe
(`benchmarks/images_needed.py`, ``images_needed.json``), for images of W x H pixels and C channels
with D effective dimensions (`undrift.metrics.variety`):

    N = N_0 (W H / 32^2)^a (C / 3)^b (D / 16)^c                                             (1)

with one N_0 for rough shapes and one for good samples. Below the first, samples are noise: no
better than real images with strong noise or shuffled pixels. From the second on they are better
than real images with visible noise, and their Frechet distance is at most twice that of real
images. ``docs/reference/images-needed.md`` says on which measurements the rule rests, and how wide
their intervals are: it gives an order of magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from undrift.advice import named
from undrift.data import ImageSet
from undrift.data.scatter import on_plane
from undrift.errors import ModelFileError
from undrift.families import family_of
from undrift.files.reading import mapping, read_mapping
from undrift.metrics.variety import effective_dimensions, spread_rows
from undrift.runs.configuration import RunConfig
from undrift.wording import dimensions, duration, plural

TABLE = Path(__file__).with_name("images_needed.json")

Outcome = Literal["noise", "rough shapes", "good samples"]

SIZES = (128, 96, 64, 48, 32, 24, 16)
"""Longest sides in pixels that are proposed instead of the images' own."""

SMALL = 32
"""Side below which images are proposed only where noise is expected otherwise."""


def images_needed(
    rule: Mapping[str, float], level: str, image_shape: tuple[int, int, int], dimensions: float
) -> float:
    """N of eq. (1).

    Args:
        rule: ``rough`` and ``good``, N_0 of each; ``pixels``, ``channels``, ``variety``: a, b, c.
        level: ``rough`` or ``good``.
        image_shape: (C, H, W) of the images.
        dimensions: their effective dimensions D.
    """
    channels, height, width = image_shape
    return (
        rule[level]
        * (height * width / 32**2) ** rule["pixels"]
        * (channels / 3) ** rule["channels"]
        * (dimensions / 16) ** rule["variety"]
    )


@dataclass(frozen=True)
class ImagesNeeded:
    """Images that a run on one set must see.

    Attributes:
        image_shape: (C, H, W) of the images.
        dimensions: their effective dimensions.
    """

    image_shape: tuple[int, int, int]
    dimensions: float

    @property
    def rough(self) -> int:
        """Until samples show rough shapes."""
        return self._needed("rough")

    @property
    def good(self) -> int:
        """Until samples are good."""
        return self._needed("good")

    def at(self, longest: int) -> ImagesNeeded:
        """The same images with a longest side of ``longest`` pixels."""
        channels, height, width = self.image_shape
        scale = longest / max(height, width)
        smaller = max(1, round(height * scale)), max(1, round(width * scale))
        return ImagesNeeded((channels, *smaller), self.dimensions)

    @property
    def size(self) -> str:
        """Width x height."""
        return dimensions(*self.image_shape[1:])

    def _needed(self, level: str) -> int:
        return math.ceil(images_needed(_rule(), level, self.image_shape, self.dimensions))


@dataclass(frozen=True)
class Expectation:
    """What a run can be expected to draw.

    Attributes:
        outcome: in a word or two.
        images: that the run will have seen.
        rough: that it needs for rough shapes.
        good: that it needs for good samples.
        sentence: what is expected, why, and what would help.
    """

    outcome: Outcome
    images: int
    rough: int
    good: int
    sentence: str


def needs_of(images: ImageSet) -> ImagesNeeded | None:
    """What a run on ``images`` needs; None for toy 2-D data and for no images."""
    if on_plane(images.shape) or len(images) == 0:
        return None
    height, width, channels = images.shape
    found = effective_dimensions(images.take(spread_rows(len(images), images.shape)))
    return ImagesNeeded((channels, height, width), found)


def needs_sentence(needed: ImagesNeeded) -> str:
    """What a run on these images needs, on any device, and at a smaller size."""
    words = (
        f"good samples need about {rounded(needed.good)} images seen in training at {needed.size}, "
        f"rough shapes about {rounded(needed.rough)}"
    )
    smaller = [size for size in (64, 32) if 2 * size <= max(needed.image_shape[1:])]
    if smaller:
        other = needed.at(smaller[0])
        words += f"; at {other.size} {rounded(other.good)} and {rounded(other.rough)}"
    return words


def expectation_of(
    config: RunConfig, train: ImageSet, seconds_per_step: float | None = None
) -> Expectation | None:
    """What to expect of a run; None where nothing was measured.

    That is of GANs, toy 2-D data, a network of the user's own and a run that starts from the
    weights of another.

    Args:
        config: with the steps of the run.
        train: its training images.
        seconds_per_step: measured; None knows no time.
    """
    model = config.model
    if not family_of(model).images_needed or model.network is None or config.init is not None:
        return None
    needed = needs_of(train)
    if needed is None:
        return None
    plan = config.training
    seconds = None if seconds_per_step is None else seconds_per_step / plan.batch_size
    return expect(plan.steps, plan.batch_size, needed, seconds)


def expect(
    steps: int, batch_size: int, needed: ImagesNeeded, seconds: float | None = None
) -> Expectation:
    """What a run of ``steps`` updates can be expected to draw.

    Args:
        steps: of the whole run.
        batch_size: images of each.
        needed: by its images.
        seconds: of wall clock per image; None knows no time.
    """
    images = steps * batch_size
    if images >= needed.good:
        outcome, lacking = "good samples", ""
    elif images >= needed.rough:
        outcome = "rough shapes"
        lacking = f"; good samples need about {rounded(needed.good)}"
    else:
        outcome = "noise"
        lacking = (
            f"; rough shapes need about {rounded(needed.rough)}, good samples about "
            f"{rounded(needed.good)}"
        )
    words = (
        f"expect {outcome}: {plural(steps, 'step')} of {batch_size} are {images:,} images seen at "
        f"{needed.size}{lacking}"
    )
    if lacking:
        words += f"; try {' or '.join(_help(images, needed, seconds))}"
    return Expectation(outcome, images, needed.rough, needed.good, words)


def _help(images: int, needed: ImagesNeeded, seconds: float | None) -> list[str]:
    """What would make the samples better: smaller images, of which more are seen, or more time."""
    found = []
    pixels = math.prod(needed.image_shape[1:])
    better = {"good": "", "rough": " for rough shapes"}
    for level in ("good",) if images >= needed.rough else ("good", "rough"):
        for size in SIZES:
            if size >= max(needed.image_shape[1:]) or (size < SMALL and images >= needed.rough):
                continue
            smaller = needed.at(size)
            if images * pixels / math.prod(smaller.image_shape[1:]) >= getattr(smaller, level):
                square = smaller.image_shape[1] == smaller.image_shape[2]
                found.append(f"{named('size')} {size if square else smaller.size}{better[level]}")
                break
        if found:
            break
    if seconds is None:
        return [*found, f"{named('images')} {two_digits(needed.good)}"]
    return [*found, f"about {duration(needed.good * seconds)} of training"]


def rounded(images: float) -> str:
    """A number of images in two digits, such as ``9,300`` or ``1.2 million``."""
    count = two_digits(images)
    return f"{count:,}" if count < 1_000_000 else f"{count / 1e6:g} million"


def two_digits(value: float) -> int:
    """``value`` rounded to two significant digits."""
    unit = 10 ** max(0, math.floor(math.log10(max(value, 1.0))) - 1)
    return round(value / unit) * unit


@cache
def _rule() -> dict[str, float]:
    advice = "install undrift anew"
    rule = mapping(
        read_mapping(TABLE, ModelFileError, advice)["rule"], str(TABLE), ModelFileError, advice
    )
    return {name: value for name, value in rule.items() if isinstance(value, float | int)}
