"""Two ranks of gloo, forked from one process that has imported torch; see ``test_distributed``.

Every check is an entry of the JSON object that rank 0 prints: name -> whether it holds.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
from dataclasses import replace

import torch
from rich.console import Console
from torch import nn

from undrift.data import load
from undrift.options.train import TrainOptions
from undrift.runs.configuration import load as load_config
from undrift.runs.directory import RunDirectory
from undrift.runs.log import RunLog
from undrift.runs.recipes import resolve
from undrift.training import distributed
from undrift.training.distributed import World
from undrift.training.pacing import Pace
from undrift.workflows.pacing import BudgetPacing


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.SiLU(), nn.Conv2d(8, 4, 3), nn.Flatten(), nn.Linear(16, 2)
    )


def losses(model: nn.Module, rows: slice) -> torch.Tensor:
    x = torch.randn(6, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    return model(x)[rows].square().sum(1)


def agree(left: list[torch.Tensor | None], right: list[torch.Tensor | None]) -> bool:
    return all(
        a is not None and b is not None and torch.allclose(a, b, rtol=1e-5, atol=1e-6)
        for a, b in zip(left, right, strict=True)
    )


def gradients(world: World, checks: dict[str, bool]) -> None:
    model = network().to(memory_format=torch.channels_last)
    parameters = list(model.parameters())
    (losses(model, slice(None)).sum() / 6).backward()
    whole = [p.grad for p in parameters]
    for bucket in (10, distributed.BUCKET):
        distributed.BUCKET = bucket
        model.zero_grad(set_to_none=True)
        start, stop = world.rows(6)
        (losses(model, slice(start, stop)).sum() / 6).backward()
        checks[f"differ before, bucket {bucket}"] = not agree([p.grad for p in parameters], whole)
        world.sum_gradients(parameters)
        checks[f"equal after, bucket {bucket}"] = agree([p.grad for p in parameters], whole)
    strides = [p.grad is not None and p.grad.stride() == p.stride() for p in parameters]
    checks["memory format"] = all(strides)


def missing(world: World, checks: dict[str, bool]) -> None:
    here, nowhere, half = (nn.Parameter(torch.zeros(3)) for _ in range(3))
    half = nn.Parameter(torch.zeros(2, dtype=torch.bfloat16))
    half.grad = torch.full((2,), 0.5, dtype=torch.bfloat16)
    if world.rank == 1:
        here.grad = torch.ones(3)
    world.sum_gradients([nowhere, here, half])
    checks["gradient of one rank"] = here.grad is not None and here.grad.tolist() == [1, 1, 1]
    checks["gradient of no rank"] = nowhere.grad is None
    checks["bfloat16"] = half.grad.tolist() == [1, 1] and half.grad.dtype == torch.bfloat16


def collectives(world: World, checks: dict[str, bool]) -> None:
    checks["any"] = world.any([world.rank == 1, False, True]) == [True, False, True]
    checks["smallest"] = world.smallest(8 >> world.rank) == 4
    own = torch.full((2,), float(world.rank + 1))
    checks["sum"] = world.sum(own).tolist() == [3, 3] and own.tolist() == [world.rank + 1] * 2
    rows = torch.arange(world.rank + 2) + 10 * world.rank
    checks["gather"] = world.gather(rows).tolist() == [0, 1, 10, 11, 12]
    empty = torch.zeros(0, 4) if world.rank == 0 else torch.ones(1, 4)
    checks["gather nothing"] = world.gather(empty).tolist() == [[1, 1, 1, 1]]
    values = [
        torch.full((2, 3, 2, 2), float(world.rank)).to(memory_format=torch.channels_last),
        torch.tensor(world.rank),
        torch.full((3,), float(world.rank), requires_grad=True),
    ]
    world.broadcast(values)
    checks["broadcast"] = all(bool((value == 0).all()) for value in values)
    checks["broadcast format"] = values[0].is_contiguous(memory_format=torch.channels_last)
    name = "runs/é-1" if world.first else "another"
    checks["broadcast text"] = world.broadcast_text(name) == "runs/é-1"
    world.barrier()


def replanning(world: World, checks: dict[str, bool]) -> None:
    """Ranks that measure different paces get the steps of the first one, which are stored."""
    with tempfile.TemporaryDirectory() as made:
        run = RunDirectory(world.broadcast_text(made))
        asked = resolve("digits", TrainOptions(budget="60s"), load("digits"), device="cpu")
        plan = replace(asked.training, steps=1000)
        config = replace(asked, training=plan, seconds_per_step=0.06, replan=True)
        log = RunLog(Console(quiet=True), None)
        spent = 7.5 if world.first else 50.0
        pacing = BudgetPacing(run, config, world, log, None, spent)
        pace = Pace()
        pace.seconds = lambda: 0.12 if world.first else 0.001
        pace.updates = 100
        checks["no point"] = pacing.replan(plan, 124, pace) is plan
        changed = pacing.replan(plan, 125, pace)
        checks["fewer steps"] = 300 < changed.steps < 600
        numbers = [torch.tensor(changed.steps), torch.tensor(changed.replans[0].before)]
        own = [int(number) for number in numbers]
        world.broadcast(numbers)
        checks["same steps"] = own == [int(number) for number in numbers]
        checks["stored"] = load_config(run.config).training == changed
        world.barrier()


def run(rank: int, port: int) -> dict[str, bool]:
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    checks: dict[str, bool] = {}
    with World.join("cpu", timeout=600) as world:
        checks["facts"] = (world.rank, world.size, world.first) == (rank, 2, rank == 0)
        checks["rows"] = world.rows(7) == ((0, 3) if rank == 0 else (3, 7))
        gradients(world, checks)
        missing(world, checks)
        collectives(world, checks)
        replanning(world, checks)
        everywhere = [not bad for bad in world.any([not holds for holds in checks.values()])]
    checks = dict(zip(checks, everywhere, strict=True))
    checks["left"] = not torch.distributed.is_initialized()
    return checks


def main() -> None:
    torch.set_num_threads(1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    child = os.fork()
    checks = run(1 if child == 0 else 0, port)
    if child:
        _, status = os.waitpid(child, 0)
        checks["the other rank ended well"] = status == 0
        print(json.dumps(checks))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
