"""Real images spoiled in known ways: what a metric has to notice before it can be trusted.

Each corruption leaves some properties of the images as they are and destroys one, which is its
``aspect``. A metric that scores corrupted images like real ones does not measure that aspect on
these images. Corruptions of single images lower fidelity; those of the set of images (a missing
half, copies) lower diversity.

An image with transparency (2 or 4 channels, the last of which is alpha) keeps its alpha channel:
only the visible pixels are changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from undrift.metrics.images import Images
from undrift.randomness import generator

Pixels = NDArray[np.uint8]

_BLOCK_PIXELS = 4
_BLUR_SIGMA = 1.0  # pixels
NOISE = {"fine noise": 0.05, "noise": 0.15, "strong noise": 0.4}
"""Standard deviation of each noise corruption, in units of the visible pixels' own."""


@dataclass(frozen=True)
class Corruption:
    """One known way to spoil images.

    Attributes:
        name: its name, in tables.
        aspect: the property of the images that it destroys.
        lowers: "fidelity" where single images are changed, "diversity" where their selection is.
        apply: from real images and random numbers to corrupted ones of the same shape.
    """

    name: str
    aspect: str
    lowers: Literal["fidelity", "diversity"]
    apply: Callable[[Pixels, np.random.Generator], Pixels]


def has_alpha(images: Pixels) -> bool:
    """Whether the last channel of ``images`` (n, H, W, C) is alpha."""
    return images.shape[3] in (2, 4)


def visible(images: Pixels) -> NDArray[np.bool_]:
    """(n, H, W): pixels that are not fully transparent; all of them without an alpha channel."""
    if has_alpha(images):
        return images[..., -1] > 0
    return np.ones(images.shape[:3], bool)


def shuffled_pixels(images: Pixels, draws: np.random.Generator) -> Pixels:
    """Each image's visible pixels in random order: colours and outline stay, structure is lost."""
    made = images.copy()
    for image, mask in zip(made, visible(images), strict=True):
        pixels = image[mask]
        image[mask] = pixels[draws.permutation(len(pixels))]
    return _with_alpha_of(images, made)


def shuffled_blocks(images: Pixels, draws: np.random.Generator) -> Pixels:
    """Blocks of 4 x 4 pixels in random order: texture stays, the arrangement of parts is lost."""
    count, height, width, channels = images.shape
    side = min(_BLOCK_PIXELS, max(1, height // 2), max(1, width // 2))
    rows, columns = height // side, width // side
    whole = images[:, : rows * side, : columns * side]
    blocks = whole.reshape(count, rows, side, columns, side, channels).swapaxes(2, 3)
    blocks = blocks.reshape(count, rows * columns, side, side, channels)
    order = draws.permuted(np.tile(np.arange(rows * columns), (count, 1)), axis=1)
    blocks = np.take_along_axis(blocks, order[:, :, None, None, None], axis=1)
    blocks = blocks.reshape(count, rows, columns, side, side, channels).swapaxes(2, 3)
    made = images.copy()
    made[:, : rows * side, : columns * side] = blocks.reshape(whole.shape)
    return made


def blurred(images: Pixels, draws: np.random.Generator) -> Pixels:
    """A Gaussian blur of one pixel, weighted by alpha where there is one."""
    weight = images[..., -1:].astype(np.float64) / 255 if has_alpha(images) else 1.0
    sigma = (0, _BLUR_SIGMA, _BLUR_SIGMA, 0)
    levels = gaussian_filter(images * weight, sigma, mode="nearest")
    if has_alpha(images):
        smooth = gaussian_filter(weight, sigma, mode="nearest")
        levels = np.where(smooth > 1e-3, levels / np.maximum(smooth, 1e-3), images)
    return _with_alpha_of(images, _rounded(levels))


def noisy(scale: float) -> Callable[[Pixels, np.random.Generator], Pixels]:
    """Gaussian noise on visible pixels, of ``scale`` standard deviations of these."""

    def apply(images: Pixels, draws: np.random.Generator) -> Pixels:
        mask = visible(images)
        colours = images[..., : _colours(images)]
        spread = colours[mask].std() if mask.any() else 0.0
        noise = draws.normal(size=images.shape) * scale * spread
        return _with_alpha_of(images, _rounded(images + noise * mask[..., None]))

    return apply


def shifted_colours(images: Pixels, draws: np.random.Generator) -> Pixels:
    """Red, green and blue a third of the way towards the next channel: hue and saturation move."""
    made = images.astype(np.float64)
    colours = made[..., :3]
    made[..., :3] = colours * (2 / 3) + np.roll(colours, 1, axis=3) / 3
    return _rounded(made)


def copied(images: Pixels, draws: np.random.Generator) -> Pixels:
    """One image in ten, ten times each."""
    kept = max(1, len(images) // 10)
    rows = np.sort(draws.permutation(len(images))[:kept])
    return images[np.resize(rows, len(images))]


def corruptions_of(images: Pixels) -> tuple[Corruption, ...]:
    """The corruptions that change ``images`` (n, H, W, C): no colours of greys, no blur of 1 pixel.

    That of missing modes is not among them: it needs labels or features, see
    `undrift.metrics.sensitivity`.
    """
    _, height, width, channels = images.shape
    found = []
    if height * width > 1:
        found += [
            Corruption("shuffled pixels", "structure", "fidelity", shuffled_pixels),
            Corruption("blur", "sharpness", "fidelity", blurred),
        ]
    if min(height, width) >= 2 * _BLOCK_PIXELS:
        found.append(Corruption("shuffled blocks", "arrangement", "fidelity", shuffled_blocks))
    found += [
        Corruption(name, f"{name} of {scale:.0%}", "fidelity", noisy(scale))
        for name, scale in NOISE.items()
    ]
    if channels in (3, 4):
        found.append(Corruption("colour shift", "colour", "fidelity", shifted_colours))
    found.append(Corruption("copies", "repetition", "diversity", copied))
    return tuple(found)


def corrupted(images: Images, corruption: Corruption, seed: int) -> Images:
    """``images`` under ``corruption``; ``seed`` and its name fix the random numbers."""
    state = int(generator(seed, "corruption", corruption.name).initial_seed())
    made = corruption.apply(images.images, np.random.default_rng(state % 2**63))
    return Images(made, images.labels)


def _colours(images: Pixels) -> int:
    return images.shape[3] - has_alpha(images)


def _with_alpha_of(images: Pixels, made: Pixels) -> Pixels:
    if has_alpha(images):
        made[..., -1] = images[..., -1]
    return made


def _rounded(levels: NDArray[np.float64]) -> Pixels:
    return levels.round().clip(0, 255).astype(np.uint8)
