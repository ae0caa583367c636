"""The report's word on whether the run failed on the way: what its looks at samples were."""

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
from undrift.report.history import History, Record
from undrift.runs.collapse import FAILED, FLOOR, states, threshold
from undrift.runs.judge import looks_of


def health_figure(history: History) -> Markup | None:
    """Frechet distance with the line of divergence, and coverage; None where none was measured."""
    known = _known(history)
    found = looks_of(known)
    if not any(look.finite for look in found):
        return None
    with drawing():
        figure, (left, right) = panels(2, height=2.8)
        left.set_title("FD of samples to the validation images")
        right.set_title("Coverage of the validation images")
        seen = [event["images"] for event in known]
        finite = [(x, look) for x, look in zip(seen, found, strict=True) if look.finite]
        places = [x for x, _ in finite]
        lows, highs = [look.fd_low for _, look in finite], [look.fd_high for _, look in finite]
        band(left, places, lows, highs, FIRST)
        left.plot(places, [look.fd for _, look in finite], color=FIRST, marker="o", markersize=3.4)
        line = []
        for k in range(1, len(finite)):
            best = min((look for _, look in finite[:k]), key=lambda look: look.fd)
            line.append(best.fd + threshold(best, finite[k][1]))
        if line:
            left.plot(places[1:], line, **_LIMIT, label="far above its best")
        left.set_ylim(bottom=0)
        covered = [(x, look.coverage) for x, look in finite if look.coverage is not None]
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
    """Whether the run failed on the way, in sentences; empty where nobody looked."""
    notes = []
    if history.verdict is not None:
        notes.append(f"The run was stopped: {history.verdict.get('verdict', 'not finite')}.")
    known = _known(history)
    if known:
        found = states(looks_of(known))
        failed = sum(state in FAILED for state in found)
        rule = "by the rule that is the same for all methods"
        if not failed:
            notes.append(f"At none of {len(found)} looks had it diverged or collapsed, {rule}.")
        else:
            notes.append(f"At {failed} of {len(found)} looks the run had failed, {rule}.")
        for (event, state), before in zip(
            list(zip(known, found, strict=True)), ["healthy", *found], strict=False
        ):
            if state in FAILED and state != before:
                notes.append(f"At {short(event['images'])} images: {event.get('verdict', state)}.")
        back = [k for k, (a, b) in enumerate(pairwise(found)) if a in FAILED and b == "healthy"]
        if back:
            notes.append(f"It came back at {short(known[back[-1] + 1]['images'])} images.")
    return " ".join(notes)


_LIMIT = {"color": REFERENCE, "linestyle": (0, (4, 3)), "linewidth": 1.4}


def _known(history: History) -> list[Record]:
    """The looks that have what the rule reads; those of older runs have not."""
    return [event for event in history.looks if "fd" in event and "fraction" in event]
