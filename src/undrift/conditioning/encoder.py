"""From a ``Condition`` to the ``Context`` that a network hears.

Everything that is one vector per sample is embedded and summed into ``context.vector``. Each
embedding has unit variance per channel at the start, whatever the number of classes, so that labels
speak as loudly as the noise level.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from undrift.conditioning.condition import NO_LABEL, Condition
from undrift.errors import UsageError
from undrift.limits import MOST_CLASSES, WIDEST
from undrift.networks.context import Context, ContextSpec
from undrift.schema import check_ranges


@dataclass(frozen=True)
class ConditionSpec:
    """Which conditions a model understands; 0 means that it does not.

    Attributes:
        classes: number of class labels.
        augment: number of augmentation parameters.
    """

    classes: int = 0
    augment: int = 0

    def __post_init__(self) -> None:
        """Refuse negative sizes."""
        check_ranges(self, "condition", classes=(0, MOST_CLASSES), augment=(0, WIDEST))


class ConditionEncoder(nn.Module):
    """Embeds labels and augmentation parameters into a context vector.

    A missing or dropped label is heard as the null label, an embedding of its own; missing
    augmentation parameters are heard as untouched (zero).

    Args:
        spec: the conditions to understand.
        width: size of the context vector; unused if the spec is empty.
    """

    def __init__(self, spec: ConditionSpec, width: int) -> None:
        super().__init__()
        if not 1 <= width <= WIDEST:
            raise UsageError(f"condition encoder: width is {width}, wanted 1 to {WIDEST:,}")
        self.spec = spec
        # Row 0 is the null label, so that classes can be added behind without moving it.
        self.labels = nn.Embedding(spec.classes + 1, width) if spec.classes else None
        self.augment = nn.Linear(spec.augment, width, bias=False) if spec.augment else None
        self.context_spec = ContextSpec(vector=width if spec.classes or spec.augment else 0)

    def forward(self, condition: Condition | None, batch_size: int) -> Context:
        """Encode a batch.

        Args:
            condition: what is known of the samples; None: nothing.
            batch_size: number of samples.

        Raises:
            UsageError: for an entry that the spec lacks, or another number of samples.
        """
        condition = Condition() if condition is None else condition
        self._check(condition, batch_size)
        vector: Tensor | None = None
        if self.labels is not None:
            labels = condition.get("labels")
            if labels is None:
                device = self.labels.weight.device
                labels = torch.full((batch_size,), NO_LABEL, device=device, dtype=torch.int64)
            vector = self.labels(labels.to(self.labels.weight.device) + 1)
        if self.augment is not None:
            parameters = condition.get("augment")
            weight = self.augment.weight
            if parameters is None:
                parameters = torch.zeros(
                    batch_size, self.spec.augment, device=weight.device, dtype=torch.float32
                )
            heard = self.augment(parameters.to(weight.device, weight.dtype))
            vector = heard if vector is None else vector + heard
        return Context(vector=vector)

    def _check(self, condition: Condition, batch_size: int) -> None:
        known = {"labels": self.spec.classes, "augment": self.spec.augment}
        for name, entry in condition.items():
            if not known.get(name):
                understood = ", ".join(name for name, size in known.items() if size) or "none"
                raise UsageError(
                    f"condition: this model does not understand {name!r}; it understands: "
                    f"{understood}"
                )
            wanted = (batch_size,) if name == "labels" else (batch_size, self.spec.augment)
            if entry.shape != wanted:
                raise UsageError(
                    f"condition: {name} has shape {tuple(entry.shape)}, wanted {wanted}"
                )
        labels = condition.get("labels")
        if labels is not None and labels.dtype != torch.int64:
            raise UsageError(f"condition: labels are {labels.dtype}, wanted torch.int64")
        # On an accelerator the look would cost a synchronisation at every step.
        if labels is not None and labels.device.type == "cpu" and labels.numel():
            lowest, highest = int(labels.min()), int(labels.max())
            if lowest < NO_LABEL or highest >= self.spec.classes:
                raise UsageError(
                    f"condition: labels from {lowest} to {highest}, wanted 0 to "
                    f"{self.spec.classes - 1}, or {NO_LABEL} for none"
                )
