"""Whether a run failed while it trained, by its periodic evaluations of samples."""

from __future__ import annotations

from itertools import pairwise

from markupsafe import Markup

from undrift.report.figure import (
    FIRST,
    GOOD,
    REFERENCE,
    SECOND,
    band,
    drawing,
    images_axis,
    panels,
    short,
    to_svg,
)
from undrift.report.history import History
from undrift.runs.collapse import FAILED, FLOOR, states, threshold
from undrift.runs.events import Event
from undrift.runs.periodic_evaluation import evaluations_of
from undrift.wording import plural


def health_figure(history: History) -> Markup | None:
    """Frechet distance with the line of divergence, and coverage; None where none was measured."""
    known = _known(history)
    found = evaluations_of(known)
    if not any(one.finite for one in found):
        return None
    with drawing():
        figure, (left, right) = panels(2, height=2.8)
        left.set_title("FD of samples to the validation images")
        right.set_title("Coverage of the validation images")
        seen = [event.images or 0 for event in known]
        finite = [(x, one) for x, one in zip(seen, found, strict=True) if one.finite]
        places = [x for x, _ in finite]
        lows, highs = [one.fd_low for _, one in finite], [one.fd_high for _, one in finite]
        band(left, places, lows, highs, FIRST)
        left.plot(places, [one.fd for _, one in finite], color=FIRST, marker="o", markersize=3.4)
        line = []
        for k in range(1, len(finite)):
            best = min((one for _, one in finite[:k]), key=lambda one: one.fd)
            line.append(best.fd + threshold(best, finite[k][1]))
        if line:
            left.plot(places[1:], line, **_LIMIT, label="far above its best")
        left.set_ylim(bottom=0)
        covered = [(x, one.coverage) for x, one in finite if one.coverage is not None]
        if covered:
            right.plot(*zip(*covered, strict=True), color=GOOD, marker="o", markersize=3.4)
        right.axhline(FLOOR, **_LIMIT, label="collapse")
        right.set_ylim(0, 1.02)
        for x, state in zip(seen, states(found), strict=True):
            if state in FAILED:
                for axis in (left, right):
                    axis.axvline(x, color=SECOND, alpha=0.35, linewidth=1.2)
        for axis in (left, right):
            if axis.get_legend_handles_labels()[0]:
                axis.legend(loc="best")
            images_axis(axis, history.images)
        return to_svg(figure, "health", "Frechet distance and coverage over images seen")


def health_note(history: History) -> str:
    """Whether the run failed while it trained, in sentences; empty without evaluations."""
    notes = []
    if history.verdict is not None:
        notes.append(
            f"The run was stopped: {history.verdict.text('verdict', default='not finite')}."
        )
    known = _known(history)
    if known:
        found = states(evaluations_of(known))
        failed = sum(state in FAILED for state in found)
        rule = "by the rule for all methods"
        if not failed:
            notes.append(
                f"No divergence or collapse at {plural(len(found), 'evaluation')}, {rule}."
            )
        else:
            notes.append(
                f"The run had failed at {failed} of {plural(len(found), 'evaluation')}, {rule}."
            )
        for (event, state), before in zip(
            list(zip(known, found, strict=True)), ["healthy", *found], strict=False
        ):
            if state in FAILED and state != before:
                notes.append(
                    f"At {short(event.images or 0)} images: {event.text('verdict', default=state)}."
                )
        back = [k for k, (a, b) in enumerate(pairwise(found)) if a in FAILED and b == "healthy"]
        if back:
            notes.append(f"It recovered at {short(known[back[-1] + 1].images or 0)} images.")
    return " ".join(notes)


_LIMIT = {"color": REFERENCE, "linestyle": (0, (4, 3)), "linewidth": 1.4}


def _known(history: History) -> list[Event]:
    """The evaluations that have what the rule needs; those of older runs have not."""
    return [one for one in history.evaluations if "fd" in one and "fraction" in one]
