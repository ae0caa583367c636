from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from undrift.errors import UsageError
from undrift.training.distributed import World

SCRIPT = Path(__file__).with_name("distributed_process.py")
NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_two_ranks() -> None:
    result = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=900, check=False
    )
    assert result.returncode == 0, result.stderr
    checks = json.loads(result.stdout)
    assert len(checks) == 24
    assert [name for name, holds in checks.items() if not holds] == []


def test_alone_everything_is_the_identity() -> None:
    with World.join() as world:
        assert (world.rank, world.size, world.local_rank, world.first) == (0, 1, 0, True)
        assert world.device == torch.device("cpu")
        assert world.rows(5) == (0, 5)
        assert world.broadcast_text("runs/é-1") == "runs/é-1"
        weight = torch.zeros(2, requires_grad=True)
        world.sum_gradients([weight])
        assert weight.grad is None
        weight.grad = torch.tensor([1.0, 2.0])
        world.sum_gradients([weight])
        assert weight.grad.tolist() == [1, 2]
        world.broadcast([weight])
        assert world.any([True, False]) == [True, False]
        assert world.smallest(3) == 3
        assert world.gather(weight) is weight and world.sum(weight) is weight
        world.barrier()
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("batch", [7, 8, 64])
def test_rows_cover_the_batch_once(size: int, batch: int) -> None:
    parts = [World(rank, size, rank, torch.device("cpu")).rows(batch) for rank in range(size)]
    assert [row for start, stop in parts for row in range(start, stop)] == list(range(batch))
    lengths = [stop - start for start, stop in parts]
    assert max(lengths) - min(lengths) <= 1


def test_a_batch_too_small_for_the_ranks() -> None:
    with pytest.raises(UsageError, match="at least one image each"):
        World(0, 4, 0, torch.device("cpu")).rows(3)


@pytest.mark.parametrize("given", [{"RANK": "0"}, {"RANK": "0", "WORLD_SIZE": "2"}])
def test_half_a_launcher(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="torchrun"):
        World.join()


@pytest.mark.parametrize(
    "values", [("", "1", "0"), ("x", "2", "0"), ("2", "2", "0"), ("0", "1", "-1")]
)
def test_numbers_of_no_rank(values: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(("RANK", "WORLD_SIZE", "LOCAL_RANK"), values, strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=f"RANK='{values[0]}', .*torchrun"):
        World.join()
