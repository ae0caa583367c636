"""How large a difference has to be to matter; fixed here, before anything is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Margin:
    """The smallest difference that counts.

    Attributes:
        share: of what it is compared with; 0.1 is ten percent.
        amount: in the metric's own unit.
    """

    share: float = 0.0
    amount: float = 0.0

    def of(self, baseline: float) -> float:
        """The margin in the metric's unit, beside ``baseline``."""
        return max(self.amount, self.share * abs(baseline))

    @property
    def words(self) -> str:
        """For a protocol."""
        parts = []
        if self.share:
            parts.append(f"{self.share:.0%} of the first method's mean")
        if self.amount:
            parts.append(f"{self.amount:g}")
        return ", or ".join(parts) + (", whichever is larger" if len(parts) > 1 else "")


_DISTANCE = Margin(share=0.1)
_SHARE = Margin(amount=0.02)

MARGINS: dict[str, Margin] = {
    "fd": _DISTANCE,
    "fd_infinity": _DISTANCE,
    "kid": _DISTANCE,
    "texture_fd": _DISTANCE,
    "mind": _DISTANCE,
    "cmmd": _DISTANCE,
    "class_fd": _DISTANCE,
    "modes": _DISTANCE,
    "number_error": _DISTANCE,
    "map_error": _DISTANCE,
    "precision": _SHARE,
    "recall": _SHARE,
    "coverage": _SHARE,
    "label_accuracy": _SHARE,
    "cas": _SHARE,
    "memorization": _SHARE,
    "prompt_top1": _SHARE,
    "prompt_swap": _SHARE,
    "mask_iou": _SHARE,
    "prompt_top5": _SHARE,
}
"""Of every metric that has a better and worse. Distances and errors: a tenth; shares: 0.02."""
