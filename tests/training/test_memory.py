from __future__ import annotations

import weakref

import pytest
import torch

from undrift.errors import UsageError
from undrift.training.memory import find_micro_batch, is_out_of_memory


def device_with_room_for(limit: int, tried: list[int]):
    def try_step(size: int) -> None:
        tried.append(size)
        if size > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")

    return try_step


@pytest.mark.parametrize(
    ("batch", "limit", "sizes"),
    [
        (64, 64, [64]),
        (64, 63, [64, 32]),
        (8, 1, [8, 4, 2, 1]),
        (25, 5, [25, 13, 7, 4]),
        (1, 1, [1]),
    ],
)
def test_halves_until_it_fits(batch: int, limit: int, sizes: list[int]) -> None:
    tried: list[int] = []
    assert find_micro_batch(device_with_room_for(limit, tried), batch) == sizes[-1]
    assert tried == sizes


def test_one_image_that_does_not_fit() -> None:
    with pytest.raises(UsageError, match="not even one image"):
        find_micro_batch(device_with_room_for(0, []), 2)


def test_other_errors_are_not_about_memory() -> None:
    def broken(size: int) -> None:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        find_micro_batch(broken, 8)


def test_the_allocator_of_the_host_counts() -> None:
    def try_step(size: int) -> None:
        torch.empty(2**56 if size > 2 else 1, dtype=torch.uint8)

    assert find_micro_batch(try_step, 8) == 2
    assert not is_out_of_memory(RuntimeError("shape mismatch"))


def test_what_a_failed_try_held_is_free_before_the_next() -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def try_step(size: int) -> None:
        assert all(reference() is None for reference in held)
        activations = torch.zeros(size)
        held.append(weakref.ref(activations))
        if size > 2:
            raise torch.OutOfMemoryError

    assert find_micro_batch(try_step, 8) == 2
