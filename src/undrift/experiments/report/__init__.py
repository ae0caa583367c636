"""The report of a run: one self-contained page."""

from undrift.experiments.report.material import ReportMaterial, gather_material
from undrift.experiments.report.page import write_report

__all__ = ["ReportMaterial", "gather_material", "write_report"]
