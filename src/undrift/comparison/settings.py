"""The settings of a comparison, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from undrift.advice import named
from undrift.comparison.methods import Budget, Method, Run
from undrift.errors import UsageError
from undrift.families.diffusion import DiffusionFamily
from undrift.families.student.recipe import SHARE
from undrift.metrics import chosen_metrics
from undrift.metrics.catalogue import METRICS
from undrift.options import CompareOptions
from undrift.options.options import once
from undrift.options.train import TrainOptions, flag
from undrift.results.comparison import Setting


def recipes_of(methods: Sequence[str]) -> tuple[Method, ...]:
    """Each method by its recipe.

    Raises:
        UsageError: an unknown method.
    """
    return tuple(Method(method, method) for method in methods)


@dataclass(frozen=True, kw_only=True)
class Compare(CompareOptions):
    """A comparison: its data, methods and options.

    Attributes:
        data: what ``undrift train`` takes.
        methods: recipes, or recipes with settings of their own; differences are to the first.
        executor: ``local``, processes on this machine, or ``slurm``, jobs of a cluster.
    """

    data: str
    methods: tuple[Method, ...] = recipes_of(("diffusion", "r3gan"))
    executor: Literal["local", "slurm"] = "local"

    @classmethod
    def of(
        cls,
        options: CompareOptions,
        data: str,
        methods: Sequence[str | Method],
        *,
        executor: Literal["local", "slurm"] = "local",
        conditional: bool = True,
    ) -> Compare:
        """A comparison of ``methods`` with ``options``."""
        chosen = tuple(recipes_of([one])[0] if isinstance(one, str) else one for one in methods)
        own = {"data": data, "methods": chosen, "executor": executor}
        return cls.from_options(options, conditional=options.conditional and conditional, **own)

    def __post_init__(self) -> None:
        """Refuse what cannot be compared; see `run_comparison`."""
        super().__post_init__()
        names = [method.name for method in self.methods]
        if not names:
            raise UsageError(f"{named('methods')}: wanted one or more")
        once("methods", names, names)
        if self.executor == "slurm" and (self.threads is None or self.device == "auto"):
            raise UsageError(
                f"{named('executor')} slurm: give {named('threads')} and {named('device')} cpu or "
                "cuda; this machine is not the one that trains"
            )
        if self.executor == "local" and self.slurm_partition is not None:
            raise UsageError(
                f"{named('slurm_partition')}: only for {named('executor')} slurm; leave it out"
            )
        for name in chosen_metrics(self.metrics):
            if METRICS[name].better == "neither":
                raise UsageError(
                    f"{named('metrics')} {name}: it has no better and worse; choose among "
                    + ", ".join(n for n, one in METRICS.items() if one.better != "neither")
                )
        self._check_students()
        for budget in self.budgets:
            for method in self.methods:
                self.settings(Run(method, budget, self.seed))

    def _check_students(self) -> None:
        students = [method.name for method in self.methods if method.distilled]
        if students and self.teacher is None:
            raise UsageError(
                f"{named('methods')} {students[0]}: it is distilled from a diffusion model; name "
                "diffusion, too"
            )
        if students and self.trials:
            raise UsageError(
                f"{named('trials')}: {students[0]} is distilled by its one recipe; leave it or the "
                "trials out"
            )

    @property
    def teacher(self) -> Method | None:
        """The first method that is a diffusion model, of which students are distilled."""
        for method in self.methods:
            if method.base == DiffusionFamily.name:
                return method
        return None

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets: seconds, images, or both in this order."""
        found = []
        if self.budget is not None:
            found.append(Budget("seconds", self.budget.strip()))
        if self.images is not None:
            found.append(Budget("images", str(self.images)))
        return tuple(found)

    def settings(self, run: Run) -> TrainOptions:
        """The settings that ``run`` is trained with, but for its threads.

        Raises:
            UsageError: invalid settings.
        """
        own = {"method": run.method.base, "seed": run.seed}
        return TrainOptions.from_settings({**own, **run.budget.length, **self.own(run)})

    @property
    def distilling(self) -> dict[str, Setting | tuple[str, ...] | None]:
        """The settings that students share with all runs, as fields of `DistillOptions`."""
        names = ("batch_size", "evaluate_every", "evaluate_samples", "bare", "device")
        return {name: getattr(self, name) for name in names}

    def own(self, run: Run) -> dict[str, Setting | tuple[str, ...] | None]:
        """The settings that all runs share, overridden by those of the method of ``run``."""
        return {**self.alike, **run.method.settings}

    @property
    def command(self) -> tuple[str, ...]:
        """The command of the same comparison, without flags that are at their defaults.

        Empty where methods have settings of their own, which no flag says.
        """
        if not all(method.plain for method in self.methods):
            return ()
        words = ["undrift", "compare", self.data]
        first = ("out", "methods")
        for field in sorted(fields(self), key=lambda one: one.name not in first):
            value = getattr(self, field.name)
            if field.name == "data" or value == field.default:
                continue
            if field.name == "methods":
                words += ["--methods", ",".join(method.name for method in self.methods)]
                continue
            name = flag(field.name).replace("conditional", "unconditional")
            if isinstance(value, bool):
                words.append(name)
            else:
                words += [name, ",".join(value) if isinstance(value, tuple) else str(value)]
        return tuple(words)


def students_remarks(comparison: Compare) -> tuple[str, ...]:
    """What a reader has to know of methods that are distilled."""
    teacher = comparison.teacher
    return tuple(
        f"{method.name}: distilled from {teacher.name} of the same seed in {SHARE:g} times its "
        "length, which counts on top: images and time are those of both"
        for method in comparison.methods
        if method.distilled and teacher is not None
    )
