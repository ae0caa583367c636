"""FD by number of network evaluations: every solver, and those learned for the model.

    python benchmarks/solver_table.py PIPELINE --work FOLDER

PIPELINE is a class-conditional model of Fashion-MNIST that ``undrift tune-sampler`` has tuned on
other seeds (``benchmarks/learned_schedule.py --work`` leaves one). All cells draw the same noise
and labels, each class as often as the others, without guidance, and are held against all test
images by FD in the domain features. In this order:

- grids: each solver on each of `GRIDS`, few images of a seed of their own, at 6 and at 15
  evaluations; what is best at 6 serves up to 8, what is best at 15 serves from 10 on;
- the table: every solver at every budget, and the adaptive ones at several tolerances;
- finalists, with more images: up to 10 evaluations the learned sampler and the best two others, at
  50 the best three; and the ratios of the learned ones to the best at 50, image by image;
- what the network's precision changes, by the same pairs.

What has been measured is kept in FOLDER: a table that was stopped goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from halves import data_folder
from numpy.typing import NDArray
from record import conditions, warn_if_busy, write
from table_cells import LEARNED, Cell, Kept, best, cost, steps_within
from table_page import page

from undrift.evaluation.opening import check, open_reference
from undrift.evaluation.reference import Reference
from undrift.evaluation.target import Target, open_target
from undrift.metrics.frechet import frechet_distance
from undrift.metrics.frechet_estimate import frechet_estimate
from undrift.metrics.images import Images, rows_of
from undrift.metrics.jackknife import groups, half_width
from undrift.metrics.moments import Moments
from undrift.options import FeatureOptions
from undrift.pipelines import DiffusionPipeline
from undrift.sampling import ADAPTIVE, SAMPLERS, solver

BUDGETS = (4, 5, 6, 8, 10, 15, 20, 35, 50)
GRIDS = ("karras:4", "karras:7", "log_snr")
CHOSEN_AT = {6: (4, 5, 6, 8), 15: (10, 15, 20, 35, 50)}
"""Budgets that a grid is chosen at, and those that it serves."""

TOLERANCES = (1.0, 0.1, 0.01, 0.001)
TARGETS = {5: 1.60, 6: 1.35, 10: 1.10}
FULL, FEW = 50, 10
_REFERENCE = 10_000
_BLOCK, _BATCH = 500, 250


def main() -> None:
    """Measure what is missing, print it, write a JSON and a page."""
    options = _options()
    warn_if_busy()
    torch.set_num_threads(options.threads)
    table = Table.opened(options)
    table.measure_all("learned", [table.learned(budget) for budget in table.learned_budgets])
    grids = table.choose_grids()
    rows = [table.cell(name, grids, budget) for budget in BUDGETS for name in table.names(budget)]
    table.measure_all("table", sorted(rows, key=lambda cell: cell.budget != FULL))  # these first
    adaptive = [
        Cell(name, "", 0, 0, options.n, options.seed, options.precision, tolerance)
        for name in ADAPTIVE
        for tolerance in TOLERANCES
    ]
    table.measure_all("adaptive", adaptive)
    finalists = table.finalists(rows)
    table.measure_all("finalists", finalists)
    precise = [replace(cell, precision="float32") for cell in table.checked(rows)]
    table.measure_all("precision", precise)
    result = conditions() | {
        "n": options.n,
        "seed": options.seed,
        "threads": options.threads,
        "precision": options.precision,
        "floors": table.floors((options.n, options.finalists)),
        "protocol": table.protocol,
        "grids": {
            f"{name} from {min(served)} to {max(served)}": grids[at][name]
            for at, served in CHOSEN_AT.items()
            for name in SAMPLERS
        },
        "rows": [table.record(cell) for cell in rows],
        "adaptive": [table.record(cell) for cell in adaptive],
        "finalists": [table.record(cell) for cell in finalists],
        "targets": table.targets(rows) + table.targets(finalists),
        "precision_differences": [
            table.ratio(replace(cell, precision=options.precision), cell)
            | {"sampler": cell.sampler, "nfe": table.record(cell)["nfe"]}
            for cell in precise
        ],
        "processor_seconds": round(table.processor_seconds(), 1),
    }
    print("wrote", write("solver-table", result, options.out))
    Path(options.page).write_text(page(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pipeline", help="with learned samplers, of Fashion-MNIST")
    parser.add_argument("--work", required=True, help="folder to keep measured cells in")
    parser.add_argument("-n", type=int, default=2000, help="images of a cell")
    parser.add_argument("--finalists", type=int, default=10_000, help="images of a finalist")
    parser.add_argument("--few", type=int, default=500, help="images to choose a grid by")
    parser.add_argument("--seed", type=int, default=2000)
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", help="folder with fashion_mnist; default $UNDRIFT_DATA")
    parser.add_argument("--page", default="docs/reference/solver-table.md")
    parser.add_argument("--out", help="JSON to write; default benchmarks/results/")
    return parser.parse_args()


@dataclass(eq=False)
class Table:
    """A model, real images and the cells measured on it.

    Attributes:
        options: of the command line.
        target: the model with its learned samplers.
        real: real images and the feature space.
        kept: measured cells.
    """

    options: argparse.Namespace
    target: Target
    real: Reference
    kept: Kept
    reference: Moments = field(init=False)

    def __post_init__(self) -> None:
        self.reference = Moments.of(self.real.features)

    @classmethod
    def opened(cls, options: argparse.Namespace) -> Table:
        """Open the model and the real images; the same for every cell."""
        target = open_target(options.pipeline)
        real = open_reference(target, str(data_folder(options.data) / "fashion_mnist"), "test")
        check(target, real)
        reference = real.in_space(_REFERENCE, 0, FeatureOptions(), "cpu")
        if not isinstance(target.pipeline, DiffusionPipeline):
            raise SystemExit(f"{options.pipeline}: wanted a diffusion pipeline")
        bare = target.pipeline.with_weights(target.pipeline.state_dict())  # has learned nothing
        about = {
            "model": bare.fingerprint[:16],
            "features": reference.extractor.name,
            "labels": "all",
        }
        return cls(options, target, reference, Kept(Path(options.work), about))

    @property
    def pipeline(self) -> DiffusionPipeline:
        """The model."""
        if not isinstance(self.target.pipeline, DiffusionPipeline):
            raise SystemExit(f"{self.options.pipeline}: wanted a diffusion pipeline")
        return self.target.pipeline

    @property
    def protocol(self) -> str:
        """What the figures are of, in words."""
        real = len(self.real.images)
        return (
            f"FD against {real} test images in {self.real.extractor.name}, classes in turn, "
            "without guidance"
        )

    def names(self, budget: int) -> list[str]:
        """The samplers of a budget, the learned one first where there is one."""
        return ([LEARNED] if budget in self.learned_budgets else []) + list(SAMPLERS)

    @property
    def learned_budgets(self) -> list[int]:
        """The budgets that a sampler was learned for."""
        return [budget for budget in BUDGETS if budget in self.pipeline.learned]

    def learned(self, budget: int) -> Cell:
        """A cell of a learned sampler."""
        o, table = self.options, self.pipeline.learned[budget].table
        parts = (table.times, table.model_times, table.coefficients)
        digest = hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()
        return Cell(LEARNED, digest[:8], budget, budget, o.n, o.seed, o.precision)

    def cell(self, name: str, grids: dict[int, dict[str, str]], budget: int) -> Cell:
        """A cell of the table."""
        if name == LEARNED:
            return self.learned(budget)
        o = self.options
        at = next(at for at, served in CHOSEN_AT.items() if budget in served)
        steps = steps_within(budget, solver(name).evaluations_per_step)
        return Cell(name, grids[at][name], budget, steps, o.n, o.seed, o.precision)

    def choose_grids(self) -> dict[int, dict[str, str]]:
        """By budget that it is chosen at and by solver, the grid of least distance."""
        o, chosen = self.options, {}
        for at in CHOSEN_AT:
            tried = [
                Cell(
                    name, grid, at, steps_within(at, solver(name).evaluations_per_step),
                    o.few, o.seed + 1, o.precision
                )
                for name in SAMPLERS
                for grid in GRIDS
            ]  # fmt: skip
            self.measure_all(f"grids at {at}", tried)
            found = [self.record(cell) for cell in tried]
            chosen[at] = {
                name: best([one for one in found if one["sampler"] == name])[0]["grid"]
                for name in SAMPLERS
            }
        return chosen

    def finalists(self, rows: list[Cell]) -> list[Cell]:
        """The cells that are drawn with more images."""
        found: list[Cell] = []
        for budget in BUDGETS:
            if FEW < budget < FULL:
                continue
            mine = {cell.sampler: cell for cell in rows if cell.budget == budget}
            others = [self.record(cell) for name, cell in mine.items() if name != LEARNED]
            names = [one["sampler"] for one in best(others, 3 if budget == FULL else 2)]
            found += [mine[name] for name in [LEARNED, *names] if name in mine]
        return [replace(cell, n=self.options.finalists) for cell in found]

    def checked(self, rows: list[Cell]) -> list[Cell]:
        """Cells that are drawn in float32 as well: few steps, many, learned, and with noise."""
        wanted = ((LEARNED, 6), ("dpmpp_2m", 10), ("dpmpp_2m", FULL), ("dpmpp_2m_sde", FULL))
        return [cell for cell in rows if (cell.sampler, cell.budget) in wanted]

    def measure_all(self, stage: str, cells: Iterable[Cell]) -> None:
        """Measure those that have not been."""
        missing = [cell for cell in cells if self.kept.read(cell) is None]
        for number, cell in enumerate(missing, 1):
            record = self._measured(cell)
            print(
                f"{stage} {number}/{len(missing)}: {cell.key} NFE {record['nfe']:g} "
                f"FD {record['value']:.3f} ({record['low']:.3f} to {record['high']:.3f}), "
                f"{record['processor_seconds']:.0f} s",
                flush=True,
            )

    def _measured(self, cell: Cell) -> dict[str, Any]:
        began = time.process_time()
        known = self.kept.beginning(cell, self.real.features.shape[1])
        images, nfe = self._drawn(cell, len(known))
        if cell.tolerance is None:
            evaluations = (
                1 if cell.sampler == LEARNED else solver(cell.sampler).evaluations_per_step
            )
            if nfe != cost(cell.steps, evaluations) or nfe > cell.budget:
                raise SystemExit(f"{cell.key} made {nfe} evaluations, not what it declares")
        spent = time.process_time() - began
        features = np.concatenate([known, self.real.extractor.features(images)])
        found = frechet_estimate(features, self.reference)
        record = {
            "nfe": nfe,
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "processor_seconds": round(spent, 2),
        }
        self.kept.write(cell, record, features)
        return self.record(cell)

    def _drawn(self, cell: Cell, first: int) -> tuple[NDArray[np.uint8], float]:
        """The images of ``cell`` from number ``first`` on, and evaluations per image."""
        how: dict[str, Any] = {"steps": cell.steps, "sampler": cell.sampler, "grid": cell.grid}
        if cell.sampler == LEARNED:
            how = {"steps": cell.steps, "sampler": LEARNED}
        if cell.tolerance is not None:
            how = {"sampler": cell.sampler, "tolerance": cell.tolerance}
        parts, spent = [], 0.0
        for start in range(first, cell.n, _BLOCK):
            made = self.pipeline(
                min(_BLOCK, cell.n - start),
                seed=cell.seed,
                first=start,
                labels="all",
                guidance=1.0,
                batch_size=_BATCH,
                precision=cell.precision,
                **how,
            )
            parts.append(made.images)
            each = made.nfe_by_image  # of an adaptive sampler, without waiting for the slowest
            spent += made.nfe * len(made.images) if each is None else float(each.sum())
        return np.concatenate(parts), round(spent / (cell.n - first), 2)

    def record(self, cell: Cell) -> dict[str, Any]:
        """What was measured of ``cell``, rounded for people."""
        found = self.kept.read(cell)
        if found is None:
            raise SystemExit(f"{cell.key} was not measured")
        return found | {name: round(found[name], 4) for name in ("value", "low", "high")}

    def targets(self, cells: list[Cell]) -> list[dict[str, Any]]:
        """The learned cells over the best of all at 50 evaluations, of as many images."""
        full = best([self.record(cell) for cell in cells if cell.budget == FULL])[0]
        least = next(c for c in cells if (c.sampler, c.budget) == (full["sampler"], FULL))
        found = []
        for cell in cells:
            if cell.sampler == LEARNED and cell.budget in TARGETS:
                ratio = self.ratio(cell, least)
                over = f"{least.sampler} on {least.grid}"
                found.append(
                    {"nfe": cell.budget, "n": cell.n, "to_reach": TARGETS[cell.budget]}
                    | ratio
                    | {"best_at_50": over}
                )
        return found

    def ratio(self, one: Cell, other: Cell) -> dict[str, float]:
        """FD of one over that of another with the same noise, with a paired 95 % interval."""
        first, second = self.kept.features(one), self.kept.features(other)
        whole, parts = self._log_ratio(first, second), []
        for group in groups(len(first), 0, "jackknife groups"):
            keep = np.setdiff1d(np.arange(len(first)), group)
            parts.append(self._log_ratio(first[keep], second[keep]))
        half = half_width(parts)
        ends = {"ratio": whole, "low": whole - half, "high": whole + half}
        return {name: round(float(np.exp(value)), 4) for name, value in ends.items()}

    def _log_ratio(self, first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
        one, other = (frechet_distance(part, self.reference) for part in (first, second))
        return float(np.log(one / other))

    def floors(self, counts: Iterable[int]) -> dict[str, float]:
        """FD of as many training images, by number."""
        training = self.real.source.fitted_on
        found = {}
        for count in counts:
            rows = rows_of(len(training), count, 0, "floor")
            images: Images = training.take(rows)
            features = self.real.extractor.features(images.images)
            found[str(count)] = round(frechet_distance(features, self.reference), 4)
        return found

    def processor_seconds(self) -> float:
        """Of all sampling that the folder holds."""
        return sum(one["processor_seconds"] for one in self.kept.all())


if __name__ == "__main__":
    main()
