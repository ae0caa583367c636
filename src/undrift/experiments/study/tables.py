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
from undrift.training.learners.gan_config import GANConfig

MAIN, SWEEP, FILLING, SCALING, LIKELIHOOD = "main", "sweep", "filling", "scaling", "likelihood"
POINTS = ("ring8", "grid25")
STACKS = "stacked"

NETWORKS = {"unet": "diffusion", "transformer": "diffusion", "r3gan": "r3gan"}
"""Families that are made in several sizes, and the method of each."""


def tables(study: Study, data: ImageSet) -> dict[str, Compare]:
    """Every table of ``study`` by name, in the order in which they are made.

    Args:
        study: what is asked for.
        data: its images, with classes.
    """
    size = study.size
    plain = [Arm(method, method, {}) for method in size.methods]
    made = {
        MAIN: _table(
            study,
            MAIN,
            study.data,
            plain,
            size.main,
            metrics=(
                "fd",
                "kid",
                "precision",
                "recall",
                "coverage",
                "label_accuracy",
                "memorization",
            ),
        ),
        SWEEP: _table(
            study,
            SWEEP,
            study.data,
            [
                Arm(f"{method}.x{factor:g}", method, {"learning_rate": factor * rate})
                for method in size.swept
                for rate in [recipe_rate(study, method, size.sweep, data)]
                for factor in size.factors
            ],
            size.sweep,
            metrics=("fd", "coverage"),
        ),
    }
    for name in POINTS:
        toys = [Arm(method, method, {}) for method in size.toys]
        made[name] = _table(
            study, name, name, toys, size.points, conditional=False, features="pixels"
        )
    if size.stacked is not None and study.mnist is not None:
        arms = [Arm(method, method, {}) for method in ("diffusion", "r3gan", "dcgan")]
        path = str(study.folder / "data" / STACKED)
        made[STACKS] = _table(
            study, STACKS, path, arms, size.stacked, conditional=False, features="random"
        )
    path = str(study.folder / "data" / TAIL)
    made["tail"] = _table(study, "tail", path, plain, size.tail, conditional=False)
    made[SCALING] = _table(
        study,
        SCALING,
        study.data,
        [
            Arm(f"{family}-{count}", method, _sized(family, method, count))
            for family, method in NETWORKS.items()
            for count in size.sizes
        ],
        size.scaling,
        metrics=("fd", "coverage"),
        parameters="recipe",
    )
    filled = [Arm(method, method, {}) for method in size.methods if method in FILLED]
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


def recipe_rate(study: Study, method: str, size: Size, data: ImageSet) -> float:
    """The learning rate that the recipe of ``method`` has for ``data``."""
    named: Any = method
    settings = TrainSettings(method=named, images=size.images)
    device = choose_device(study.device)
    return rate_of(resolve(study.data, settings, data, device=device))


def rate_of(config: RunConfig) -> float:
    """The learning rate by which a configuration is known: a GAN's is its generator's."""
    model = config.model
    chosen = model.generator_optimizer if isinstance(model, GANConfig) else model.optimizer
    return chosen.learning_rate


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
) -> Compare:
    every = None if not size.looks else max(1, size.images // BATCH // size.looks)
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
        batch_size=BATCH,
        conditional=conditional,
        holdout=HOLDOUT,
        parameters=parameters,
        evaluate_every=every,
        evaluate_samples=size.look_samples,
        bare=True,
        workers=study.workers,
        threads=study.threads,
        device=study.device,
    )


BATCH = 64
"""Images of every run's batch."""

HOLDOUT = 0.1
"""Share of the training images that looks on the way are held against."""
