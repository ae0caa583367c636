"""The averages stored along a run, from which any other is made afterwards."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor

from undrift.errors import ModelFileError, UsageError
from undrift.files.filesystem import Filesystem
from undrift.files.lock import FileLock
from undrift.schema import from_plain
from undrift.training.checkpoint import CheckpointStore
from undrift.training.ema import PowerEMA, track_name
from undrift.training.posthoc import Profile, reconstruct

COUNT = 32


def snapshot_due(before: float, after: float, count: int = COUNT) -> bool:
    """Whether a snapshot is taken after the update that leads from one progress to another.

    At most ``count`` of them, evenly spaced, the last at the end. It depends on nothing else, so a
    resumed run takes the same ones.

    Args:
        before: share of the run that was done before the update, in [0, 1].
        after: share that is done with it.
        count: of a whole run.
    """
    return int(after * count) > int(before * count)


@dataclass(frozen=True)
class _State:
    """What a snapshot's ``state.json`` says."""

    images: int
    sigma_rels: tuple[float, ...]


class SnapshotStore:
    """Snapshots of a ``PowerEMA`` in one directory, kept as checkpoints are: atomic and verified.

    They are never pruned with the checkpoints. A snapshot that a resumed run takes again replaces
    the one it took before.

    Args:
        directory: ``ema/`` of a run; the first ``save`` creates it.
        filesystem: operations to write and read through.
    """

    def __init__(
        self, directory: str | os.PathLike[str], filesystem: Filesystem | None = None
    ) -> None:
        self._store = CheckpointStore(directory, filesystem)

    def save(self, step: int, ema: PowerEMA) -> int:
        """Store every track as it is now; returns the bytes written.

        Raises:
            CheckpointWriteError: if the disk is full or does not accept it.
        """
        tracks = {track_name(s): ema.weights(s) for s in ema.sigma_rels}
        state = {"images": ema.images, "sigma_rels": list(ema.sigma_rels)}
        return self._store.save(step, tracks, state)

    def steps(self) -> list[int]:
        """Steps of the snapshots, ascending."""
        return self._store.steps()

    def sweep(self, lock: FileLock) -> list[str]:
        """Delete what interrupted saves left behind; see ``CheckpointStore.sweep``."""
        return self._store.sweep(lock)

    def weights(self, sigma_rel: float, step: int | None = None) -> dict[str, Tensor]:
        """The average of any relative length.

        Args:
            sigma_rel: relative length wanted.
            step: one of ``steps()``, at which the average ends; the newest by default.

        Returns:
            float32 tensors (others in their own type) by name, on the CPU.

        Raises:
            UsageError: if there is no such snapshot, or that length cannot be made from them.
            ModelFileError: if a snapshot is damaged.
        """
        steps = self.steps()
        if not steps or step not in (None, *steps):
            listed = ", ".join(map(str, steps)) or "there are none"
            raise UsageError(f"{self._store.directory}: no EMA snapshot at step {step}; {listed}")
        profiles: list[Profile] = []
        places: list[tuple[int, str]] = []
        images: dict[int, int] = {}
        for number in steps:
            # An average that ends here does not depend on what came later.
            if step is not None and number > step:
                break
            state = self._state(number)
            images[number] = state.images
            for track in state.sigma_rels:
                profiles.append(Profile(state.images, track))
                places.append((number, track_name(track)))
        last = max(images)
        mix = reconstruct(profiles, sigma_rel, images[last])
        return self._mix(places, mix.coefficients, last)

    def _state(self, step: int) -> _State:
        where = f"{self._store.directory}: snapshot {step}"
        try:
            return from_plain(_State, self._store.load_state(step), where)
        except UsageError as error:
            raise ModelFileError(f"{error}; delete it, or take another step") from error

    def _mix(
        self, places: list[tuple[int, str]], coefficients: Tensor, last: int
    ) -> dict[str, Tensor]:
        shares: dict[int, dict[str, float]] = {}
        for (step, track), coefficient in zip(places, coefficients.tolist(), strict=True):
            if coefficient != 0:
                shares.setdefault(step, {})[track] = coefficient
        result: dict[str, Tensor] = {}
        sums: dict[str, Tensor] = {}
        # One snapshot in memory at a time; the newest last, for what is copied and not averaged.
        for step in sorted(shares):
            tensors = self._store.load(step).tensors
            for track, coefficient in shares[step].items():
                for name, value in tensors[track].items():
                    if value.is_floating_point():
                        term = value.double() * coefficient
                        sums[name] = sums[name] + term if name in sums else term
                    elif step == last:
                        result[name] = value
        return {**result, **{name: value.to(torch.float32) for name, value in sums.items()}}
