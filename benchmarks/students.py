"""Few-step students of a class-conditional teacher: what each step that is left out costs.

    python benchmarks/students.py digits --work runs/students --seeds 0 1 2
    python benchmarks/students.py fashion --work runs/students --seeds 0 --images 125000

Of each seed a teacher of the default recipe, and students of it; one thread, charged by images and
by processor time, so that other work does not matter. Samples are measured in the space
of `domain` features of the training images, beside the test images where there are 1,000, else
beside the training images. Rows are kept in --out: called again, it goes on where it stopped, and
an interrupted run is resumed. The runs stay in --work.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from halves import data_folder
from record import RESULTS, conditions, write

import undrift
from undrift.data import ImageSet
from undrift.metrics import Comparison, Images, measure, open_spaces, quick_space
from undrift.metrics.seeds import over_seeds
from undrift.pipelines import Pipeline

METRICS = ("fd", "recall", "coverage", "label_accuracy", "memorization")
NFE = 18
"""Steps of the teacher."""

SPEED = 1000
"""Images of the GAN whose time stands beside a student's."""


@dataclass(frozen=True)
class Arm:
    """A model, and how it is drawn from.

    Attributes:
        flags: of the command that makes it.
        share: images that it sees, in units of its teacher's.
        steps: numbers of steps that it is measured at.
        scales: guidance scales that it is measured at.
        scratch: trained without the teacher.
    """

    flags: tuple[str, ...] = ()
    share: float = 1.0
    steps: tuple[int, ...] = (1,)
    scales: tuple[float, ...] = (1.0,)
    scratch: bool = False


ARMS = {
    "teacher": Arm(steps=(NFE,), scratch=True),
    "consistency": Arm(share=0.5, steps=(4, 2, 1)),
    "distribution-matching": Arm(("--method", "distribution-matching", "--steps", "1"), 0.3),
    "adversarial-flow": Arm(("--method", "adversarial-flow"), 0.3),
    "flow-map": Arm(("--method", "flow-map"), 0.5, (4, 2, 1)),
    "flow-map-scratch": Arm(("--method", "flow-map"), 1.0, (4, 2, 1), scratch=True),
    "adversarial-flow-scratch": Arm(("--method", "adversarial-flow"), 1.0, scratch=True),
    "guided": Arm(("--guidance", "1:4"), 0.5, (2,), (1.0, 2.0, 4.0)),
}
SOURCES = {"digits": ("digits", 200_000, 5000), "fashion": ("fashion_mnist", 500_000, 10_000)}
"""Data, images that a teacher sees, and samples of a row."""


@dataclass(frozen=True)
class Evaluator:
    """What samples are measured beside."""

    real: Images
    train: Images | None
    names: tuple[str, ...]
    spaces: tuple[Any, Any]

    @staticmethod
    def of(data: ImageSet) -> Evaluator:
        """The evaluator of a data set."""
        train, test = data.split("train"), data.split("test")
        rows = np.linspace(0, len(train) - 1, min(len(train), 10_000)).astype(int)
        seen = Images(train.take(rows), np.asarray(train.labels)[rows])
        held = Images(test.take(np.arange(len(test))), test.labels) if len(test) >= 1000 else None
        torch.manual_seed(0)
        spaces = open_spaces(seen, quick_space(seen), device="cpu")
        real, training = (seen, None) if held is None else (held, seen)
        return Evaluator(real, training, data.class_names, spaces)

    def __call__(self, pipeline: Pipeline, n: int, steps: int, scale: float) -> dict[str, Any]:
        given = {} if scale == 1 else {"guidance": scale}
        began = time.process_time()
        drawn = pipeline(n, seed=123, steps=steps, **given)
        seconds = time.process_time() - began
        samples = Images(drawn.images, drawn.labels)
        compared = Comparison(samples, self.real, self.train, *self.spaces, self.names, 0, "train")
        names = [name for name in METRICS if self.train or name != "memorization"]
        found = measure(compared, names).metrics
        values = {k: [round(one.value, 4), one.low, one.high] for k, one in found.items()}
        return {"n": n, "nfe": drawn.nfe, "milliseconds": 1000 * seconds / n} | values


def main() -> None:
    """Train, measure, keep rows, print them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", choices=SOURCES)
    parser.add_argument("--work", type=Path, required=True, help="where the runs are")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--images", type=int, help="that a teacher sees")
    parser.add_argument("-n", type=int, help="samples of a row")
    parser.add_argument("--guided-n", type=int, default=2000, help="samples of a guided row")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    name, images, n = SOURCES[given.data]
    source = name if name == "digits" else str(data_folder() / name)
    images, n = given.images or images, given.n or n
    out = given.out or RESULTS / f"students-{given.data}.json"
    rows = json.loads(out.read_text())["rows"] if out.exists() else []
    evaluator = None
    for seed in given.seeds:
        for arm in given.arms:
            run = given.work / given.data / f"{arm}-{seed}"
            made(arm, source, run, seed, images)
            for key in wanted(arm, seed, "guided" in given.arms):
                if any(key.items() <= row.items() for row in rows):
                    continue
                evaluator = evaluator or Evaluator.of(undrift.data.load(source))
                count = n if key["guidance"] == 1 and arm != "guided" else given.guided_n
                pipeline = undrift.load(run)
                row = evaluator(pipeline, count, key["steps"], key["guidance"])
                rows.append(key | run_cost(run) | row)
                print(json.dumps(rows[-1]), flush=True)
                if arm == "teacher" and key["guidance"] == 1:
                    rows[-1]["gan_milliseconds"] = gan_time(source, run, seed)
                write("", conditions() | {"rows": rows, "ratios": ratios(rows)}, str(out))


def wanted(arm: str, seed: int, guided: bool) -> Iterator[dict[str, Any]]:
    """The rows of an arm; ``guided``: the teacher's under guidance, too."""
    one = ARMS[arm]
    for scale in ARMS["guided"].scales if arm == "teacher" and guided else one.scales:
        for steps in one.steps:
            yield {"arm": arm, "seed": seed, "steps": steps, "guidance": scale}


def made(arm: str, source: str, run: Path, seed: int, images: int) -> None:
    """Train a run, unless it is finished; its processor time goes beside it."""
    one = ARMS[arm]
    if (run / "pipeline").is_dir():
        return
    teacher = run.with_name(f"teacher-{seed}")
    command = ["train", source] if one.scratch else ["distill", str(teacher)]
    command += [*one.flags, "--images", str(round(one.share * images)), "--seed", str(seed)]
    called([*command, "--threads", "1", "--bare", "--out", str(run)], run)


def called(command: list[str], run: Path) -> None:
    """Run undrift, and add its processor time to that of the run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "undrift", *command, "--quiet"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cost = run.with_suffix(".seconds")
    known = float(cost.read_text()) if cost.exists() else 0.0
    cost.write_text(f"{known + seconds:.1f}\n")


def run_cost(run: Path) -> dict[str, Any]:
    """Images that a run saw, and its processor time where it is known."""
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    images = [event for event in events if event["event"] == "train"][-1]["images"]
    cost = run.with_suffix(".seconds")
    return {"images": images, "seconds": float(cost.read_text()) if cost.exists() else None}


def gan_time(source: str, teacher: Path, seed: int) -> float:
    """Milliseconds of processor time per image of an R3GAN with as many parameters."""
    run = teacher.with_name("gan")
    count = sum(p.numel() for p in undrift.load(teacher).weights.parameters())
    if not (run / "pipeline").is_dir():
        size = ["--method", "r3gan", "--parameters", str(count), "--images", "640"]
        called(["train", source, *size, "--threads", "1", "--bare", "--out", str(run)], run)
    pipeline = undrift.load(run)
    pipeline(64, seed=seed)
    began = time.process_time()
    pipeline(SPEED, seed=seed)
    return 1000 * (time.process_time() - began) / SPEED


def ratios(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """FD of each kind of row over its teacher's: geometric mean and interval over seeds."""
    teachers = {r["seed"]: r["fd"][0] for r in rows if r["arm"] == "teacher" and r["guidance"] == 1}
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        if row["guidance"] == 1 and row["arm"] not in ("teacher", "guided"):
            name = f"{row['arm']}, {row['steps']}"
            if row["seed"] in teachers:
                found.setdefault(name, {})[row["seed"]] = row["fd"][0]
    result = {}
    for name, values in found.items():
        mean = over_seeds({seed: math.log(fd / teachers[seed]) for seed, fd in values.items()})
        result[name] = {
            key: math.exp(value)
            for key, value in (("ratio", mean.value), ("low", mean.low), ("high", mean.high))
            if value is not None
        } | {"seeds": sorted(values)}
    return result


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    main()
