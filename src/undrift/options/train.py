"""Options of ``undrift train``; None is the recipe's choice."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Literal

import tyro

from undrift.advice import named, possible
from undrift.errors import UsageError, shortened, shown
from undrift.limits import MOST_BATCH, MOST_SAMPLES, MOST_TRAINING_STEPS
from undrift.options.maps import map_words
from undrift.options.options import Options, at_least
from undrift.wording import plural

_BUDGET = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)")
_LONGEST_BUDGET = 3_600_000.0
_MOST_PARAMETERS = 10**12
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(\d{1,5})(?:x(\d{1,5}))?")
_COUNT = re.compile(r"(\d+(?:\.\d+)?)([kKM]?)")
_TIMES = {"": 1, "k": 1000, "K": 1000, "M": 1_000_000}


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """How a model is trained.

    Attributes:
        method: diffusion; a GAN: r3gan, stylegan2, wgan_gp, sngan or dcgan; a model of few
            steps: flow-map, mean-flow or adversarial-flow; or a classifier of noisy images, for
            ``undrift sample --classifier``.
        recipe: what to optimise: the quality of ``images``, or ``likelihood``, bits per dimension.
        budget: wall-clock time from the start of the probe to the last step: ``60s``, ``2h``.
        images: real images to train on in all; excludes ``budget`` and ``steps``.
        steps: optimiser updates to make; excludes ``budget`` and ``images``.
        batch_size: images in the global batch, over all ranks and micro-batches.
        micro_batch: images in one forward pass per rank (gradient accumulation); does not change
            the result, but of ``adversarial-flow``, which normalises gradients by micro-batch.
        seed: random seed.
        size: of the images to train on, in pixels: 64 for squares, or width x height, as 64x48.
        fit: how images of other shapes are made to fit: ``crop`` the centre or ``pad``.
        channels: 1 grayscale, 3 colour, 4 colour and alpha.
        background: colour ``#rrggbb`` to composite transparent images on.
        holdout: share of the training images held out by content hash, in [0, 1).
        bad_limit: share of unreadable files above which training refuses, in [0, 1].
        label_column: column of ``metadata.csv``, ``metadata.jsonl`` or a Hugging Face data set that
            holds the labels; None is ``label``.
        caption_column: columns that hold captions, separated by commas; ``.txt`` is a text file
            beside each image, with a caption a line; None is ``text``.
        numbers: columns of metadata.csv or metadata.jsonl, or arrays of an .npz, that hold a number
            to condition on for every image, such as `angle`.
        maps: maps to condition on: `mask` is one that comes with each image, in the column
            `mask_file_name` of metadata.csv or metadata.jsonl, or the array `mask` of an .npz;
            mask:classes and mask:values say what its pixels are. `edges`, `grey`, `masked` (parts
            hidden) and `lowres:4` are derived from the images.
        flip: mirror images left to right at random.
        augment: probability of each non-leaky augmentation, in [0, 1].
        balance: draw every class equally often.
        conditional: condition on the labels where the data has them.
        text: condition on the captions, so that prompts can be sampled.
        text_encoder: `byte`, trained with the model on the captions alone; or a frozen text model
            of transformers: a folder, or an id on the Hugging Face hub.
        label_dropout: share of labels, captions, numbers and maps dropped in training, for
            guidance, in [0, 1].
        network: family of network.
        parameters: trainable parameters of the denoiser, or of a GAN's generator: ``500000``,
            ``0.5M``; the recipe's width follows, within a tenth.
        learning_rate: peak of the learning-rate schedule.
        penalty: weight of a GAN's gradient penalty, in units of the recipe's.
        dropout: dropout inside the network, in [0, 1).
        checkpoint_every: steps between checkpoints; None is about every 30 seconds.
        grid_every: steps between sample grids; None is automatic.
        validate_every: steps between validations; None is automatic.
        evaluate_every: steps between evaluations: samples against the validation images; the best
            weights are saved beside the last ones. None makes none.
        evaluate_samples: samples of each of these evaluations.
        bare: end with the pipeline and a grid: no samples, first metrics and report.
        device: where to train.
        threads: CPU threads; affects bitwise reproducibility, so it is stored.
        precision: what the network computes in; everything else is float32 or wider.
        compile: compile the network with torch.compile.
        init: a run or pipeline whose weights to start from.
        extend: lengthen a finished run instead of refusing.
    """

    method: str = "diffusion"
    recipe: Literal["images", "likelihood"] = "images"
    budget: str | None = None
    images: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    micro_batch: int | None = None
    seed: int = 0
    size: int | str | None = None
    fit: Literal["crop", "pad"] = "crop"
    channels: Literal[1, 3, 4] | None = None
    background: str | None = None
    holdout: float = 0.05
    bad_limit: float = 0.05
    label_column: str | None = None
    caption_column: str | None = None
    numbers: Annotated[
        Sequence[str], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ()
    maps: Annotated[
        Sequence[str],
        tyro.conf.arg(name="map", metavar="NAME [NAME ...]", help_behavior_hint=""),
    ] = ()
    flip: bool = False
    augment: float | None = None
    balance: bool = False
    conditional: bool = True
    text: bool = False
    text_encoder: Annotated[str, tyro.conf.arg(metavar="byte|DIR|ID", help_behavior_hint="")] = (
        "byte"
    )
    label_dropout: float | None = None
    network: Literal["unet", "transformer", "mlp"] | None = None
    parameters: str | None = None
    learning_rate: Annotated[
        float | None, tyro.conf.arg(name="lr", metavar="X", help_behavior_hint="")
    ] = None
    penalty: float | None = None
    dropout: float | None = None
    checkpoint_every: int | None = None
    grid_every: int | None = None
    validate_every: int | None = None
    evaluate_every: int | None = None
    evaluate_samples: int = 1000
    bare: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    init: str | None = None
    extend: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "numbers", number_names(self.numbers))
        object.__setattr__(self, "maps", map_words(self.maps))
        lengths = [name for name in LENGTHS if getattr(self, name) is not None]
        if len(lengths) > 1:
            both = " and ".join(map(named, lengths))
            raise UsageError(f"{both} exclude each other; give one of them")
        for name, default in (("caption_column", None), ("text_encoder", BYTE)):
            if getattr(self, name) != default and not self.text:
                hint = possible("captions are learned with {text}; give both", "it goes with text")
                raise UsageError(f"{named(name)}: {hint}")
        if self.budget is not None:
            seconds(self.budget)
        if self.parameters is not None:
            parameter_count(self.parameters)
        if self.size is not None:
            image_size(self.size)
        for name, most in _COUNTS.items():
            at_least(name, getattr(self, name), 1, most)
        check_threads(self.threads)
        for name in _SHARES:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"{named(name)} {value}: wanted a share from 0 to 1")
        for name in ("holdout", "dropout"):
            if getattr(self, name) == 1:
                raise UsageError(f"{named(name)} 1: wanted a share below 1; nothing would be left")
        for name in ("learning_rate", "penalty"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{named(name)} {value}: wanted a positive finite number")
        if not 0 <= self.seed < 2**63:
            raise UsageError(
                f"{named('seed')} {self.seed}: wanted a whole number from 0 to 2^63 - 1"
            )
        if self.background is not None and not re.fullmatch(r"#[0-9a-fA-F]{6}", self.background):
            raise UsageError(
                f"{named('background')} {self.background}: wanted a colour such as '#ffffff'"
            )


@dataclass(frozen=True, kw_only=True)
class TrainSources(Options):
    """What is trained on, and where the run is, named by their paths.

    Attributes:
        data: a folder, zip, .npz or .npy of images, a folder of idx files, or a name: `digits`,
            `ring8` or `grid25`; or a run, to resume it.
        out: the run directory; a new runs/DATA-DATE-N by default.
        config: repeat the run of this config.yaml in --out; without --out, resume the run that it
            lies in. Excludes the other settings.
        resume: resume this run; DATA beside it says where its images were moved to.
    """

    data: Annotated[
        tyro.conf.Positional[str | None],
        tyro.conf.arg(name="DATA", metavar="DATA", help_behavior_hint=""),
    ] = None
    out: str | None = None
    config: str | None = None
    resume: str | None = None


BYTE = "byte"
"""The text encoder that is trained with the model."""

LENGTHS = ("budget", "images", "steps")
"""Options of which one says how long to train."""

_COUNTS = {
    "images": MOST_TRAINING_STEPS * MOST_BATCH,
    "steps": MOST_TRAINING_STEPS,
    "batch_size": MOST_BATCH,
    "micro_batch": MOST_BATCH,
    "checkpoint_every": MOST_TRAINING_STEPS,
    "grid_every": MOST_TRAINING_STEPS,
    "validate_every": MOST_TRAINING_STEPS,
    "evaluate_every": MOST_TRAINING_STEPS,
    "evaluate_samples": MOST_SAMPLES,
    "threads": 2**31,  # `check_threads` knows better
}
"""Whole numbers from 1, and the largest of each."""

_SHARES = ("holdout", "bad_limit", "augment", "label_dropout", "dropout")


def changed(settings: TrainOptions) -> list[str]:
    """Names of the options that differ from their defaults."""
    return [
        field.name
        for field in fields(TrainOptions)
        if getattr(settings, field.name) != field.default
    ]


def check_threads(threads: int | None) -> None:
    """Refuse more threads than there are cores: they would only wait for each other.

    Raises:
        UsageError: if there are.
    """
    cores = os.cpu_count() or 1
    if threads is not None and threads > cores:
        raise UsageError(
            f"{named('threads')} {threads}: this machine has {plural(cores, 'core')}; give at most "
            "that"
        )


_FLAGS = {"learning_rate": "--lr", "maps": "--map"}
"""Settings whose flag has another name."""


def flag(name: str) -> str:
    """The command-line spelling of the option ``name``."""
    return _FLAGS.get(name) or "--" + name.replace("_", "-")


def number_names(given: str | Sequence[str]) -> tuple[str, ...]:
    """Names of columns of numbers; ``"a,b"``, ``["a", "b"]`` and ``["a,b"]`` are the same.

    Raises:
        UsageError: a name is empty, or comes twice.
    """
    words = [given] if isinstance(given, str) else list(given)
    names = tuple(part.strip() for word in words for part in word.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise UsageError(
            f"{named('numbers')} {shown(','.join(words))}: wanted different names of columns, as "
            "angle,age"
        )
    return names


def seconds(budget: str) -> float:
    """Seconds in a budget such as ``60s``, ``30m`` or ``2h``.

    Raises:
        UsageError: for anything else, or no time at all.
    """
    match = _BUDGET.fullmatch(budget.strip())
    given = float(match[1]) * _SECONDS[match[2]] if match else 0.0
    if not 0 < given <= _LONGEST_BUDGET:
        raise UsageError(
            f"{named('budget')} {shortened(budget, 60)}: wanted a time such as 60s, 30m or 2h, "
            "1000h at most"
        )
    return given


def image_size(size: int | str) -> tuple[int, int]:
    """(height, width) in pixels of a size such as ``64`` or ``64x48``, which is width x height.

    Raises:
        UsageError: for anything else, or a side of 0.
    """
    match = _SIZE.fullmatch(str(size).strip())
    width, height = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not (width and height):
        raise UsageError(
            f"{named('size')} {size}: wanted pixels, at least 1, as 64 or width x height 64x48"
        )
    return height, width


def stored_size(size: int | str | None) -> int | str | None:
    """``size`` as configurations hold it: the side of squares, else ``64x48``."""
    if size is None:
        return None
    height, width = image_size(size)
    return width if height == width else f"{width}x{height}"


def parameter_count(text: str | int, also: str = "") -> int:
    """Parameters in a text such as ``500000``, ``500k`` or ``0.5M``.

    Args:
        text: what was given.
        also: what else could have been given, for the error.

    Raises:
        UsageError: for anything else, or none at all.
    """
    match = _COUNT.fullmatch(str(text).strip())
    given = float(match[1]) * _TIMES[match[2]] if match else 0.0
    count = round(min(given, _MOST_PARAMETERS + 1))
    if not 1 <= count <= _MOST_PARAMETERS:
        raise UsageError(
            f"{named('parameters')} {shortened(str(text), 60)}: wanted a number such as 0.5M or "
            f"500000{also}"
        )
    return count
