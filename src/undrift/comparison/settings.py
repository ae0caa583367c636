"""The settings of a comparison, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from undrift.advice import named
from undrift.comparison.cells import Arm, Cell, Ledger
from undrift.errors import UsageError
from undrift.metrics import chosen_metrics
from undrift.metrics.catalogue import METRICS
from undrift.options import CompareOptions
from undrift.options.options import once
from undrift.options.train import TrainOptions


def arms_of(methods: Sequence[str]) -> tuple[Arm, ...]:
    """Each method by its recipe.

    Raises:
        UsageError: a method that there is not.
    """
    return tuple(Arm(method, method) for method in methods)


@dataclass(frozen=True, kw_only=True)
class Compare(CompareOptions):
    """A comparison: its data, methods and options.

    Attributes:
        data: what ``undrift train`` takes.
        arms: methods, by their recipes or with settings of their own; the others are contrasted
            with the first.
        executor: ``local``, processes on this machine, or ``slurm``, jobs of a cluster.
    """

    data: str
    arms: tuple[Arm, ...] = arms_of(("diffusion", "r3gan"))
    executor: Literal["local", "slurm"] = "local"

    @classmethod
    def of(
        cls,
        options: CompareOptions,
        data: str,
        methods: Sequence[str | Arm],
        *,
        executor: Literal["local", "slurm"] = "local",
        conditional: bool = True,
    ) -> Compare:
        """A comparison of ``methods`` with ``options``."""
        values: dict[str, Any] = {
            one.name: getattr(options, one.name) for one in fields(CompareOptions)
        }
        values["conditional"] = values["conditional"] and conditional
        arms = tuple(arms_of([one])[0] if isinstance(one, str) else one for one in methods)
        return cls(data=data, arms=arms, executor=executor, **values)

    def __post_init__(self) -> None:
        """Refuse what cannot be compared; see `run_comparison`."""
        super().__post_init__()
        names = [arm.name for arm in self.arms]
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
        for ledger in self.ledgers:
            for arm in self.arms:
                self.settings(Cell(arm, ledger, self.seed))

    @property
    def ledgers(self) -> tuple[Ledger, ...]:
        """What is equal in turn: seconds, images, or first one and then the other."""
        found = []
        if self.budget is not None:
            found.append(Ledger("seconds", self.budget.strip()))
        if self.images is not None:
            found.append(Ledger("images", str(self.images)))
        return tuple(found)

    def settings(self, cell: Cell) -> TrainOptions:
        """What ``cell`` is trained with, but for its threads.

        Raises:
            UsageError: settings that cannot be.
        """
        return TrainOptions(
            method=cell.arm.method, seed=cell.seed, **cell.ledger.length, **self.own(cell)
        )

    def own(self, cell: Cell) -> dict[str, Any]:
        """The settings that all runs share, but for those that the arm of ``cell`` has its own."""
        return {**self.alike, **cell.arm.settings}

    @property
    def command(self) -> tuple[str, ...]:
        """The command of the same comparison, without flags that are at their defaults.

        Empty where methods have settings of their own, which no flag says.
        """
        if not all(arm.plain for arm in self.arms):
            return ()
        words = ["undrift", "compare", self.data]
        first = ("out", "arms")
        for field in sorted(fields(self), key=lambda one: one.name not in first):
            value = getattr(self, field.name)
            if field.name == "data" or value == field.default:
                continue
            if field.name == "arms":
                words += ["--methods", ",".join(arm.name for arm in self.arms)]
                continue
            name = field.name.replace("_", "-").replace("conditional", "unconditional")
            if isinstance(value, bool):
                words.append(f"--{name}")
            else:
                words += [f"--{name}", ",".join(value) if isinstance(value, tuple) else str(value)]
        return tuple(words)
