"""The runs of a study: one comparison of arms per table, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from undrift.data import ImageSet
from undrift.experiments.compare import Arm, Compare
from undrift.experiments.study.asked import Study
from undrift.experiments.study.preset import Size
from undrift.experiments.study.worlds import STACKED, TAIL
from undrift.runs.configuration import RunConfig
from undrift.runs.recipes import choose_device, resolve
from undrift.runs.settings import TrainSettings

MAIN, SWEEP, FILLING, SCALING, LIKELIHOOD = "main", "sweep", "filling", "scaling", "likelihood"
POINTS = ("ring8", "grid25")
STACKS = "stacked"

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
        metrics=(
            "fd",
            "kid",
            "precision",
            "recall",
            "coverage",
            "label_accuracy",
            "memorization",
        ),
        trials=study.size.trials,
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
                for config in [_resolved(study, method, {}, size.sweep, data)]
                for rate, looks in [(rates[method], _looks(config, size.sweep))]
                for factor in size.factors
            ],
            size.sweep,
        ),
    }
    for name in POINTS:
        made[name] = _table(
            study,
            name,
            name,
            _plain(size.toys),
            size.points,
            conditional=False,
            features="pixels",
        )
    if size.stacked is not None and study.mnist is not None:
        arms = _plain(("diffusion", "r3gan", "dcgan"))
        path = str(study.folder / "data" / STACKED)
        made[STACKS] = _table(
            study, STACKS, path, arms, size.stacked, conditional=False, features="random"
        )
    path = str(study.folder / "data" / TAIL)
    made["tail"] = _table(study, "tail", path, _plain(size.methods), size.tail, conditional=False)
    made[SCALING] = _table(
        study,
        SCALING,
        study.data,
        [
            Arm(f"{family}-{count}", method, {**own, **_looks(config, size.scaling)})
            for family in size.families
            for method in [NETWORKS[family]]
            for count in size.sizes
            for own in [_sized(family, method, count)]
            for config in [_resolved(study, method, own, size.scaling, data)]
        ],
        size.scaling,
        parameters="recipe",
    )
    filled = _plain([method for method in size.methods if method in FILLED])
    made[FILLING] = _table(study, FILLING, study.data, filled, size.filling, conditional=False)
    made[LIKELIHOOD] = _table(
        study,
        LIKELIHOOD,
        study.data,
        [Arm("likelihood", "diffusion", {"recipe": "likelihood"})],
        size.likelihood,
    )
    return made


FILLED = ("diffusion", "r3gan", "stylegan2", "dcgan")
"""Methods that fill in hidden halves; those whose critics make five updates see too little here."""


def _plain(methods: Sequence[str]) -> list[Arm]:
    """Methods by their recipes."""
    return [Arm(method, method, {}) for method in methods]


def _resolved(
    study: Study, method: str, own: Mapping[str, Any], size: Size, data: ImageSet
) -> RunConfig:
    """What the recipe of ``method`` with settings of its own makes of ``data``."""
    named: Any = method
    settings = TrainSettings(method=named, images=size.images, holdout=HOLDOUT, **own)
    return resolve(study.data, settings, data, device=choose_device(study.device))


def _looks(config: RunConfig, size: Size) -> dict[str, Any]:
    """Settings by which a run is looked at as often as its size says, evenly over its images."""
    if not size.looks:
        return {}
    return {"evaluate_every": max(1, config.training.steps // size.looks)}


def rates_of(found: Mapping[str, Any]) -> dict[str, float]:
    """Method -> its learning rate in the main table, tuned if that was; a GAN's generator's.

    Args:
        found: what the comparison found.
    """
    configs = next(iter(found["configs"].values()))
    models = {method: config["model"] for method, config in configs.items()}
    return {
        method: (model.get("generator_optimizer") or model["optimizer"])["learning_rate"]
        for method, model in models.items()
    }


def _sized(family: str, method: str, count: str) -> Mapping[str, Any]:
    settings: dict[str, Any] = {"parameters": count}
    return settings | ({"network": family} if method == "diffusion" else {})


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
    parameters: str | None = None,
    trials: int = 0,
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
        parameters=parameters,
        trials=trials,
        evaluate_samples=size.look_samples,
        bare=True,
        workers=study.workers,
        threads=study.threads,
        device=study.device,
    )


HOLDOUT = 0.1
"""Share of the training images that looks on the way are held against."""
