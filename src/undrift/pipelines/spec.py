"""What a pipeline draws: image shape, classes and its default settings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from undrift.arguments import check_fields
from undrift.conditioning import ConditionSpec, MapSpec, Number
from undrift.conditioning.text import PretrainedText, TextSpec
from undrift.errors import UsageError
from undrift.limits import LARGEST_IMAGE
from undrift.pipelines.whole_number import MOST_STEPS
from undrift.sampling import parse_grid, solver
from undrift.schema import check_ranges, stored_as, stored_key

_LATER = ("text", "numbers", "maps")
"""Fields of `SampleSpec` that came after version 0.1.0."""


@dataclass(frozen=True)
class SampleSpec:
    """Image shape, classes and defaults of a pipeline's samples.

    Attributes:
        image_shape: (C, H, W) of one image, stored as ``shape``.
        class_names: in stored order; empty for a model without classes.
        class_frequencies: share of each class in the training data, in the same order, of any
            positive sum; empty means equal.
        sampler: default sampler, one of `undrift.sampling.SAMPLERS`.
        grid: default grid, a name that `undrift.sampling.grid` knows.
        rho: of the karras grid; what suits a model depends on its data.
        sigma_min: smallest noise of the karras and log_snr grids, as sigma / alpha.
        steps: default number of steps.
        guidance: default guidance scale; 1 is off.
        text: what the model understands of prompts; None: it takes none.
        numbers: numbers that images are conditioned on, with their ranges in the training data.
        maps: maps that images are conditioned on.

    Raises:
        UsageError: for values of another type, out of range, or that contradict each other.
    """

    image_shape: tuple[int, int, int] = stored_as("shape")
    class_names: tuple[str, ...] = ()
    class_frequencies: tuple[float, ...] = ()
    sampler: str = "dpmpp_2m"
    grid: str = "karras"
    rho: float = 7.0
    sigma_min: float = 0.002
    steps: int = 20
    guidance: float = 1.0
    text: TextSpec | PretrainedText | None = field(default=None, repr=False)
    numbers: tuple[Number, ...] = ()
    maps: tuple[MapSpec, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        check_ranges(self, "images", image_shape=(1, LARGEST_IMAGE), steps=(1, MOST_STEPS))
        if len(set(self.class_names)) != len(self.class_names):
            raise UsageError("class_names: two classes have the same name; give each its own")
        if self.class_frequencies:
            self._check_frequencies()
        for one in self.maps:
            size = self.image_shape[1:]
            if one.shape[1:] != size:
                raise UsageError(f"map {one.name} is {one.shape[1:]}, images {size}: give the same")
        solver(self.sampler)
        parse_grid(self.grid)
        if min(self.rho, self.sigma_min) <= 0:
            raise UsageError(
                f"default rho {self.rho}, sigma_min {self.sigma_min}: give numbers above 0"
            )

    @property
    def conditional(self) -> bool:
        """Whether the model takes any condition that guidance could lead towards."""
        return bool(self.class_names or self.numbers or self.maps) or self.text is not None

    def condition(self, augment: int = 0) -> ConditionSpec:
        """What an encoder takes for such samples, and ``augment`` augmentation parameters."""
        return ConditionSpec(
            classes=len(self.class_names),
            augment=augment,
            numbers=self.numbers,
            text=self.text,
            maps=self.maps,
        )

    @property
    def canonical(self) -> str:
        """The text of the spec that fingerprints hash.

        Fields that came after version 0.1.0 are left out where they have their defaults, so that
        what was stored under a fingerprint before there was a field stays valid.
        """
        shown = [
            f"{stored_key(field)}={getattr(self, field.name)!r}"
            for field in fields(self)
            if field.name not in _LATER or getattr(self, field.name) != field.default
        ]
        return f"SampleSpec({', '.join(shown)})"

    def _check_frequencies(self) -> None:
        given, wanted = len(self.class_frequencies), len(self.class_names)
        if given != wanted:
            raise UsageError(f"{given} class_frequencies for {wanted} classes: give one for each")
        total = sum(self.class_frequencies)
        if min(self.class_frequencies) < 0 or not 0 < total < math.inf:
            raise UsageError("class_frequencies: give finite shares of at least 0, not all 0")
