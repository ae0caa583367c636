"""What loading found, for whoever uses the images: lines to print, and entries of a result."""

from __future__ import annotations

from collections.abc import Sequence

from undrift.data.report import DataReport
from undrift.data.reporting import scarcity
from undrift.errors import shortened
from undrift.json_types import JsonObject
from undrift.wording import plural

EXAMPLES = 3


def finding_lines(report: DataReport, *, training: bool = False) -> list[str]:
    """Return one line for each kind of finding: images set aside, files ignored, notes, warnings.

    Args:
        report: on the whole data set.
        training: also say what matters to training alone, such as few images of a class.
    """
    lines = []
    if report.set_aside:
        total = plural(report.count + len(report.set_aside), "image")
        named = [shortened(f"{item.name}: {item.reason}", 240) for item in report.set_aside]
        lines.append(f"set aside {len(named):,} of {total}: {_first(named, '; ')}")
    if report.ignored:
        kinds = [f"{count:,} {kind}" for kind, count in report.ignored_kinds.items()]
        lines.append(f"ignored {plural(report.ignored, 'file')}: {_first(kinds, ', ')}")
    lines += [f"note: {note}" for note in report.notes]
    hidden = () if training else scarcity(report)
    return lines + [f"warning: {line}" for line in report.warnings if line not in hidden]


def findings(report: DataReport | None) -> JsonObject | None:
    """Return the same in full as plain data, for a result; None where no data set was loaded."""
    if report is None:
        return None
    return {
        "count": report.count,
        "sizes": report.sizes,
        "set_aside": [{"name": item.name, "reason": item.reason} for item in report.set_aside],
        "ignored": report.ignored_kinds,
        "notes": list(report.notes),
        "warnings": [line for line in report.warnings if line not in scarcity(report)],
    }


def _first(items: Sequence[str], between: str) -> str:
    more = len(items) - EXAMPLES
    return between.join(items[:EXAMPLES]) + (f"{between}and {more:,} more" if more > 0 else "")
