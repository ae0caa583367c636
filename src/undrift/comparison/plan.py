"""The runs of a comparison, resolved on the data before any of them: methods of equal size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from undrift.advice import named
from undrift.comparison.methods import Budget, Method, Run
from undrift.comparison.settings import Compare
from undrift.data import ImageSet
from undrift.errors import UsageError
from undrift.evaluation.opening import FEWEST_HELD_OUT
from undrift.families import family_of
from undrift.families.parameters import drawing_parameters
from undrift.families.student.teacher import distillable
from undrift.options import DistillOptions
from undrift.options.compare import RECIPE
from undrift.options.train import parameter_count
from undrift.pipelines import DiffusionPipeline
from undrift.results.comparison import BudgetKind, Setting, SharedSettings
from undrift.runs.configuration import RunConfig
from undrift.runs.images import load_images
from undrift.runs.recipes import build_learner, resolve
from undrift.training.learner import pipeline_as
from undrift.training.learners.student_config import TeacherReference
from undrift.version import __version__
from undrift.workflows.distill import student_config


@dataclass(frozen=True)
class Plan:
    """A comparison on its data.

    Attributes:
        comparison: the comparison.
        data: its images.
        device: ``cpu`` or ``cuda``.
        methods: what is equal -> methods, with the sizes that they get.
        configs: what is equal -> name of a method -> what its runs are trained with.
        points: what is equal -> name of a method -> point of the search space that it is at.
    """

    comparison: Compare
    data: ImageSet
    device: str
    methods: Mapping[BudgetKind, tuple[Method, ...]]
    configs: Mapping[BudgetKind, Mapping[str, RunConfig]]
    points: Mapping[BudgetKind, Mapping[str, int]]

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run, seed by seed, so that an interrupted comparison has all methods alike."""
        return tuple(
            Run(method, budget, self.comparison.seed + place, self.points[budget.kind][method.name])
            for place in range(self.comparison.seeds)
            for budget in self.comparison.budgets
            for method in self.methods[budget.kind]
        )

    def teacher(self, kind: BudgetKind, method: Method) -> RunConfig | None:
        """What the teacher of ``method`` is trained with; None of a method without."""
        if not method.distilled or self.comparison.teacher is None:
            return None
        return self.configs[kind][self.comparison.teacher.name]

    @property
    def own(self) -> dict[str, dict[str, Setting]]:
        """Method and budget, by name -> settings of the runs there of their own, before tuning."""
        return {
            f"{method.name}-{budget.name}": {"method": method.base, **method.settings}
            for budget in self.comparison.budgets
            for method in self.methods[budget.kind]
        }

    def tuned(
        self,
        methods: Mapping[BudgetKind, tuple[Method, ...]],
        points: Mapping[BudgetKind, Mapping[str, int]],
    ) -> Plan:
        """The same with ``methods``, whose settings are at ``points`` of the search space."""
        configs = {
            budget.kind: {
                method.name: _resolved(self.comparison, method, budget, self.data, self.device)
                if points[budget.kind][method.name]
                else self.configs[budget.kind][method.name]
                for method in methods[budget.kind]
            }
            for budget in self.comparison.budgets
        }
        return replace(self, methods=methods, configs=configs, points=points)

    def shared(self, threads: int) -> SharedSettings:
        """What all runs have in common."""
        comparison, train = self.comparison, self.data.split("train")
        height, width, channels = train.shape
        return SharedSettings(
            version=__version__,
            data=comparison.data,
            fingerprint=self.data.fingerprint,
            train_images=len(train),
            image_shape=(height, width, channels),
            classes=len(self.data.class_names) if comparison.conditional else 0,
            size=comparison.size,
            channels=comparison.channels,
            label_column=comparison.label_column,
            batch_size=comparison.batch_size,
            flip=comparison.flip,
            conditional=comparison.conditional,
            holdout=comparison.holdout,
            evaluate_every=comparison.evaluate_every,
            evaluate_samples=comparison.evaluate_samples,
            bare=comparison.bare,
            text=comparison.text,
            text_encoder=comparison.text_encoder,
            caption_column=comparison.caption_column,
            numbers=tuple(comparison.numbers),
            maps=tuple(comparison.maps),
            device=self.device,
            threads=threads,
        )


def open_plan(comparison: Compare, device: str) -> Plan:
    """Load the data, give all methods the size that they should have, and resolve them.

    Raises:
        UsageError: methods that cannot be trained on this data or be of this size, or no images to
            tune or to report on.
        DataError: images that are missing, empty or too broken.
    """
    first = comparison.settings(Run(comparison.methods[0], comparison.budgets[0], comparison.seed))
    data = load_images(comparison.data, first)
    if comparison.trials:
        _check_splits(comparison, data)
    methods: dict[BudgetKind, tuple[Method, ...]] = {}
    configs: dict[BudgetKind, dict[str, RunConfig]] = {}
    for budget in comparison.budgets:
        size = None
        if comparison.parameters is not None and comparison.parameters != RECIPE:
            size = parameter_count(comparison.parameters)
        sized: list[Method] = []
        configs[budget.kind] = {}
        for method in comparison.methods:
            if method.distilled:
                sized.append(method)
                continue
            if size is not None and "parameters" not in method.settings:
                method = method.with_settings({"parameters": str(size)})
            config = _resolved(comparison, method, budget, data, device)
            if comparison.parameters is None and size is None:
                size = drawing_parameters(config.model)  # of the first, which the others follow
            sized.append(method)
            configs[budget.kind][method.name] = config
        for method in comparison.methods:
            if method.distilled:
                configs[budget.kind][method.name] = _distilled(
                    comparison, method, budget, configs[budget.kind]
                )
        methods[budget.kind] = tuple(sized)
    recipes: dict[BudgetKind, dict[str, int]] = {
        kind: dict.fromkeys(by_method, 0) for kind, by_method in configs.items()
    }
    return Plan(comparison, data, device, methods, configs, recipes)


def _resolved(
    comparison: Compare, method: Method, budget: Budget, data: ImageSet, device: str
) -> RunConfig:
    settings = comparison.settings(Run(method, budget, comparison.seed))
    return resolve(comparison.data, settings, data, device=device)


def _distilled(
    comparison: Compare, method: Method, budget: Budget, configs: Mapping[str, RunConfig]
) -> RunConfig:
    """What a student is trained with; its teacher is not there yet."""
    if comparison.teacher is None:
        raise UsageError(f"method {method.name}: there is no teacher; name diffusion, too")
    name = comparison.teacher.name
    stored = configs[name]
    trained = distillable(name, stored.model, family_of(stored.model).noun)
    teacher = pipeline_as(build_learner(stored).pipeline(), DiffusionPipeline)
    length = Run(method, budget, comparison.seed).own_budget.length
    own = {"method": method.base, "seed": comparison.seed}
    options = DistillOptions.from_settings({**own, **comparison.distilling, **length})
    return student_config(stored, trained, teacher, TeacherReference("", ""), options)


def _check_splits(comparison: Compare, data: ImageSet) -> None:
    """Tuning needs images that no reported number rests on."""
    for split, use in (("validation", "tune on"), ("test", "report on")):
        if split == "test" and (comparison.reference is not None or comparison.split == "train"):
            continue
        if len(data.split(split)) < FEWEST_HELD_OUT:
            raise UsageError(
                f"{named('trials')}: {comparison.data} has no {split} images to {use}; give a "
                f"larger {named('holdout')}"
            )
