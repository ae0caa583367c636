"""The runs of a study: one comparison of arms per table, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from undrift.claims.preset import Size
from undrift.claims.study import Study
from undrift.claims.worlds import STACKED, TAIL
from undrift.comparison import Arm, Compare, Setting, winning_settings
from undrift.data import ImageSet
from undrift.options.train import TrainOptions
from undrift.runs.recipes import choose_device, resolve

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
    table = _table(
        study,
        MAIN,
        study.data,
        _plain(study.size.methods),
        study.size.main,
        metrics=MAIN_METRICS,
    )
    return replace(table, trials=study.size.trials)


def other_tables(
    study: Study, data: ImageSet, chosen: Mapping[str, Mapping[str, Setting]]
) -> dict[str, Compare]:
    """Every other table by name, in the order in which they are made.

    Args:
        study: what is asked for.
        data: its images, with classes.
        chosen: method -> settings of its runs in the main table, see `chosen_of`.
    """
    size = study.size
    made = {
        SWEEP: _table(
            study,
            SWEEP,
            study.data,
            [
                Arm(f"{method}.x{factor:g}", method, {**own, "learning_rate": factor * rate})
                for method in size.swept
                for own in [{**chosen[method], **looks_of(study, method, chosen[method], data)}]
                for rate in [float(own["learning_rate"])]
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


def looks_of(
    study: Study, method: str, chosen: Mapping[str, Setting], data: ImageSet
) -> dict[str, Setting]:
    """Settings by which a run is looked at as often as its size says, evenly over its images.

    Rounded up, so that the look at the end of the run is the last of these and not one more.
    """
    size = study.size.sweep
    if not size.looks:
        return {}
    named: Any = method
    others: dict[str, Any] = dict(chosen)
    settings = TrainOptions(
        method=named,
        images=size.images,
        holdout=HOLDOUT,
        parameters=study.size.parameters,
        **others,
    )
    config = resolve(study.data, settings, data, device=choose_device(study.device))
    return {"evaluate_every": -(-config.training.steps // size.looks)}


def chosen_of(found: Mapping[str, Any]) -> dict[str, dict[str, Setting]]:
    """Method -> settings of its runs at equal images: those that won, and its learning rate.

    Args:
        found: what the comparison of the main table found.
    """
    chosen: dict[str, dict[str, Setting]] = {}
    for method, config in found["configs"]["images"].items():
        model = config["model"]
        optimizer = model.get("generator_optimizer") or model["optimizer"]
        won = {} if found["tuning"] is None else winning_settings(found["tuning"], "images", method)
        chosen[method] = {**won, "learning_rate": optimizer["learning_rate"]}
    return chosen


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
