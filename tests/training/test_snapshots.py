from __future__ import annotations

from pathlib import Path

import pytest
import torch

from undrift.errors import ModelFileError, UsageError
from undrift.files.lock import FileLock
from undrift.training.ema import PowerEMA
from undrift.training.snapshots import SnapshotStore, snapshot_due


@pytest.mark.parametrize("steps", [1, 7, 31, 32, 33, 100, 1234])
def test_at_most_32_snapshots_evenly_spaced_and_the_last(steps: int) -> None:
    taken = [step for step in range(1, steps + 1) if snapshot_due((step - 1) / steps, step / steps)]
    assert len(taken) == min(32, steps)
    assert taken[-1] == steps
    gaps = [b - a for a, b in zip([0, *taken], taken, strict=False)]
    assert max(gaps) - min(gaps) <= 1


def trained(
    directory: Path, steps: int = 64, stop: int | None = None
) -> tuple[SnapshotStore, PowerEMA]:
    generator = torch.Generator().manual_seed(0)
    tensors = {"weight": torch.zeros(500), "count": torch.tensor(0)}
    ema = PowerEMA(tensors, (0.05, 0.1, 0.07))
    stored = PowerEMA(tensors)
    store = SnapshotStore(directory)
    for step in range(1, (stop or steps) + 1):
        tensors["weight"] += torch.randn(500, generator=generator)
        tensors["count"] += 1
        ema.update(10 * step)
        stored.update(10 * step)
        if snapshot_due((step - 1) / steps, step / steps):
            store.save(step, stored)
    return store, ema


def distance(left: torch.Tensor, right: torch.Tensor) -> float:
    return float((left - right).norm() / right.norm())


def test_any_length_from_what_is_stored(tmp_path: Path) -> None:
    store, ema = trained(tmp_path)
    for sigma_rel in (0.05, 0.1):
        assert torch.equal(store.weights(sigma_rel)["weight"], ema.weights(sigma_rel)["weight"])
    made = store.weights(0.07)
    assert distance(made["weight"], ema.weights(0.07)["weight"]) < 2e-3
    assert distance(store.weights(0.05)["weight"], ema.weights(0.07)["weight"]) > 2e-2
    assert made["weight"].dtype == torch.float32
    assert made["count"].item() == 64


def test_an_average_may_end_earlier(tmp_path: Path) -> None:
    store, _ = trained(tmp_path / "whole")
    _, half = trained(tmp_path / "half", stop=32)
    assert distance(store.weights(0.07, 32)["weight"], half.weights(0.07)["weight"]) < 4e-3
    assert store.weights(0.07, 32)["count"].item() == 32
    with pytest.raises(UsageError, match=r"no EMA snapshot at step 33; 2, 4"):
        store.weights(0.07, 33)


def test_a_snapshot_taken_again_replaces_the_old_one(tmp_path: Path) -> None:
    store, ema = trained(tmp_path)
    weights = ema.weights(0.1)["weight"].clone()
    again = PowerEMA({"weight": torch.ones(500), "count": torch.tensor(9)})
    again.update(640)
    store.save(64, again)
    assert torch.equal(store.weights(0.1)["weight"], torch.ones(500))
    assert not torch.equal(weights, torch.ones(500))


def test_damage_is_named(tmp_path: Path) -> None:
    store, _ = trained(tmp_path)
    path = tmp_path / "step-000040" / "0.05.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 4
    path.write_bytes(data)
    with pytest.raises(ModelFileError, match="step-000040"):
        store.weights(0.07)
    assert store.weights(0.05)["count"].item() == 64


def test_a_state_of_other_types_is_named(tmp_path: Path) -> None:
    averages = PowerEMA({"weight": torch.ones(3)})
    averages.update(64)
    tracks = {"0.1": averages.weights(0.1)}
    SnapshotStore(tmp_path)._store.save(4, tracks, {"images": {}, "sigma_rels": [0.1]})
    with pytest.raises(ModelFileError, match=r"snapshot 4: images.*delete it, or take another"):
        SnapshotStore(tmp_path).weights(0.05)


def test_no_snapshots(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are none"):
        SnapshotStore(tmp_path / "ema").weights(0.05)


def test_leftovers_are_swept(tmp_path: Path) -> None:
    store, _ = trained(tmp_path)
    leftover = f".staging-step-000066-{32 * 'f'}"
    (tmp_path / leftover).mkdir()
    with FileLock(tmp_path) as lock:
        assert store.sweep(lock) == [leftover]
    assert len(store.steps()) == 32
