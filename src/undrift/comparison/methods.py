"""What a comparison trains: methods, budgets and, of each method, seed and budget, a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from undrift.errors import UsageError
from undrift.families import family_of_method
from undrift.families.student.recipe import FROM_SCRATCH, OBJECTIVES, SHARE
from undrift.options.train import TrainOptions, seconds
from undrift.results.comparison import BudgetKind, MethodSettings, Setting

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")

_SHARED = (
    *("method", "seed", "budget", "images", "steps", "device", "threads", "extend"),
    *("size", "fit", "channels", "background", "holdout", "bad_limit", "label_column"),
    *("text", "caption_column", "numbers", "maps"),
)
"""Settings that are equal for all methods of a comparison."""


@dataclass(frozen=True)
class Method:
    """A method of a comparison: a recipe, with or without settings of its own.

    Attributes:
        name: as tables, files and results call it; letters, digits and ``._+-``.
        base: what ``undrift train --method`` is given.
        settings: fields of `TrainOptions` -> values in place of the comparison's.
    """

    name: str
    base: str
    settings: Mapping[str, Setting] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        family = family_of_method(self.base, "methods")
        if not family.draws:
            raise UsageError(
                f"method {self.name}: a {family.noun} draws no images to compare; leave it out"
            )
        if self.distilled and self.settings:
            raise UsageError(
                f"method {self.name}: {self.base} is distilled, and has its teacher's settings; "
                "leave them out"
            )
        if not _NAME.fullmatch(self.name):
            raise UsageError(f"method {self.name!r}: wanted a name of letters, digits and ._+-")
        known = {one.name for one in fields(TrainOptions)}
        for name in self.settings:
            if name not in known:
                raise UsageError(
                    f"method {self.name}: there is no setting {name}; see TrainOptions"
                )
            if name in _SHARED:
                raise UsageError(
                    f"method {self.name}: {name} is shared by all methods; set it for the "
                    "comparison"
                )

    @property
    def distilled(self) -> bool:
        """Whether it is a student, which needs a teacher."""
        return self.base in OBJECTIVES and self.base not in FROM_SCRATCH

    @property
    def plain(self) -> bool:
        """Whether it is a recipe under its own name."""
        return self.name == self.base and not self.settings

    def with_settings(self, settings: Mapping[str, Setting]) -> Method:
        """The same method with ``settings`` beside or in place of its own."""
        return Method(self.name, self.base, {**self.settings, **settings})

    def as_result(self) -> MethodSettings:
        """As results hold it."""
        return MethodSettings(name=self.name, base=self.base, settings=dict(self.settings))


@dataclass(frozen=True)
class Budget:
    """What every run gets the same amount of.

    Attributes:
        kind: wall-clock seconds of training, or real images seen.
        amount: how much: ``2m``, or ``200000``.
    """

    kind: BudgetKind
    amount: str

    @property
    def length(self) -> dict[str, str | int]:
        """As a setting of a run."""
        return {"budget": self.amount} if self.kind == "seconds" else {"images": int(self.amount)}

    def heading(self, methods: Sequence[Method]) -> str:
        """What heads a table of ``methods``: students got their teacher's on top."""
        students = [method.name for method in methods if method.distilled]
        more = ""
        if students:
            whose = "its" if len(students) == 1 else "their"
            with_teacher = self.times(1 + SHARE)._length
            more = f", {' and '.join(students)} {with_teacher} with {whose} teacher's"
        if self.kind == "seconds":
            return f"equal seconds ({self._length} of training each{more})"
        return f"equal images ({self._length} seen in training each{more})"

    @property
    def _length(self) -> str:
        return self.amount if self.kind == "seconds" else f"{int(self.amount):,}"

    @property
    def name(self) -> str:
        """As part of a file name."""
        return self.amount if self.kind == "seconds" else f"{self.amount}images"

    def times(self, share: float) -> Budget:
        """``share`` times as much, above 0."""
        if share == 1:
            return self
        if self.kind == "images":
            return Budget(self.kind, str(max(1, round(int(self.amount) * share))))
        return Budget(self.kind, f"{round(seconds(self.amount) * share, 3):g}s")


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        method: what is trained.
        budget: for how long.
        seed: random seed.
        point: of the search space, at which the method's settings are; 0 is the recipe.
        trial: whether it belongs to tuning.
    """

    method: Method
    budget: Budget
    seed: int
    point: int = 0
    trial: bool = False

    @property
    def own_budget(self) -> Budget:
        """How long this run is itself; a student comes on top of its teacher."""
        return self.budget.times(SHARE) if self.method.distilled else self.budget

    @property
    def name(self) -> str:
        """As files and lines call it."""
        name = f"{self.method.name}-{self.budget.name}"
        if self.trial:
            return f"{name}-trial{self.point}"
        return f"{name}-{self.seed}" if not self.point else f"{name}-trial{self.point}-{self.seed}"
