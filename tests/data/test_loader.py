"""Batches: right pixels, exact resume, ranks, errors, clean end."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
import torch

from undrift.data import ImageSet, load
from undrift.data.loader import AHEAD, Batch, Loader
from undrift.data.order import EpochStream


@pytest.fixture(scope="module")
def train() -> ImageSet:
    return load("digits").split("train")


def first(loader: Loader, count: int) -> list[Batch]:
    with loader:
        return [next(loader) for _ in range(count)]


def loader_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "undrift-loader"]


@pytest.mark.parametrize("resident", [False, True])
def test_batches_hold_what_the_stream_says(train: ImageSet, resident: bool) -> None:
    stream = EpochStream(len(train), 0, 100)
    assert train.labels is not None
    for step, batch in enumerate(first(Loader(train, stream, resident=resident), 20)):
        rows = stream.indices(step)
        assert batch.images.dtype == torch.uint8 and batch.images.shape == (100, 1, 8, 8)
        assert np.array_equal(batch.images.permute(0, 2, 3, 1), train.images[rows])
        assert np.array_equal(batch.condition["labels"], train.labels[rows])


def test_resume_at_any_step_is_identical(train: ImageSet) -> None:
    whole = first(Loader(train, EpochStream(len(train), 4, 64)), 40)
    for start in (1, 17, 24, 39):
        stream = EpochStream(len(train), 4, 64)
        resumed = first(Loader(train, stream, start_step=start), 40 - start)
        for one, other in zip(whole[start:], resumed, strict=True):
            assert torch.equal(one.images, other.images)
            assert torch.equal(one.condition["labels"], other.condition["labels"])


def test_ranks_see_their_rows(train: ImageSet) -> None:
    stream = EpochStream(len(train), 0, 10)
    whole = first(Loader(train, stream), 3)
    for rows in (slice(0, 5), slice(5, 10)):
        part = first(Loader(train, EpochStream(len(train), 0, 10), rows=rows), 3)
        for one, other in zip(whole, part, strict=True):
            assert torch.equal(one.images[rows], other.images)


def test_resident_and_threaded_are_equal(train: ImageSet) -> None:
    stream = EpochStream(len(train), 0, 33)
    there = Loader(train, stream, resident=True)
    assert there.resident and not loader_threads()
    fetched = Loader(train, EpochStream(len(train), 0, 33))
    assert not fetched.resident
    for one, other in zip(first(there, 5), first(fetched, 5), strict=True):
        assert torch.equal(one.images, other.images)


class BrokenStream:
    """Fails at step 3."""

    batch = 4

    def indices(self, step: int) -> np.ndarray:
        if step == 3:
            raise RuntimeError("the disk is gone")
        return np.arange(4)


def test_errors_surface_at_their_step(train: ImageSet) -> None:
    loader = Loader(train, BrokenStream())
    for _ in range(3):
        next(loader)
    with pytest.raises(RuntimeError, match="the disk is gone"):
        next(loader)
    assert not loader_threads()
    with pytest.raises(StopIteration):
        next(loader)


def test_closing_ends_the_thread(train: ImageSet) -> None:
    loader = Loader(train, EpochStream(len(train), 0, 8))
    next(loader)
    assert len(loader_threads()) == 1
    loader.close()
    loader.close()
    assert not loader_threads()
    assert list(loader) == []


def test_a_forgotten_loader_ends_its_thread(train: ImageSet) -> None:
    loader = Loader(train, EpochStream(len(train), 0, 8))
    next(loader)
    (thread,) = loader_threads()
    del loader
    gc.collect()
    thread.join(timeout=600)
    assert not thread.is_alive()


class CountingStream:
    """Remembers which steps were asked for."""

    batch = 2

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.enough = threading.Event()

    def indices(self, step: int) -> np.ndarray:
        self.asked.append(step)
        if len(self.asked) >= AHEAD + 1:
            self.enough.set()
        return np.array([0, 1])


def test_batches_are_prepared_ahead_but_not_without_end(train: ImageSet) -> None:
    stream = CountingStream()
    with Loader(train, stream) as loader:
        assert stream.enough.wait(600)
        next(loader)
        assert loader.waited >= 0
    # One taken, AHEAD queued, one in the thread's hand.
    assert len(stream.asked) <= AHEAD + 2 + 1
    assert stream.asked == list(range(len(stream.asked)))


def test_waiting_is_measured(train: ImageSet) -> None:
    released = threading.Event()

    class SlowStream(CountingStream):
        def indices(self, step: int) -> np.ndarray:
            released.wait(0.05)
            return np.array([0, 1])

    with Loader(train, SlowStream()) as loader:
        next(loader)
        # The first batch cannot have been there before it was made.
        assert loader.waited > 0
        released.set()


def test_unlabelled_data_has_no_condition(train: ImageSet) -> None:
    from dataclasses import replace

    bare = replace(train, labels=None, class_names=())
    (batch,) = first(Loader(bare, EpochStream(len(bare), 0, 4)), 1)
    assert not batch.condition
