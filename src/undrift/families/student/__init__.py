"""Few-step students."""

from undrift.families.student.family import StudentFamily

__all__ = ["StudentFamily"]
