"""Objectives of few-step students: pure functions of a student, its teacher and noised images."""

from __future__ import annotations

from undrift.distillation.carry import Estimate, carried, noised
from undrift.distillation.consistency import ConsistencyConfig, consistency_losses
from undrift.distillation.flow_map import FlowMapConfig, flow_map_losses
from undrift.distillation.inputs import StudentInputs
from undrift.distillation.steps import few_step_times

__all__ = [
    "ConsistencyConfig",
    "Estimate",
    "FlowMapConfig",
    "StudentInputs",
    "carried",
    "consistency_losses",
    "few_step_times",
    "flow_map_losses",
    "noised",
]
