"""What is trained with what: arms of equal size, resolved on the data, before any run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from undrift.advice import named
from undrift.comparison.cells import Arm, Cell, Ledger
from undrift.comparison.search import settings_of
from undrift.comparison.settings import Compare
from undrift.data import ImageSet
from undrift.errors import UsageError
from undrift.evaluation.opening import FEWEST_HELD_OUT
from undrift.families.parameters import drawing_parameters
from undrift.options.compare import RECIPE
from undrift.options.train import parameter_count
from undrift.runs.configuration import RunConfig
from undrift.runs.images import load_images
from undrift.runs.recipes import resolve
from undrift.version import __version__


@dataclass(frozen=True)
class Bench:
    """A comparison on its data.

    Attributes:
        comparison: the comparison.
        data: its images.
        device: ``cpu`` or ``cuda``.
        arms: kind of ledger -> arms, with the sizes that they get in it.
        configs: kind of ledger -> name of arm -> what its runs are trained with.
        points: kind of ledger -> name of arm -> point of the search space that it is at.
    """

    comparison: Compare
    data: ImageSet
    device: str
    arms: Mapping[str, tuple[Arm, ...]]
    configs: Mapping[str, Mapping[str, RunConfig]]
    points: Mapping[str, Mapping[str, int]]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every run, seed by seed, so that a comparison that is cut short is a balanced one."""
        return tuple(
            Cell(arm, ledger, self.comparison.seed + place, self.points[ledger.kind][arm.name])
            for place in range(self.comparison.seeds)
            for ledger in self.comparison.ledgers
            for arm in self.arms[ledger.kind]
        )

    @property
    def own(self) -> dict[str, dict[str, Any]]:
        """Arm and ledger, by name -> what the runs there have of their own, before tuning."""
        return {
            f"{arm.name}-{ledger.name}": {"method": arm.method, **arm.settings}
            for ledger in self.comparison.ledgers
            for arm in self.arms[ledger.kind]
        }

    def at(self, arm: Arm, ledger: Ledger, point: int) -> Arm:
        """``arm`` with the settings of a point of the search space."""
        config = self.configs[ledger.kind][arm.name]
        return arm.with_settings(
            settings_of(point, config, {**self.comparison.alike, **arm.settings})
        )

    def tuned(self, points: Mapping[str, Mapping[str, int]]) -> Bench:
        """The same with every arm at its point."""
        arms: dict[str, tuple[Arm, ...]] = {}
        configs: dict[str, dict[str, RunConfig]] = {}
        for ledger in self.comparison.ledgers:
            kind = ledger.kind
            arms[kind] = tuple(
                self.at(arm, ledger, points[kind][arm.name]) for arm in self.arms[kind]
            )
            configs[kind] = {
                arm.name: _resolved(self.comparison, arm, ledger, self.data, self.device)
                if points[kind][arm.name]
                else self.configs[kind][arm.name]
                for arm in arms[kind]
            }
        return replace(self, arms=arms, configs=configs, points=points)

    def protocol(self, threads: int) -> dict[str, Any]:
        """What all runs share."""
        comparison, train = self.comparison, self.data.split("train")
        return {
            "version": __version__,
            "data": comparison.data,
            "fingerprint": self.data.fingerprint,
            "train_images": len(train),
            "shape": list(train.shape),
            "classes": len(self.data.class_names) if comparison.conditional else 0,
            **{name: value for name, value in comparison.alike.items() if name != "device"},
            "device": self.device,
            "threads": threads,
        }


def open_bench(comparison: Compare, device: str) -> Bench:
    """Load the data, give all arms the size that they should have, and resolve them.

    Raises:
        UsageError: arms that cannot be trained on this data or be of this size, or nothing to tune
            or to report on.
        DataError: images that are missing, empty or too broken.
    """
    first = comparison.settings(Cell(comparison.arms[0], comparison.ledgers[0], comparison.seed))
    data = load_images(comparison.data, first)
    if comparison.trials:
        _check_splits(comparison, data)
    arms: dict[str, tuple[Arm, ...]] = {}
    configs: dict[str, dict[str, RunConfig]] = {}
    for ledger in comparison.ledgers:
        size = None
        if comparison.parameters is not None and comparison.parameters != RECIPE:
            size = parameter_count(comparison.parameters)
        sized: list[Arm] = []
        configs[ledger.kind] = {}
        for arm in comparison.arms:
            if size is not None and "parameters" not in arm.settings:
                arm = arm.with_settings({"parameters": str(size)})
            config = _resolved(comparison, arm, ledger, data, device)
            if comparison.parameters is None and size is None:
                size = drawing_parameters(config.model)  # of the first, which the others follow
            sized.append(arm)
            configs[ledger.kind][arm.name] = config
        arms[ledger.kind] = tuple(sized)
    recipes = {kind: dict.fromkeys(by_arm, 0) for kind, by_arm in configs.items()}
    return Bench(comparison, data, device, arms, configs, recipes)


def _resolved(
    comparison: Compare, arm: Arm, ledger: Ledger, data: ImageSet, device: str
) -> RunConfig:
    settings = comparison.settings(Cell(arm, ledger, comparison.seed))
    return resolve(comparison.data, settings, data, device=device)


def _check_splits(comparison: Compare, data: ImageSet) -> None:
    """Tuning wants images of its own, and the result others."""
    for split, use in (("validation", "tune on"), ("test", "report on")):
        if split == "test" and (comparison.reference is not None or comparison.split == "train"):
            continue
        if len(data.split(split)) < FEWEST_HELD_OUT:
            raise UsageError(
                f"{named('trials')}: {comparison.data} has no {split} images to {use}; give a "
                f"larger {named('holdout')}"
            )
