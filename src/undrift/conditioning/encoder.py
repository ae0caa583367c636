"""From a ``Condition`` to the ``Context`` that a network takes.

Vectors of all kinds are summed into ``context.vector``; tokens come from one kind, texts; the
channels of all maps lie behind each other. Each
embedding has unit variance per channel at the start, whatever the number of classes, so that no
kind outweighs another.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from undrift.conditioning.condition import Condition
from undrift.conditioning.spec import ConditionSpec
from undrift.errors import UsageError
from undrift.limits import WIDEST
from undrift.networks.context import Context, ContextSpec


class ConditionEncoder(nn.Module):
    """Encodes each kind of condition by its own embedding, a submodule of the kind's name.

    An entry that is not given is encoded as the kind's null.

    Args:
        spec: the conditions to take.
        width: size of the context vector; unused if the spec is empty.
    """

    def __init__(self, spec: ConditionSpec, width: int) -> None:
        super().__init__()
        if not 1 <= width <= WIDEST:
            raise UsageError(f"condition encoder: width is {width}, wanted 1 to {WIDEST:,}")
        self.spec = spec
        self.kinds = spec.kinds
        for kind in self.kinds:
            self.add_module(kind.name, kind.embedding(width))
        self.context_spec = _merged_spec([kind.context(width) for kind in self.kinds])

    def forward(self, condition: Condition | None, batch_size: int) -> Context:
        """Encode a batch.

        Args:
            condition: what is given with the samples; None: nothing.
            batch_size: number of samples.

        Raises:
            UsageError: for an entry that the spec lacks, or another number of samples.
        """
        condition = Condition() if condition is None else condition
        names = [kind.name for kind in self.kinds]
        for name in condition:
            if name not in names:
                raise UsageError(
                    f"condition: this model does not understand {name!r}; it understands: "
                    f"{', '.join(names) or 'none'}"
                )
        parts = []
        for kind in self.kinds:
            embedding = self.get_submodule(kind.name)
            device = next(embedding.parameters()).device
            entry = condition.get(kind.name)
            if entry is None:
                entry = kind.null(batch_size, device)
            else:
                kind.check(entry, batch_size)
            parts.append(embedding(entry.to(device)))
        return _merged(parts)


def _merged_spec(parts: Sequence[ContextSpec]) -> ContextSpec:
    return ContextSpec(
        vector=max((part.vector for part in parts), default=0),
        tokens=max((part.tokens for part in parts), default=0),
        maps=sum(part.maps for part in parts),
    )


def _merged(parts: Sequence[Context]) -> Context:
    vector: Tensor | None = None
    tokens: Tensor | None = None
    token_mask: Tensor | None = None
    for part in parts:
        if part.vector is not None:
            vector = part.vector if vector is None else vector + part.vector
        if part.tokens is not None:
            tokens, token_mask = part.tokens, part.token_mask
    maps = [part.maps for part in parts if part.maps is not None]
    return Context(
        vector=vector,
        tokens=tokens,
        token_mask=token_mask,
        maps=torch.cat(maps, dim=1) if maps else None,
    )
