"""Puts what was measured later into a report that is there already.

The report holds pictures that only the process that trained had at hand, so it is not written anew:
the sections between their marks are replaced.
"""

from __future__ import annotations

import re
from pathlib import Path

from undrift.errors import ModelFileError
from undrift.files.lock import FileLock
from undrift.files.reading import read_bytes
from undrift.report.page import curve_section, evaluations_section
from undrift.report.record import RunRecord
from undrift.runs.directory import RunDirectory

_SECTIONS = {"samplers": curve_section, "evaluations": evaluations_section}


def refresh(directory: Path) -> bool:
    """Show the run's curve and its later evaluations in its report, by rename.

    Returns:
        Whether there is a report that shows them.

    Raises:
        ModelFileError: a file of the run cannot be read.
        OSError: the report cannot be written.
    """
    run = RunDirectory(directory)
    if not run.report.is_file():
        return False
    lock = FileLock(run.path, ".report.LOCK")  # of two at once the later one shows both results
    lock.acquire(wait=True)
    try:
        return _refresh(run)
    finally:
        lock.release()


def _refresh(run: RunDirectory) -> bool:
    page = made = read_bytes(run.report, ModelFileError, "delete it").decode("utf-8", "replace")
    record = RunRecord.read(run.path)
    for name, section in _SECTIONS.items():
        marked = re.compile(f"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
        new = section(record)
        made, count = marked.subn(lambda _, new=new: new, made)
        if count != 1:
            return False
    if made != page:
        run.write_text(run.report.name, made)
    return True
