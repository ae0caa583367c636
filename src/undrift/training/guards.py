"""Guards against steps that would spoil the weights.

An update whose loss or gradient is not finite is skipped, counted and logged; nothing is repaired.
Ten in a row mean that the run has diverged.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from undrift.advice import possible
from undrift.errors import DivergedError

LIMIT = 10


class NonFiniteGuard:
    """Counts consecutive non-finite steps, of each phase on its own.

    A generator that is broken stays so however well its discriminator does.

    Attributes:
        skipped: non-finite steps in all; belongs to the checkpoint.
    """

    def __init__(self, consecutive: int = 0, skipped: int = 0) -> None:
        self.skipped = skipped
        self._before = consecutive
        self._phases: dict[str, int] = {}

    @property
    def consecutive(self) -> int:
        """Non-finite steps since the last good one, of the worst phase; goes into checkpoints."""
        return max(self._phases.values(), default=self._before)

    def accept(self, finite: bool, phase: str = "") -> bool:
        """Record one step of a phase and return whether its update may be made."""
        if finite:
            self._phases[phase] = 0
            return True
        self._phases[phase] = self._phases.get(phase, self._before) + 1
        self.skipped += 1
        return False

    def check(self, step: int, newest: int | None) -> None:
        """Stop a run that has diverged.

        Args:
            step: the step that was skipped last.
            newest: step of the newest checkpoint, or None.

        Raises:
            DivergedError: after ``LIMIT`` skipped steps in a row.
        """
        if self.consecutive >= LIMIT:
            newest_name = "no checkpoint" if newest is None else f"checkpoint step-{newest:06d}"
            hint = possible(
                "start anew with a lower {learning_rate} and another {out}, perhaps from this run "
                "with {init}",
                "lower the learning rate",
            )
            raise DivergedError(
                f"training diverged: {LIMIT} updates in a row up to step {step} had a non-finite "
                f"loss or gradient ({newest_name} from before); {hint}"
            )


class BufferSnapshot:
    """Snapshot of the buffers that forward passes change, such as a batch norm's averages.

    It is restored after a skipped update, which may have left non-finite values in them.

    Args:
        networks: of whose saved floating-point buffers the snapshot is.
    """

    def __init__(self, networks: nn.Module) -> None:
        saved = networks.state_dict().keys()
        self._live = [
            buffer
            for name, buffer in networks.named_buffers()
            if name in saved and buffer.is_floating_point()
        ]
        self._saved = [buffer.clone() for buffer in self._live]

    def take(self) -> None:
        """Take the snapshot."""
        for saved, live in zip(self._saved, self._live, strict=True):
            saved.copy_(live)

    def restore(self) -> None:
        """Restore the snapshot."""
        for saved, live in zip(self._saved, self._live, strict=True):
            live.copy_(saved)


def gradient_norm(module: nn.Module) -> Tensor:
    """Euclidean norm of all gradients of ``module``, float32, on their device; 0 without any."""
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    if not gradients:
        return torch.zeros(())
    return torch.nn.utils.get_total_norm(gradients).float()


def clip(module: nn.Module, norm: Tensor, limit: float) -> None:
    """Scale all gradients of ``module`` in place so that their norm is at most ``limit``."""
    torch.nn.utils.clip_grads_with_norm_(module.parameters(), limit, norm)
