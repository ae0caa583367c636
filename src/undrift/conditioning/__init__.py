"""Conditions: what is given with a sample, and how it is encoded for the network.

One file or folder per kind: `labels`, `numbers`, `text`, `maps`, `augmentation`. To add one:
a dataclass with the methods of `kind.Kind` and an embedding, and a field of `ConditionSpec` with a
line in its ``kinds``.
"""

from undrift.conditioning.condition import Condition
from undrift.conditioning.encoder import ConditionEncoder
from undrift.conditioning.kind import Entry, Kind
from undrift.conditioning.labels import NO_LABEL
from undrift.conditioning.maps.spec import MapSpec
from undrift.conditioning.numbers import Number
from undrift.conditioning.spec import ConditionSpec

__all__ = [
    "NO_LABEL",
    "Condition",
    "ConditionEncoder",
    "ConditionSpec",
    "Entry",
    "Kind",
    "MapSpec",
    "Number",
]
