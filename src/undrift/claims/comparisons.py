"""The runs of a study: comparisons, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from undrift.claims.datasets import stacked_path, tail_path
from undrift.claims.preset import Size
from undrift.claims.study import Chosen, Study
from undrift.comparison import Compare, Method, recipes_of
from undrift.data import ImageSet
from undrift.families import family_of
from undrift.options.train import TrainOptions
from undrift.results.comparison import ComparisonResult, Setting
from undrift.runs.device import choose_device
from undrift.runs.recipes import resolve

MAIN, SWEEP, TAIL, INPAINTING, SCALING = "main", "sweep", "tail", "filling", "scaling"
LIKELIHOOD, CONDITIONS = "likelihood", "conditions"
TOYS = ("ring8", "grid25")
STACKED = "stacked"

DIFFUSION = "diffusion"

MAIN_METRICS = ("fd", "kid", "precision", "recall", "coverage", "label_accuracy", "memorization")

SEEN = {"seen-half": 0.5, "seen-quarter": 0.25}
"""Comparisons of each family's middle size again -> share of the images of `SCALING`."""

NETWORKS = {"unet": DIFFUSION, "transformer": DIFFUSION, "r3gan": "r3gan"}
"""Families that are made in several sizes, and the method of each."""

INPAINTED = (DIFFUSION, "r3gan", "stylegan2", "dcgan")
"""Methods that inpaint; those whose critics make five updates see too few images here."""

HOLDOUT = 0.1
"""Share of the training images held out for periodic evaluations."""


def main_comparison(study: Study) -> Compare:
    """Class-conditional models of the data, which most claims rest on."""
    size = study.size
    compared = _comparison(study, MAIN, study.data, recipes_of(size.methods), size.main)
    return replace(compared, metrics=MAIN_METRICS, trials=size.trials)


def other_comparisons(study: Study, data: ImageSet, chosen: Chosen) -> dict[str, Compare]:
    """Every other comparison by name, in the order in which they are made.

    Args:
        study: the study.
        data: its images, with classes.
        chosen: method -> settings of its runs in the main comparison, see `chosen_of`.
    """
    size = study.size
    swept = [
        Method(f"{method}.x{factor:g}", method, {**own, "learning_rate": factor * rate})
        for method in size.swept
        for own in [{**chosen[method], **evaluated_as(study, method, chosen[method], data)}]
        for rate in [float(own["learning_rate"])]
        for factor in size.factors
    ]
    made = {SWEEP: _comparison(study, SWEEP, study.data, swept, size.sweep)}
    for name in TOYS:
        toys = _unlabelled(study, name, name, size.toys, size.points, features="pixels")
        made[name] = replace(toys, parameters=None)
    if size.stacked is not None and study.mnist is not None:
        methods, path = (DIFFUSION, "r3gan", "dcgan"), str(stacked_path(study))
        made[STACKED] = _unlabelled(study, STACKED, path, methods, size.stacked, features="random")
    made[TAIL] = _unlabelled(study, TAIL, str(tail_path(study)), size.methods, size.tail)
    made[SCALING] = _scaling(study, SCALING, size.sizes, size.scaling)
    for name, share in SEEN.items():
        shorter = replace(size.scaling, images=round(share * size.scaling.images))
        made[name] = _scaling(study, name, [size.sizes[len(size.sizes) // 2]], shorter)
    inpainted = [method for method in size.methods if method in INPAINTED]
    made[INPAINTING] = _unlabelled(study, INPAINTING, study.data, inpainted, size.inpainting)
    if study.text or study.numbers or study.maps:
        given = _comparison(study, CONDITIONS, study.data, recipes_of(size.methods), size.main)
        made[CONDITIONS] = replace(
            given,
            text=study.text,
            caption_column=study.caption_column,
            numbers=study.numbers,
            maps=study.maps,
            conditional=False,
        )
    likely = [Method("likelihood", DIFFUSION, {"recipe": "likelihood"})]
    made[LIKELIHOOD] = replace(
        _comparison(study, LIKELIHOOD, study.data, likely, size.likelihood), parameters=None
    )
    return made


def _scaling(study: Study, name: str, counts: Sequence[str], size: Size) -> Compare:
    """Every family in the sizes ``counts``."""
    methods = []
    for family in study.size.families:
        base = NETWORKS[family]
        network: dict[str, Setting] = {} if base == family else {"network": family}
        methods += [
            Method(f"{family}-{count}", base, {"parameters": count, **network}) for count in counts
        ]
    return replace(_comparison(study, name, study.data, methods, size), parameters="recipe")


def evaluated_as(
    study: Study, method: str, chosen: Mapping[str, Setting], data: ImageSet
) -> dict[str, Setting]:
    """Settings that evaluate a run as often as its size says, evenly over its images.

    Rounded up, so that the evaluation at the end of the run is the last of these and not one more.
    """
    size = study.size.sweep
    if not size.evaluations:
        return {}
    length = {"images": size.images, "holdout": HOLDOUT, "parameters": study.size.parameters}
    config = resolve(
        study.data,
        TrainOptions.from_settings({"method": method, **chosen, **length}),
        data,
        device=choose_device(study.device),
    )
    return {"evaluate_every": -(-config.training.steps // size.evaluations)}


def chosen_of(found: ComparisonResult) -> Chosen:
    """Method -> settings of its runs at equal images: the best trial's, and its learning rate.

    Args:
        found: the main comparison.
    """
    chosen: dict[str, dict[str, Setting]] = {}
    for method, config in found.configs["images"].items():
        best = {} if found.tuning is None else found.tuning.budgets["images"][method].settings
        rate = family_of(config.model).peak_rate(config.model)
        chosen[method] = {**best, "learning_rate": rate}
    return chosen


def _unlabelled(
    study: Study,
    name: str,
    data: str,
    methods: Sequence[str],
    size: Size,
    *,
    features: str = "domain",
) -> Compare:
    """Unconditional models, by their recipes."""
    compared = _comparison(study, name, data, recipes_of(methods), size)
    return replace(compared, conditional=False, features=features)


def _comparison(
    study: Study, name: str, data: str, methods: Sequence[Method], size: Size
) -> Compare:
    return Compare(
        data=data,
        out=str(study.folder / name),
        methods=tuple(methods),
        seeds=size.seeds,
        budget=size.budget,
        images=size.images,
        metrics=("fd", "coverage"),
        n=size.n,
        features="domain",
        seed=study.seed,
        holdout=HOLDOUT,
        parameters=study.size.parameters,
        evaluate_samples=size.evaluation_samples,
        bare=True,
        workers=study.places,
        threads=study.threads,
        device=study.device,
    )
