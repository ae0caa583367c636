"""Batches for the training loop: gathered one step ahead in a thread, or resident on the GPU."""

from __future__ import annotations

import queue
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from undrift.conditioning import Condition
from undrift.data.imageset import ImageSet
from undrift.data.order import Order, Stream

RESIDENT_SHARE = 0.25
"""A data set that takes at most this share of the free GPU memory lives on the GPU."""

AHEAD = 2
"""Batches that the thread holds ready."""


@dataclass(frozen=True)
class Batch:
    """Images with what is given of each: rows of one global batch.

    Attributes:
        images: uint8 (B, C, H, W).
        condition: of the B images, on the same device.
    """

    images: Tensor
    condition: Condition

    def __getitem__(self, rows: slice) -> Batch:
        """Some rows of the batch."""
        return Batch(self.images[rows], self.condition[rows])


class Batches(Protocol):
    """One rank's rows of the batch of one step after another; a context manager.

    Attributes:
        waited: seconds that the caller has spent waiting for data so far.
    """

    waited: float

    def __iter__(self) -> Iterator[Batch]: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class BatchSource(Protocol):
    """Data that can be trained on: `undrift.data.ImageSet` is one."""

    def batches(
        self, order: Order, *, rows: slice, device: torch.device, start_step: int
    ) -> Batches:
        """Batches from ``start_step`` on; each is a function of ``order`` and its step alone.

        Args:
            order: seed, global batch and balance.
            rows: this rank's part of the global batch.
            device: where batches are wanted.
            start_step: first step, counted from 0.
        """
        ...


class HeldOut(Protocol):
    """Validation images: `undrift.data.ImageSet` is one."""

    @property
    def images(self) -> NDArray[np.uint8]:
        """All images, uint8 (N, H, W, C)."""
        ...

    def condition(self) -> Condition:
        """Of the N images, on the CPU."""
        ...


class Loader:
    """Endless batches from ``start_step`` on; what comes depends on the stream and step alone.

    Use it as a context manager, or call :meth:`close`. Errors of the thread are raised here.

    Args:
        imageset: usually the training split; the stream's indices are rows of it.
        stream: gives the global batch of each step.
        rows: this rank's part of the global batch; None is all of it.
        device: where batches are wanted.
        start_step: first step.
        resident: keep the whole set on the device; None decides by its free memory (never on CPU).

    Attributes:
        waited: seconds that the caller has spent waiting for data so far.
        resident: whether the whole set is on the device.
    """

    def __init__(
        self,
        imageset: ImageSet,
        stream: Stream,
        *,
        rows: slice | None = None,
        device: torch.device | str = "cpu",
        start_step: int = 0,
        resident: bool | None = None,
    ) -> None:
        self.waited = 0.0
        self._step = start_step
        device = torch.device(device)
        self.resident = fits(imageset, device) if resident is None else resident
        source = _Source(imageset, stream, rows or slice(None), device, self.resident)
        self._source = source
        self._ready: queue.Queue[Batch | Exception] = queue.Queue(AHEAD)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if not self.resident:
            # The thread must not hold the loader itself, or the loader could never be collected.
            self._thread = threading.Thread(
                target=_fill,
                args=(source, start_step, self._ready, self._stop),
                name="undrift-loader",
                daemon=True,
            )
            self._thread.start()
            weakref.finalize(self, self._stop.set)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._stop.is_set():
            raise StopIteration
        started = time.monotonic()
        batch: Batch | Exception
        batch = self._source.batch(self._step) if self._thread is None else self._ready.get()
        self.waited += time.monotonic() - started
        if isinstance(batch, Exception):
            self.close()
            raise batch
        self._step += 1
        return batch

    def close(self) -> None:
        """Stop the thread and wait until it has ended; iteration ends. May be called twice."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Loader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Source:
    """Gathers the batch of any step."""

    def __init__(
        self,
        imageset: ImageSet,
        stream: Stream,
        rows: slice,
        device: torch.device,
        resident: bool,
    ) -> None:
        self._imageset = imageset
        self._stream = stream
        self._rows = rows
        self._device = device
        self._condition = imageset.condition().to(device)
        self._resident: Tensor | None = None
        if resident:
            self._resident = upload(imageset, device)

    def batch(self, step: int) -> Batch:
        """Return this rank's rows of the batch of ``step``."""
        chosen = self._stream.indices(step)[self._rows]
        there = torch.from_numpy(chosen).to(self._device)
        if self._resident is not None:
            images = self._resident[there]
        else:
            images = as_batch(self._imageset.take(chosen))
            if self._device.type == "cuda":
                images = images.pin_memory().to(self._device, non_blocking=True)
            else:
                images = images.to(self._device)
        return Batch(images, self._condition[there])


def _fill(
    source: _Source, step: int, ready: queue.Queue[Batch | Exception], stop: threading.Event
) -> None:
    """Put batches into the queue until stopped; an error is put there too and ends it."""
    while not stop.is_set():
        item: Batch | Exception
        try:
            item = source.batch(step)
        # Whatever it is, it belongs to the caller, who gets it from the queue.
        except Exception as error:
            item = error
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                break
            except queue.Full:
                continue
        if isinstance(item, Exception):
            return
        step += 1


def as_batch(images: NDArray[np.uint8]) -> Tensor:
    """Turn uint8 (b, H, W, C) into a contiguous uint8 tensor (b, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def upload(imageset: ImageSet, device: torch.device) -> Tensor:
    """Copy the whole set to the device, block by block: uint8 (N, C, H, W)."""
    height, width, channels = imageset.shape
    whole = torch.empty((len(imageset), channels, height, width), dtype=torch.uint8, device=device)
    block = max(1, 2**26 // (height * width * channels))
    for start in range(0, len(imageset), block):
        rows = np.arange(start, min(start + block, len(imageset)))
        whole[start : start + len(rows)] = as_batch(imageset.take(rows)).to(device)
    return whole


def fits(imageset: ImageSet, device: torch.device) -> bool:
    """Whether the set is small beside the device's free memory; on the CPU it is mapped anyway."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return len(imageset) * int(np.prod(imageset.shape)) <= RESIDENT_SHARE * free
