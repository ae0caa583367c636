"""Conditioning inputs of a network, beside the noisy image.

A ``Context`` is what every encoder of a condition produces and every network takes. It knows
nothing of labels or captions: a label arrives as part of ``vector``, a text as ``tokens``, a mask
or depth map as ``maps``, so new kinds of condition change neither this class nor the networks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.errors import UsageError
from undrift.limits import WIDEST
from undrift.schema import check_ranges


@dataclass(frozen=True)
class ContextSpec:
    """Which parts a network's context has; 0 means that the part is absent.

    Attributes:
        vector: numbers per sample.
        tokens: numbers per token.
        maps: channels of the spatial maps.
    """

    vector: int = 0
    tokens: int = 0
    maps: int = 0

    def __post_init__(self) -> None:
        """Refuse negative sizes."""
        check_ranges(self, "context", vector=(0, WIDEST), tokens=(0, WIDEST), maps=(0, WIDEST))


@dataclass(frozen=True)
class Context:
    """Encoded conditions of a batch; every part is optional.

    Attributes:
        vector: (B, C), one vector per sample.
        tokens: (B, L, D), a sequence per sample.
        token_mask: (B, L) bool, True where a token counts; None: all do.
        maps: (B, Cm, H, W) images that go with each sample, resized to it by the network.
    """

    vector: Tensor | None = None
    tokens: Tensor | None = None
    token_mask: Tensor | None = None
    maps: Tensor | None = None

    def __len__(self) -> int:
        """Number of samples; 0 if every part is absent."""
        for part in (self.vector, self.tokens, self.maps):
            if part is not None:
                return part.shape[0]
        return 0

    def __bool__(self) -> bool:
        """A context is true, however few samples it holds; only ``None`` means no context."""
        return True

    def __getitem__(self, rows: slice | Tensor) -> Context:
        """Return the context of some rows: a slice, an index tensor or a bool mask."""
        return self._map(lambda part: part[rows])

    def to(self, device: torch.device | str) -> Context:
        """Return the same context on ``device``."""
        return self._map(lambda part: part.to(device))

    @staticmethod
    def concatenate(contexts: Sequence[Context]) -> Context:
        """Join contexts along the batch.

        Token sequences of different lengths are padded with zeros that the mask silences.

        Raises:
            UsageError: if there is none, or one has a part that another lacks.
        """
        if not contexts:
            raise UsageError("concatenate: got no contexts, wanted at least one")
        tokens, token_mask = _join_tokens(contexts)
        return Context(
            vector=_join("vector", [context.vector for context in contexts]),
            tokens=tokens,
            token_mask=token_mask,
            maps=_join("maps", [context.maps for context in contexts]),
        )

    def _map(self, change: Callable[[Tensor], Tensor]) -> Context:
        def changed(part: Tensor | None) -> Tensor | None:
            return None if part is None else change(part)

        return Context(
            vector=changed(self.vector),
            tokens=changed(self.tokens),
            token_mask=changed(self.token_mask),
            maps=changed(self.maps),
        )


def _join(name: str, parts: list[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    if not present:
        return None
    if len(present) != len(parts):
        raise UsageError(
            f"concatenate: {len(present)} of {len(parts)} contexts have {name}; give all or none"
        )
    return torch.cat(present)


def _join_tokens(contexts: Sequence[Context]) -> tuple[Tensor | None, Tensor | None]:
    lengths = [context.tokens.shape[1] for context in contexts if context.tokens is not None]
    ragged = len(set(lengths)) > 1
    if not ragged and all(context.token_mask is None for context in contexts):
        return _join("tokens", [context.tokens for context in contexts]), None
    tokens: list[Tensor | None] = []
    masks: list[Tensor | None] = []
    for context in contexts:
        if context.tokens is None:
            tokens.append(None)
            continue
        batch, length, _ = context.tokens.shape
        mask = context.token_mask
        if mask is None:
            mask = torch.ones(batch, length, dtype=torch.bool, device=context.tokens.device)
        missing = max(lengths) - length
        tokens.append(torch.nn.functional.pad(context.tokens, (0, 0, 0, missing)))
        masks.append(torch.nn.functional.pad(mask, (0, missing)))
    return _join("tokens", tokens), _join("token_mask", masks)
