"""Options of ``undrift adapt``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from undrift.advice import named
from undrift.errors import UsageError
from undrift.options.from_run import FromRunOptions
from undrift.options.maps import map_words
from undrift.options.options import Options, at_least

MOST_RANK = 1024


@dataclass(frozen=True, kw_only=True)
class AdaptOptions(FromRunOptions):
    """How an adapter of a trained diffusion model is made.

    Attributes:
        condition: maps that a control branch adds, as train --map takes them: edges, lowres:4, or
            mask for one that comes with each image. Excludes lora.
        lora: rank of a low-rank adapter, such as 8, for the style of DATA. Excludes condition.
        images: real images to train on in all; excludes budget. Without both, half as many as the
            base was trained on.
        batch_size: images in the global batch; the base's by default.
    """

    condition: Annotated[
        Sequence[str], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ()
    lora: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "condition", map_words(self.condition, "condition"))
        at_least("lora", self.lora, 1, MOST_RANK)
        if bool(self.condition) == (self.lora is not None):
            raise UsageError(
                f"adapt: give {named('condition')}, such as edges, or {named('lora')}, such as 8"
            )


@dataclass(frozen=True, kw_only=True)
class AdaptSources(Options):
    """The base and the images, named by their paths.

    Attributes:
        target: a finished run of a diffusion model.
        data: images to train on, as train takes them; the run's own by default.
    """

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="RUN", metavar="RUN")]
    data: Annotated[
        tyro.conf.Positional[str | None],
        tyro.conf.arg(name="DATA", metavar="DATA", help_behavior_hint=""),
    ] = None
