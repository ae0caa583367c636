"""The golden results that take minutes: write them before a change that is to change none of them.

``tests/golden`` has what takes seconds, from configurations that are written out in full. Here are
two ranks, features and classifiers fitted to the data, curves, learned samplers, comparisons, the
six claims (of which runs of equal images count, and nothing that is measured in seconds) and what
the recipes choose for a table of data sizes and devices. A changed recipe changes the last three.

    python benchmarks/golden.py --write BEFORE.json            # about half an hour of two cores
    python benchmarks/golden.py --check BEFORE.json            # prints what differs, exits with 1
    python benchmarks/golden.py --check BEFORE.json --only configurations ranks

Bits are those of one machine: write and check on the same one, with one thread per run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for tests.golden
for _pool in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_pool] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from record import conditions  # noqa: E402
from tests.golden import driver, expectation  # noqa: E402

import undrift  # noqa: E402
import undrift.data  # noqa: E402
from undrift.errors import UsageError  # noqa: E402
from undrift.options.train import TrainOptions  # noqa: E402
from undrift.runs.recipes import resolve  # noqa: E402
from undrift.schema import to_plain  # noqa: E402

Numbers = dict[str, Any]

TIMED = re.compile(
    r"second|speed|pace|cost|memory|megabytes|threads|workers|attempts|starts|processor|remarks"
)
"""Keys of results that differ from one repetition to the next."""

RANKS = """
import sys
from pathlib import Path
from tests.golden import driver
driver.train(driver.configuration(sys.argv[1]), Path(sys.argv[2]))
"""

SIZES = ((8, 1), (16, 3), (28, 1), (32, 3), (48, 3), (64, 3), (128, 3), (256, 3))
"""Side and channels of square images."""

COUNTS = (40, 1500)
"""How many of them, the larger number of small ones only."""

LENGTHS: tuple[dict[str, Any], ...] = ({}, {"budget": "60s"}, {"budget": "2h"}, {"images": 50_000})
METHODS: tuple[dict[str, Any], ...] = (
    *({"network": network} for network in (None, "unet", "transformer", "mlp")),
    {"recipe": "likelihood"},
    {"parameters": "200k"},
    *({"method": method} for method in ("r3gan", "stylegan2", "wgan_gp", "sngan", "dcgan")),
)


def ranks(folder: Path) -> Numbers:
    """Weights that two processes trained."""
    found = {}
    script = folder / "train.py"
    script.write_text(RANKS)
    for name in ("unet", "r3gan"):
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        command = [sys.executable, *launch, str(script), name, str(folder / name)]
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": paths})
        found[name] = expectation.digest(driver.weights(folder / name))
    return found


def evaluate(folder: Path) -> Numbers:
    """Every metric that digits have, in the features that are fitted to them."""
    return driver.evaluation(folder / "result.json", n=256, metrics="all", seed=1)


def curve(folder: Path) -> Numbers:
    """Quality of few-step samplers."""
    samplers = ("euler", "heun", "dpmpp_2m", "unipc")
    settings = {"samplers": samplers, "nfe": (3, 4, 8), "metrics": ("fd", "kid"), "seed": 1}
    return driver.curve(folder / "result", n=128, **settings)


def tuned(folder: Path) -> Numbers:
    """Samplers that are learned for a model."""
    pipeline = driver.copied("pipeline", folder)
    undrift.tune_sampler(pipeline, (2, 5), samples=32, reference="digits", device="cpu")
    data = (pipeline / "samplers.safetensors").read_bytes()
    return {"samplers.safetensors": hashlib.sha256(data).hexdigest()}


def compare(folder: Path) -> Numbers:
    """A comparison of methods at equal images."""
    undrift.compare(
        "digits",
        out=folder / "table",
        methods=("diffusion", "r3gan", "dcgan"),
        seeds=2,
        images=640,
        n=128,
        parameters="60k",
        batch_size=32,
        threads=1,
        device="cpu",
    )
    return dict(leaves(json.loads((folder / "table" / "report.json").read_text())))


def claims(folder: Path) -> Numbers:
    """The six claims."""
    out = folder / "claims"
    words = ["claims", "--preset", "quick", "--out", str(out), "--threads", "1", "--quiet"]
    subprocess.run([sys.executable, "-m", "undrift", *words], check=True)
    return dict(leaves(json.loads((out / "report.json").read_text())))


def configurations(folder: Path) -> Numbers:
    """What the recipes choose, as digests of the resolved configurations."""
    found = {}
    for name, data in datasets(folder):
        for method in METHODS:
            for length in LENGTHS:
                for device in ("cpu", "cuda"):
                    settings = {"threads": 1, **method, **length}
                    words = " ".join(f"{key}={value}" for key, value in settings.items())
                    try:
                        config = resolve("data", TrainOptions(**settings), data, device=device)
                        plain = json.dumps(given(to_plain(config)))
                    except UsageError as error:
                        plain = f"refused: {error}"
                    digest = hashlib.sha256(plain.encode()).hexdigest()[:16]
                    found[f"{name} on {device}: {words}"] = digest
    return found


def given(plain: Any) -> Any:
    """``plain`` without fields that are null or empty, so that a new option changes no digest."""
    if isinstance(plain, dict):
        kept = {name: given(value) for name, value in plain.items()}
        return {name: value for name, value in kept.items() if value not in (None, [], {})}
    return plain


def datasets(folder: Path) -> Iterator[tuple[str, undrift.data.ImageSet]]:
    """Points, digits, and noise of every size with three classes."""
    for name in ("ring8", "digits"):
        yield name, undrift.data.load(name)
    draws = np.random.default_rng(0)
    for side, channels in SIZES:
        for count in COUNTS:
            if count * side * side > 2_000_000:
                continue
            images = draws.integers(0, 256, (count, side, side, channels), dtype=np.uint8)
            path = folder / f"{side}x{channels}x{count}.npz"
            np.savez(path, images=images, labels=np.arange(count) % 3)
            yield f"{count} of {side}x{side}x{channels}", undrift.data.load(path)


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Numbers of a result that a repetition gives again, by their place in it.

    What was trained for equal seconds, or is measured in time, is left out, and so are words.
    """
    if isinstance(value, dict):
        words = " ".join(entry for entry in value.values() if isinstance(entry, str))
        if "seconds" in words.split() or "equal seconds" in words or "time per image" in words:
            return
        for key, entry in value.items():
            if not TIMED.search(key):
                yield from leaves(entry, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from leaves(entry, f"{name}[{number}]")
    elif isinstance(value, int | float):
        yield name, value


PARTS: dict[str, Callable[[Path], Numbers]] = {
    "configurations": configurations,
    "ranks": ranks,
    "evaluate": evaluate,
    "curve": curve,
    "tuned": tuned,
    "compare": compare,
    "claims": claims,
}


def differences(found: Numbers, expected: Numbers) -> list[str]:
    """Where two results differ, a line each."""
    lines = [f"only before: {name}" for name in expected.keys() - found.keys()]
    lines += [f"only now: {name}" for name in found.keys() - expected.keys()]
    lines += [
        f"{name}: {expected[name]} before, {value} now"
        for name, value in found.items()
        if name in expected and expected[name] != value
    ]
    return sorted(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", metavar="FILE", type=Path, help="store the results")
    action.add_argument("--check", metavar="FILE", type=Path, help="compare with those of FILE")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--most", type=int, default=20, help="differences to print of each part")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stored: dict[str, Any] = {}
    file = options.check or options.write
    if options.check or file.exists():
        stored = json.loads(file.read_text())
    bad = 0
    for name in options.only:
        with tempfile.TemporaryDirectory(prefix="undrift-golden-") as folder:
            os.environ["UNDRIFT_CACHE"] = str(Path(folder) / "cache")
            found = json.loads(json.dumps(PARTS[name](Path(folder))))
        if options.write:
            stored[name] = found
            stored["about"] = {**conditions(), "machine": expectation.machine()}
            file.write_text(json.dumps(stored, indent=1) + "\n")
            print(f"{name}: wrote {len(found)} results", flush=True)
            continue
        lines = differences(found, stored.get(name, {}))
        bad += bool(lines)
        print(f"{name}: {len(found)} results, {len(lines)} differences", flush=True)
        for line in lines[: options.most]:
            print(f"  {line}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
