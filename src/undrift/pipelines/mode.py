"""Training or evaluation: what a module's dropout and the like go by."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def evaluating(weights: nn.Module) -> Iterator[None]:
    """Switch dropout and the like off, and back to what each module was."""
    training = [module for module in weights.modules() if module.training]
    weights.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
