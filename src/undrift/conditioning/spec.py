"""Which kinds of condition a model takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from undrift.conditioning.augmentation import AugmentParameters
from undrift.conditioning.condition import Condition
from undrift.conditioning.kind import Kind
from undrift.conditioning.labels import Labels
from undrift.conditioning.maps.spec import MapKind, MapSpec
from undrift.conditioning.numbers import MOST_NUMBERS, Number, Numbers
from undrift.conditioning.text.pretrained import PretrainedText
from undrift.conditioning.text.spec import TextSpec
from undrift.errors import UsageError
from undrift.limits import MOST_CLASSES, WIDEST
from undrift.options.maps import MOST_MAPS
from undrift.randomness import Draws
from undrift.schema import check_ranges


@dataclass(frozen=True)
class ConditionSpec:
    """The conditions that a model takes; what is 0 or empty, it does not take.

    Attributes:
        classes: number of class labels.
        augment: number of augmentation parameters.
        numbers: the numbers, in the order of the entry's columns.
        text: vocabulary or frozen model, and shape, of the text encoder; None: no texts.
        maps: of each its name, shape and source.
    """

    classes: int = 0
    augment: int = 0
    numbers: tuple[Number, ...] = ()
    text: TextSpec | PretrainedText | None = None
    maps: tuple[MapSpec, ...] = ()

    def __post_init__(self) -> None:
        """Refuse sizes out of range."""
        check_ranges(self, "condition", classes=(0, MOST_CLASSES), augment=(0, WIDEST))
        names = {number.name for number in self.numbers}
        if not len(names) == len(self.numbers) <= MOST_NUMBERS:
            raise UsageError(
                f"condition: {len(self.numbers)} numbers of {len(names)} names; wanted at most "
                f"{MOST_NUMBERS}, each with a name of its own"
            )
        maps = [one.name for one in self.maps]
        if not len(set(maps)) == len(maps) <= MOST_MAPS:
            raise UsageError(
                f"condition: maps {', '.join(maps)}; wanted at most {MOST_MAPS}, each with a name "
                "of its own"
            )

    @property
    def kinds(self) -> tuple[Kind[Any], ...]:
        """One for each kind of condition; their embeddings are made and added in this order."""
        kinds: list[Kind[Any]] = []
        if self.classes:
            kinds.append(Labels(self.classes))
        if self.augment:
            kinds.append(AugmentParameters(self.augment))
        if self.numbers:
            kinds.append(Numbers(self.numbers))
        if self.text is not None:
            kinds.append(self.text)
        kinds += self.map_kinds
        return tuple(kinds)

    @property
    def map_kinds(self) -> tuple[MapKind, ...]:
        """One for each map."""
        return tuple(MapKind(one) for one in self.maps)

    def moved(self, condition: Condition, move: Callable[[Tensor], Tensor]) -> Condition:
        """Move the maps of ``condition`` as their images are moved.

        Args:
            condition: may lack maps.
            move: from maps (B, C, H, W) to maps of the same shape and type.
        """
        for kind in self.map_kinds:
            entry = condition.get(kind.name)
            if isinstance(entry, Tensor):
                condition = condition.with_entry(kind.name, move(entry))
        return condition

    def derived(
        self, condition: Condition, pixels: Tensor, draws: Draws, *, clean: bool = False
    ) -> Condition:
        """``condition`` with the maps that are derived from its images; see `MapSpec.derived`."""
        for kind in self.map_kinds:
            entry = kind.map.derived(pixels, draws, clean=clean)
            if entry is not None:
                condition = condition.with_entry(kind.name, entry)
        return condition

    def select(self, condition: Condition) -> Condition:
        """The entries of ``condition`` that the model takes."""
        names = {kind.name for kind in self.kinds}
        return Condition({name: entry for name, entry in condition.items() if name in names})

    def vary(self, condition: Condition, draws: Draws) -> Condition:
        """Draw one text of each sample that has several, for training."""
        texts = condition.texts
        return condition if texts is None else condition.with_entry("text", texts.drawn(draws))

    def drop(self, condition: Condition, share: float, draws: Draws) -> Condition:
        """Replace entries by null at random, for classifier-free guidance.

        Labels, texts, each number and each map are dropped independently with probability
        ``share``. Of a model with several of these, all are dropped together with the same
        probability once more, since guidance needs predictions without any condition.

        Args:
            condition: of the rows of ``draws``.
            share: in [0, 1]; 0 draws nothing.
            draws: what names the random numbers.
        """
        if not share:
            return condition
        names = [name for kind in self.kinds for name in kind.dropout]
        together: Tensor | bool = False
        if len(names) > 1:
            together = draws.uniform("condition dropout") < share
        for kind in self.kinds:
            entry = condition.get(kind.name)
            if kind.dropout and entry is not None:
                tosses = [(draws.uniform(name) < share) | together for name in kind.dropout]
                condition = condition.with_entry(
                    kind.name, kind.drop(entry, torch.stack(tosses, dim=1))
                )
        return condition
