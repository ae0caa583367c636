"""What bounded spinning of idle OpenMP threads costs alone, and gains beside other processes.

    python benchmarks/busy_machine.py

The same work with undrift's own bound and with libgomp's default, in processes that take turns:
training on the digits and sampling (two images, three steps a call, as many calls as fit into the
time), alone, beside a process that keeps every core busy, and beside a second process that samples
likewise. What counts is the median of the ratios of neighbouring rounds; beside others, where they
are far apart, of half as many. To reach: alone at least 0.97, beside others at least 10. Untrained
weights: speed does not depend on them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from record import conditions, warn_if_busy, write

from undrift.threads import CHOICES, spin_bound

DEFAULT = {"GOMP_SPINCOUNT": "300000"}
"""What libgomp does where nothing is set."""

ALONE, BESIDE = 0.97, 10.0
LOOP = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
"""Python that keeps a core busy until the process that started it has ended."""

BATCH, STEPS = 2, 3
"""Images and solver steps of a call that is sampled."""


def main() -> None:
    """Measure, print a table, write a JSON."""
    options = _options()
    if options.work:
        _work(options.threads)
        return
    warn_if_busy()
    result = conditions() | {
        "threads": options.threads,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "rows": [],
    }
    with contextlib.ExitStack() as stack:
        bound, default = (
            [stack.enter_context(_worker(variant, options.threads)) for _ in range(2)]
            for variant in (spin_bound({}), DEFAULT)
        )
        for worker in (*bound, *default):
            worker.ready()

        def row(name: str, reach: float, measure: Callable[[list[_Worker]], float]) -> None:
            """Measure both in turns, the first one of a round last in the next."""
            pairs = []
            rounds = options.rounds if reach < 1 else options.rounds // 2 + 1
            for number in range(rounds):
                turns = (bound, default) if number % 2 else (default, bound)
                rates = {turn is bound: measure(turn) for turn in turns}
                pairs.append((rates[True], rates[False]))
            ratios = [mine / other for mine, other in pairs]
            result["rows"].append(
                {
                    "row": name,
                    "bound": statistics.median(mine for mine, _ in pairs),
                    "default": statistics.median(other for _, other in pairs),
                    "ratio": statistics.median(ratios),
                    "ratios": [round(ratio, 3) for ratio in ratios],
                    "reach": reach,
                }
            )
            _print(result["rows"][-1])

        seconds = options.seconds
        print(f"{'images/s':34} {'bound':>8} {'default':>8} {'ratio':>7} {'to reach':>9}")
        row("training, alone", ALONE, lambda workers: workers[0].rate("train", seconds))
        row("sampling, alone", ALONE, lambda workers: workers[0].rate("sample", seconds))
        with _busy_cores():
            row("training, all cores busy", BESIDE, lambda one: one[0].rate("train", 2 * seconds))
            row("sampling, all cores busy", BESIDE, lambda one: one[0].rate("sample", 2 * seconds))
        row("two that sample, side by side", BESIDE, lambda two: _both(two, "sample", 2 * seconds))
    print("wrote", write("busy-machine", result, options.out))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=2.5, help="of a measurement alone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _print(row: dict[str, Any]) -> None:
    figures = f"{row['bound']:8.0f} {row['default']:8.1f} {row['ratio']:7.2f} {row['reach']:9.2f}"
    print(f"{row['row']:34} {figures}", flush=True)


class _Worker:
    """A process with everything loaded, which measures on request."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._input, self._output = cast(IO[str], process.stdin), cast(IO[str], process.stdout)

    def ready(self) -> None:
        """Wait until it has loaded, and has warmed up."""
        self._output.readline()

    def ask(self, what: str, seconds: float) -> None:
        self._input.write(f"{what} {seconds}\n")
        self._input.flush()

    def answer(self) -> float:
        return float(self._output.readline())

    def rate(self, what: str, seconds: float) -> float:
        """Images per second."""
        self.ask(what, seconds)
        return self.answer()


@contextlib.contextmanager
def _worker(variant: dict[str, str], threads: int) -> Iterator[_Worker]:
    clean = {name: value for name, value in os.environ.items() if name not in CHOICES}
    words = [sys.executable, __file__, "--work", "--threads", str(threads)]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=clean | variant, stdin=pipe, stdout=pipe, text=True) as one:
        yield _Worker(one)  # its end comes with that of its input


@contextlib.contextmanager
def _busy_cores() -> Iterator[None]:
    words = [sys.executable, "-c", LOOP]
    busy = [subprocess.Popen(words) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _both(workers: list[_Worker], what: str, seconds: float) -> float:
    for worker in workers:
        worker.ask(what, seconds)
    return sum(worker.answer() for worker in workers)


def _work(threads: int) -> None:
    """Answer requests for rates until the input ends."""
    import torch

    import undrift.data
    from undrift.options.train import TrainOptions
    from undrift.runs.recipes import resolve
    from undrift.training.distributed import World
    from undrift.training.learners.diffusion import DiffusionLearner
    from undrift.training.loop import Trainer
    from undrift.training.signals import StopSignals

    torch.set_num_threads(threads)
    data = undrift.data.load("digits")
    settings = TrainOptions(steps=1_000_000, threads=threads)
    config = resolve("digits", settings, data, device="cpu")
    learner = DiffusionLearner(config.model, 0, torch.device("cpu"))
    trainer = Trainer(learner, config.training, data.split("train"), world=World.join())
    stop, pipeline = StopSignals(), learner.pipeline()

    def train() -> int:
        trainer.run(stop, until=trainer.step + 1)
        return config.training.batch_size

    def sample() -> int:
        pipeline(BATCH, seed=0, steps=STEPS, batch_size=BATCH)
        return BATCH

    work = {"train": train, "sample": sample}
    for once in work.values():
        once()
    print("ready", flush=True)
    for line in sys.stdin:
        what, seconds = line.split()
        print(_rate(work[what], float(seconds)), flush=True)


def _rate(once: Callable[[], int], seconds: float) -> float:
    began, images = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        images += once()
    return images / spent


if __name__ == "__main__":
    main()
