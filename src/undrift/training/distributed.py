"""Several processes that train one model: gradients are summed, everything else is computed alike.

There is no wrapper around the network. The loop calls ``sum_gradients`` once before each update,
which serves several networks, double backward and forward-mode products alike. Every method also
works, and does nothing, where there is one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self

import torch
import torch.distributed as dist
from torch import Tensor

from undrift.errors import UsageError

BUCKET = 8 * 2**20
"""Numbers summed in one message: long enough to fill a link, short enough to be a small copy."""


@dataclass(frozen=True)
class World:
    """This process among those that train together; a context manager that leaves them at its end.

    Attributes:
        rank: index of this process.
        size: number of processes.
        local_rank: index of this process on its machine.
        device: where its tensors are.
    """

    rank: int
    size: int
    local_rank: int
    device: torch.device

    @classmethod
    def join(cls, device: str = "cpu", timeout: float = 600.0) -> World:
        """Meet the processes that ``torchrun`` started, or be alone without it.

        Args:
            device: ``cpu`` or ``cuda``; with ``cuda`` a process takes the device of its local rank.
            timeout: seconds after which waiting for another process is an error.

        Raises:
            UsageError: if the environment names only some of what is needed, or what no rank is.
        """
        given = [name for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK") if name in os.environ]
        if given and len(given) < 3:
            raise UsageError(
                f"only {', '.join(given)} of RANK, WORLD_SIZE and LOCAL_RANK are set; start with "
                "torchrun or unset them"
            )
        try:
            rank, size, local_rank = (
                int(os.environ.get(name, default))
                for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
            )
        except ValueError:
            rank, size, local_rank = -1, 0, -1
        if not 0 <= rank < size or local_rank < 0:
            values = ", ".join(f"{name}={os.environ[name]!r}" for name in given)
            raise UsageError(
                f"{values}: wanted a rank below the world size; start with torchrun or unset them"
            )
        place = torch.device(device)
        if place.type == "cuda":
            place = torch.device("cuda", local_rank if size > 1 else place.index or 0)
            torch.cuda.set_device(place)
        if size > 1:
            backend = "nccl" if place.type == "cuda" else "gloo"
            dist.init_process_group(
                backend, rank=rank, world_size=size, timeout=timedelta(seconds=timeout)
            )
        return cls(rank, size, local_rank, place)

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def rows(self, batch: int) -> tuple[int, int]:
        """This process's rows ``start, stop`` of a global batch.

        Raises:
            UsageError: if some process would have none.
        """
        if batch < self.size:
            raise UsageError(
                f"a batch of {batch} over {self.size} processes: wanted at least one image each"
            )
        return batch * self.rank // self.size, batch * (self.rank + 1) // self.size

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its sum over all processes, in float32.

        A parameter without a gradient here counts as zero; one that has none anywhere keeps none,
        so that one process and many leave the same parameters alone.

        Args:
            parameters: the same ones, in the same order, in every process.
        """
        if self.size == 1:
            return
        parameters = list(parameters)
        holders = torch.tensor([int(p.grad is not None) for p in parameters], device=self.device)
        buckets = [(b, torch.cat([_flat_gradient(p) for p in b])) for b in _buckets(parameters)]
        # All messages are under way before the first is waited for.
        work = [
            dist.all_reduce(t, async_op=True) for t in (holders, *(flat for _, flat in buckets))
        ]
        for handle in work:
            if handle is not None:
                handle.wait()
        held = dict(zip(map(id, parameters), holders.tolist(), strict=True))
        for bucket, flat in buckets:
            parts = flat.split([p.numel() for p in bucket])
            for parameter, part in zip(bucket, parts, strict=True):
                if held[id(parameter)]:
                    if parameter.grad is None:
                        parameter.grad = torch.empty_like(parameter)
                    parameter.grad.copy_(part.view(parameter.shape))

    @torch.no_grad()
    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite ``tensors`` by those of the first process."""
        if self.size == 1:
            return
        for tensor in tensors:
            value = tensor.detach().contiguous()  # collectives know no memory formats
            dist.broadcast(value, src=0)
            tensor.copy_(value)

    def broadcast_text(self, text: str) -> str:
        """``text`` of the first process, of at most 4,096 bytes."""
        if self.size == 1:
            return text
        data = torch.zeros(4096, dtype=torch.uint8, device=self.device)
        encoded = torch.tensor(list(text.encode()) if self.first else [], dtype=torch.uint8)
        data[: len(encoded)] = encoded
        dist.broadcast(data, src=0)
        return bytes(data.tolist()).rstrip(b"\0").decode()

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum of ``tensor`` over all processes; a new tensor where there are several."""
        return self._reduce(tensor, dist.ReduceOp.SUM)

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """For each flag, whether any process raised it: what all of them may act on together."""
        if self.size == 1:
            return list(flags)
        raised = torch.tensor([int(flag) for flag in flags], device=self.device)
        return [bool(flag) for flag in self._reduce(raised, dist.ReduceOp.MAX).tolist()]

    def smallest(self, value: int) -> int:
        """The smallest ``value`` of any process."""
        if self.size == 1:
            return value
        return int(self._reduce(torch.tensor(value, device=self.device), dist.ReduceOp.MIN))

    def gather(self, tensor: Tensor) -> Tensor:
        """Rows of all processes joined along the first dimension, in the order of ranks.

        Args:
            tensor: (n, ...), where n may differ between processes but nothing else.
        """
        if self.size == 1:
            return tensor
        counts = torch.zeros(self.size, dtype=torch.int64, device=self.device)
        counts[self.rank] = len(tensor)
        lengths = [int(count) for count in self.sum(counts)]
        padded = tensor.new_zeros((max(lengths), *tensor.shape[1:]))
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return torch.cat([part[:length] for part, length in zip(parts, lengths, strict=True)])

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()

    def leave(self) -> None:
        """Leave the other processes; further collectives are errors."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    def _reduce(self, tensor: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
        if self.size == 1:
            return tensor
        result = tensor.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(result, operation)
        return result


def _flat_gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        return torch.zeros(parameter.numel(), device=parameter.device)
    return parameter.grad.reshape(-1).float()


def _buckets(parameters: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    size = 0
    for parameter in parameters:
        if bucket and size + parameter.numel() > BUCKET:
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += parameter.numel()
    if bucket:
        yield bucket
