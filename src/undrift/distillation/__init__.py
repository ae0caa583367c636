"""Objectives of few-step students: pure functions of a student, its teacher and noised images."""

from __future__ import annotations

from undrift.distillation.adversarial import (
    AdversarialFlowConfig,
    difference_penalty,
    discriminator_losses,
    generator_losses,
    with_gradient_size,
)
from undrift.distillation.carry import Estimate, carried, noised
from undrift.distillation.consistency import ConsistencyConfig, consistency_losses
from undrift.distillation.flow_map import FlowMapConfig, flow_map_losses
from undrift.distillation.inputs import StudentInputs
from undrift.distillation.matching import MatchingConfig, matching_losses
from undrift.distillation.mean_flow import MeanFlowConfig, mean_flow_losses
from undrift.distillation.progressive import (
    ProgressiveConfig,
    joined_steps,
    progressive_losses,
)
from undrift.distillation.reflow import ReflowConfig, reflow_losses, teachers_images
from undrift.distillation.steps import few_step_times

__all__ = [
    "AdversarialFlowConfig",
    "ConsistencyConfig",
    "Estimate",
    "FlowMapConfig",
    "MatchingConfig",
    "MeanFlowConfig",
    "ProgressiveConfig",
    "ReflowConfig",
    "StudentInputs",
    "carried",
    "consistency_losses",
    "difference_penalty",
    "discriminator_losses",
    "few_step_times",
    "flow_map_losses",
    "generator_losses",
    "joined_steps",
    "matching_losses",
    "mean_flow_losses",
    "noised",
    "progressive_losses",
    "reflow_losses",
    "teachers_images",
    "with_gradient_size",
]
