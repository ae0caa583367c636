"""What the options of several verbs share: conversion of types, bounds, common fields."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, Self, TypeAlias, get_origin, get_type_hints

from undrift.advice import named
from undrift.arguments import converted
from undrift.errors import UsageError, shown

PathLike: TypeAlias = str | os.PathLike[str]
Split: TypeAlias = Literal["test", "validation", "train"]
"""Part of a data set."""

LONGEST_EMA = 0.25
"""The longest relative length of a weight average that can be reconstructed from snapshots."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all options: values are converted to the annotated types, or refused.

    A list may be given as text with commas; it is stored as a tuple. Paths are stored as text.

    Raises:
        UsageError: a value of another type, or out of its bounds; the message begins with the name.
    """

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            hint, value = hints[field.name], getattr(self, field.name)
            if get_origin(hint) is Sequence and isinstance(value, str):
                value = [part for part in value.split(",") if part]
            value = converted(named(field.name), value, hint)
            if isinstance(value, list):
                value = tuple(value)
            object.__setattr__(self, field.name, value)

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> Self:
        """Options from their names and values."""
        return cls(**settings)

    @classmethod
    def from_options(cls, options: Options, **more: object) -> Self:
        """These options with the values of those that ``options`` has too, and ``more``."""
        names = {field.name for field in fields(cls)}
        shared = {name: value for name, value in vars(options).items() if name in names}
        return cls.from_settings(shared | more)


def at_least(name: str, value: int | None, least: int, most: int = 2**63 - 1) -> None:
    """Refuse a whole number below ``least`` or above ``most``; None passes."""
    if value is not None and value < least:
        raise UsageError(f"{named(name)} {shown(value)}: wanted a whole number of at least {least}")
    if value is not None and value > most:
        raise UsageError(f"{named(name)} {shown(value)}: wanted a whole number of at most {most:,}")


def finite(name: str, value: float | None) -> None:
    """Refuse nan and the infinities; None passes."""
    if value is not None and not math.isfinite(value):
        raise UsageError(f"{named(name)} {value}: wanted a finite number")


def once(name: str, given: Sequence[object], meant: Sequence[object]) -> None:
    """Refuse a list that names something twice.

    Args:
        name: of the parameter.
        given: its entries.
        meant: what each of them stands for.
    """
    for place, entry in enumerate(meant):
        if entry in meant[:place]:
            raise UsageError(f"{named(name)}: {given[place]} is there twice; name each once")


@dataclass(frozen=True, kw_only=True)
class WeightsOptions(Options):
    """Which weights of a run, and where they compute.

    Attributes:
        ema: length of the weight average to use, as a share of training such as 0.05.
        weights: the averaged weights, or the raw ones of the last step.
        device: where to compute.
    """

    ema: float | None = None
    weights: Literal["ema", "raw"] = "ema"
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ema is None:
            return
        if not 0 < self.ema <= LONGEST_EMA:
            raise UsageError(
                f"{named('ema')} {self.ema}: wanted a share of training above 0, up to "
                f"{LONGEST_EMA}"
            )
        if self.weights == "raw":
            raise UsageError(
                f"{named('ema')} and {named('weights')} raw exclude each other; give one of them"
            )


@dataclass(frozen=True, kw_only=True)
class FeatureOptions(Options):
    """The feature space in which images are compared, and the part of the reference.

    Attributes:
        features: feature space: domain (the default: a classifier trained on the reference's
            training images), random, pixels, texture, inception, dinov2[:DIR], clip[:DIR], FILE.pt,
            FILE.onnx or module:function; FILE.pt and module:function run code. A stored reference
            has its own.
        feature_weights: file with the weights of inception.
        download: fetch weights that are missing; without it nothing is downloaded.
        split: part of the reference to compare with; test, else validation, else all of it.
    """

    features: str | None = None
    feature_weights: str | None = None
    download: bool = False
    split: Split | None = None
