"""The report of a run: one self-contained page."""

from undrift.report.material import ReportMaterial, gather_material
from undrift.report.page import write_report

__all__ = ["ReportMaterial", "gather_material", "write_report"]
