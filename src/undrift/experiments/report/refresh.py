"""Puts a curve that was measured later into a report that is there already.

The report holds pictures that only the process that trained had at hand, so it is not written anew:
the section between two marks is replaced.
"""

from __future__ import annotations

import re
from pathlib import Path

from undrift.experiments.report.page import curve_section
from undrift.experiments.report.record import RunRecord
from undrift.runs.directory import RunDirectory

_SECTION = re.compile(r"<!-- samplers -->.*?<!-- /samplers -->", re.DOTALL)


def refresh_curve(directory: Path) -> bool:
    """Show the run's ``evaluation/curve.json`` in its report, by rename.

    Returns:
        Whether there is a report that shows it.

    Raises:
        ModelFileError: a file of the run cannot be read.
        OSError: the report cannot be written.
    """
    run = RunDirectory(directory)
    if not run.report.is_file():
        return False
    page = run.report.read_text(encoding="utf-8")
    section = curve_section(RunRecord.read(Path(directory)))
    made, count = _SECTION.subn(lambda _: section, page)
    if count == 1 and made != page:
        run.write_text(run.report.name, made)
    return count == 1
