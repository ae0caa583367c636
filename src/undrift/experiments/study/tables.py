"""The runs of a study: one comparison of arms per table, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from undrift.data import ImageSet
from undrift.experiments.compare import Arm, Compare
from undrift.experiments.study.asked import Study
from undrift.experiments.study.preset import Size
from undrift.experiments.study.worlds import STACKED, TAIL
from undrift.runs.recipes import choose_device, resolve
from undrift.runs.settings import TrainSettings

MAIN, SWEEP, FILLING, SCALING, LIKELIHOOD = "main", "sweep", "filling", "scaling", "likelihood"
POINTS = ("ring8", "grid25")
STACKS = "stacked"

MAIN_METRICS = ("fd", "kid", "precision", "recall", "coverage", "label_accuracy", "memorization")
"""What is measured of the table `MAIN`, the widest."""

SEEN = {"seen-half": 0.5, "seen-quarter": 0.25}
"""Tables of each family's middle size again, with a share of the images of the table `SCALING`."""

NETWORKS = {"unet": "diffusion", "transformer": "diffusion", "r3gan": "r3gan"}
"""Families that are made in several sizes, and the method of each."""


def main_table(study: Study) -> Compare:
    """The table that all claims lean on: class-conditional models of the data."""
    return _table(
        study,
        MAIN,
        study.data,
        _plain(study.size.methods),
        study.size.main,
        metrics=MAIN_METRICS,
    )


def other_tables(study: Study, data: ImageSet, rates: Mapping[str, float]) -> dict[str, Compare]:
    """Every other table by name, in the order in which they are made.

    Args:
        study: what is asked for.
        data: its images, with classes.
        rates: method -> the learning rate that it has in the main table.
    """
    size = study.size
    made = {
        SWEEP: _table(
            study,
            SWEEP,
            study.data,
            [
                Arm(f"{method}.x{factor:g}", method, {**looks, "learning_rate": factor * rate})
                for method in size.swept
                for rate, looks in [(rates[method], _looks(study, method, size.sweep, data))]
                for factor in size.factors
            ],
            size.sweep,
        ),
    }
    for name in POINTS:
        points = _table(
            study,
            name,
            name,
            _plain(size.toys),
            size.points,
            conditional=False,
            features="pixels",
        )
        made[name] = replace(points, parameters=None)
    if size.stacked is not None and study.mnist is not None:
        arms = _plain(("diffusion", "r3gan", "dcgan"))
        path = str(study.folder / "data" / STACKED)
        made[STACKS] = _table(
            study,
            STACKS,
            path,
            arms,
            size.stacked,
            conditional=False,
            features="random",
        )
    path = str(study.folder / "data" / TAIL)
    made["tail"] = _table(
        study,
        "tail",
        path,
        _plain(size.methods),
        size.tail,
        conditional=False,
    )
    made[SCALING] = _scaling(study, SCALING, size.sizes, size.scaling)
    for name, share in SEEN.items():
        shorter = replace(size.scaling, images=round(share * size.scaling.images))
        made[name] = _scaling(study, name, [middle(size.sizes)], shorter)
    filled = _plain([method for method in size.methods if method in FILLED])
    made[FILLING] = _table(
        study,
        FILLING,
        study.data,
        filled,
        size.filling,
        conditional=False,
    )
    likely = [Arm("likelihood", "diffusion", {"recipe": "likelihood"})]
    made[LIKELIHOOD] = replace(
        _table(study, LIKELIHOOD, study.data, likely, size.likelihood), parameters=None
    )
    return made


def _scaling(study: Study, name: str, counts: Sequence[str], size: Size) -> Compare:
    """Every family in the sizes ``counts``."""
    arms = [
        Arm(f"{family}-{count}", NETWORKS[family], _sized(family, count))
        for family in study.size.families
        for count in counts
    ]
    return replace(_table(study, name, study.data, arms, size), parameters="recipe")


def middle(sizes: Sequence[str]) -> str:
    """The size that also sees fewer images."""
    return sizes[len(sizes) // 2]


FILLED = ("diffusion", "r3gan", "stylegan2", "dcgan")
"""Methods that fill in hidden halves; those whose critics make five updates see too little here."""


def _plain(methods: Sequence[str]) -> list[Arm]:
    """Methods by their recipes."""
    return [Arm(method, method, {}) for method in methods]


def _looks(study: Study, method: str, size: Size, data: ImageSet) -> dict[str, Any]:
    """Settings by which a run is looked at as often as its size says, evenly over its images."""
    if not size.looks:
        return {}
    named: Any = method
    settings = TrainSettings(
        method=named, images=size.images, holdout=HOLDOUT, parameters=study.size.parameters
    )
    config = resolve(study.data, settings, data, device=choose_device(study.device))
    return {"evaluate_every": max(1, config.training.steps // size.looks)}


def rates_of(found: Mapping[str, Any]) -> dict[str, float]:
    """Method -> its learning rate in the main table; a GAN's generator's.

    Args:
        found: what the comparison found.
    """
    configs = next(iter(found["configs"].values()))
    models = {method: config["model"] for method, config in configs.items()}
    return {
        method: (model.get("generator_optimizer") or model["optimizer"])["learning_rate"]
        for method, model in models.items()
    }


def _sized(family: str, count: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"parameters": count}
    return settings | ({"network": family} if NETWORKS[family] == "diffusion" else {})


def _table(
    study: Study,
    name: str,
    data: str,
    arms: Sequence[Arm],
    size: Size,
    *,
    metrics: tuple[str, ...] = ("fd", "coverage"),
    conditional: bool = True,
    features: str = "domain",
) -> Compare:
    return Compare(
        data=data,
        out=str(study.folder / name),
        arms=tuple(arms),
        seeds=size.seeds,
        budget=size.budget,
        images=size.images,
        metrics=metrics,
        n=size.n,
        features=features,
        seed=study.seed,
        conditional=conditional,
        holdout=HOLDOUT,
        parameters=study.size.parameters,
        evaluate_samples=size.look_samples,
        bare=True,
        workers=study.places,
        threads=study.threads,
        device=study.device,
    )


HOLDOUT = 0.1
"""Share of the training images that looks on the way are held against."""
