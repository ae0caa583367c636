"""The families of models, each as one value: recipe, learner and what else differs between them."""

from __future__ import annotations

from typing import Any

from undrift import synonyms
from undrift.advice import named
from undrift.errors import UsageError, shortened, shown
from undrift.families.adapter import AdapterFamily
from undrift.families.classifier import ClassifierFamily
from undrift.families.diffusion import DiffusionFamily
from undrift.families.family import Family, ModelConfig, Recipe, RecipeRequest
from undrift.families.gan import GANFamily
from undrift.families.student import StudentFamily
from undrift.names import nearest
from undrift.schema import from_plain

__all__ = [
    "FAMILIES",
    "Family",
    "ModelConfig",
    "Recipe",
    "RecipeRequest",
    "family_of",
    "family_of_kind",
    "family_of_method",
    "model_from_plain",
]

FAMILIES: tuple[Family[Any], ...] = (
    DiffusionFamily(),
    GANFamily(),
    StudentFamily(),
    AdapterFamily(),
    ClassifierFamily(),
)
"""Every family; to add one, add its value here."""


def family_of(config: ModelConfig) -> Family[Any]:
    """The family of a model's configuration."""
    return next(family for family in FAMILIES if isinstance(config, family.config))


def family_of_method(method: str, parameter: str = "method") -> Family[Any]:
    """The family that has ``method``.

    Args:
        method: what was given.
        parameter: that it was given for; the error names it.

    Raises:
        UsageError: there is none.
    """
    for family in FAMILIES:
        if method in family.methods:
            return family
    known = [
        method
        for family in FAMILIES
        for method in (family.methods if family.scratch is None else family.scratch)
    ]
    near = nearest(method, known, synonyms.CHOICES)
    hint = "" if near is None else f"; did you mean {near}?"
    wanted = f"wanted {', '.join(known[:-1])} or {known[-1]}{hint}"
    raise UsageError(f"{named(parameter)} {shortened(method, 60)}: {wanted}")


def family_of_kind(kind: object) -> Family[Any] | None:
    """The family whose part of ``config.yaml`` calls itself ``kind``; None: there is none."""
    return next((family for family in FAMILIES if family.kind == kind), None)


def model_from_plain(data: object, where: str) -> ModelConfig:
    """A model's configuration out of plain data, which names its family under ``kind``.

    Args:
        data: a mapping.
        where: the file that it came from; errors start with it.

    Raises:
        UsageError: for a kind that no family has, or entries that the family does not have.
    """
    kind = data.get("kind") if isinstance(data, dict) else None
    family = family_of_kind(kind)
    if family is not None:
        return from_plain(family.config, data, where)
    known = ", ".join(str(family.kind) for family in FAMILIES)
    raise UsageError(f"{where}: kind: got {shown(kind)}, wanted one of {known}")
