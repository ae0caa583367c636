"""Conditions: what the user says of a sample, and how it becomes what the network hears."""

from undrift.conditioning.condition import NO_LABEL, Condition
from undrift.conditioning.encoder import ConditionEncoder, ConditionSpec

__all__ = ["NO_LABEL", "Condition", "ConditionEncoder", "ConditionSpec"]
