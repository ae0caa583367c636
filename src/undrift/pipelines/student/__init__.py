"""The pipeline of a few-step student."""

from __future__ import annotations

from undrift.pipelines.student.model import StudentFacts, StudentModel
from undrift.pipelines.student.pipeline import StudentPipeline

__all__ = ["StudentFacts", "StudentModel", "StudentPipeline"]
