r"""The text encoder: a small transformer, trained together with the network that it conditions.

.. math::

    h_0 = [E_0 + P_0;\ E_{s_1} + P_1;\ \dots;\ E_{s_L} + P_L], \qquad
    h \leftarrow h + \mathrm{Attention}(\mathrm{RMS}(h)), \qquad
    h \leftarrow h + W_2\,\mathrm{gelu}(W_1\,\mathrm{RMS}(h))

with token embeddings :math:`E`, of which :math:`E_0` is a class token, and learned positions
:math:`P`. The class token's encoding is the pooled vector. Padding is masked. Of an empty text only
the class token is left: the null condition, learned from dropped captions.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from undrift.conditioning.text.kind import TextKind
from undrift.conditioning.text.spec import TextSpec
from undrift.conditioning.text.texts import Texts
from undrift.networks.attention import SelfAttention
from undrift.networks.context import Context
from undrift.networks.norms import RMSNorm

S = TypeVar("S", bound=TextKind)


class SequenceEncoder(nn.Module, Generic[S]):
    """The trained layers of a text encoder, whatever its tokens are.

    Args:
        spec: vocabulary or frozen model, and shape.
        vector: length of the pooled vector.
    """

    def __init__(self, spec: S, vector: int) -> None:
        super().__init__()
        self.spec = spec
        # Row 0 is the class token, so that tokens can be added behind without moving it.
        self.embedding = nn.Embedding(spec.tokens + 1, spec.width)
        self.positions = nn.Embedding(spec.length + 1, spec.width)
        self.layers = nn.ModuleList(_Layer(spec) for _ in range(spec.layers))
        self.norm = RMSNorm(spec.width)
        self.pooled = nn.Linear(spec.width, vector, bias=False)
        nn.init.normal_(self.positions.weight, std=0.1)
        # Unit variance, as labels have: see `ConditionEncoder`.
        nn.init.normal_(self.pooled.weight, std=spec.width**-0.5)

    def through(self, h: Tensor, mask: Tensor) -> Context:
        """Encode embedded tokens, the class token's embedding first.

        Args:
            h: (B, 1 + L, width), L <= spec.length.
            mask: bool (B, 1 + L), False where a text has ended.
        """
        h = h + self.positions.weight[: h.shape[1]]
        for layer in self.layers:
            h = layer(h, mask)
        h = self.norm(h)
        return Context(vector=self.pooled(h[:, 0]), tokens=h, token_mask=mask)


class TextEncoder(SequenceEncoder[TextSpec]):
    """Encodes tokens of a vocabulary into a sequence and a pooled vector."""

    def forward(self, texts: Texts) -> Context:
        """Encode a batch; a text's encoding does not depend on its padding.

        Args:
            texts: of B samples; of several texts of a sample the first is encoded.

        Returns:
            The pooled vector (B, vector), tokens (B, 1 + length, width) and their mask.
        """
        rows = self.spec.rows(texts.first).to(self.embedding.weight.device)
        return self.encode(rows)

    def encode(self, rows: Tensor) -> Context:
        """Encode tokens: int64 (B, L), L <= spec.length, -1 where a text has ended."""
        # Padding is embedded as the class token is, and masked.
        h = self.embedding(F.pad(rows + 1, (1, 0)))
        return self.through(h, F.pad(rows >= 0, (1, 0), value=True))


class _Layer(nn.Module):
    def __init__(self, spec: TextKind) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(spec.width)
        self.attention = SelfAttention(spec.width, spec.heads, zero=False)
        self.norm = RMSNorm(spec.width)
        self.inward = nn.Linear(spec.width, 4 * spec.width)
        self.outward = nn.Linear(4 * spec.width, spec.width)

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        h = h + self.attention(self.attention_norm(h), mask=mask)
        return h + self.outward(F.gelu(self.inward(self.norm(h))))
