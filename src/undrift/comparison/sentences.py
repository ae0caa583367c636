"""A comparison in sentences: what was found first, each with its number and its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from undrift.report.history import History
from undrift.report.levels import contrast_over_seeds
from undrift.report.metric_table import SHARES, amount, title_of
from undrift.wording import dimensions, plural

Record = dict[str, Any]

STANDINGS = {
    "better": ("good", "better"),
    "worse": ("bad", "worse"),
    "alike": ("", "alike"),
    "open": ("warn", "open"),
}
"""Tone and word of each standing."""

_REASONS = {
    "better": "better, by more than the margin",
    "worse": "worse, by more than the margin",
    "alike": "alike: any difference is within the margin",
    "open": "open: the interval does not settle whether a difference beyond the margin is there",
}


def lead_of(found: Record) -> str:
    """What was compared, on what and for how long."""
    height, width, channels = found["protocol"]["shape"]
    seeds = len(found["seeds"])
    runs, done = len(found["runs"]), sum(run["state"] == "done" for run in found["runs"])
    lost = "" if done == runs else f"; {runs - done} of {plural(runs, 'run')} failed"
    ledgers = " and at ".join(table["words"] for table in found["ledgers"])
    return (
        f"{', '.join(found['methods'])}: each trained with {plural(seeds, 'seed')} on the same "
        f"{plural(found['protocol']['train_images'], 'image')} "
        f"of {dimensions(height, width)}x{channels}, at {ledgers}, and measured alike{lost}."
    )


def verdict_lines(found: Record, table: Record) -> list[Record]:
    """How each method stands to the first one in the first metrics, as tone, word and sentence."""
    first = found["methods"][0]
    lines = []
    for row in table["methods"][1:]:
        for metric, entry in row["contrasts"].items():
            tone, word = STANDINGS[entry["standing"]]
            lines.append(
                {
                    "tone": tone,
                    "word": word,
                    "method": row["method"],
                    "metric": title_of(metric),
                    "difference": signed(metric, entry["value"]),
                    "interval": interval(metric, entry),
                    "margin": size(metric, entry["margin"]),
                    "n": entry["n"],
                    "reason": f"{_REASONS[entry['standing']]} (against {first})",
                }
            )
    return lines


VERDICTS = {"supported": "good", "not supported": "bad", "mixed": "warn", "inconclusive": "warn"}
"""Tone of each verdict."""


def claim_lines(table: Record) -> list[Record]:
    """Each claim with its verdict, its number and what that rests on."""
    lines = []
    for claim in table["claims"]:
        number = "not measured"
        if claim["value"] is not None:
            number = _points(claim["value"])
            if claim["low"] is not None:
                low, high = (_points(claim[end]) for end in ("low", "high"))
                number += f" (95% interval {low.removesuffix(' points')} to {high})"
            number += f": {claim['unit']}"
        lines.append(
            {
                "tone": VERDICTS[claim["verdict"]],
                "verdict": claim["verdict"],
                "open": claim["verdict"] == "inconclusive",
                "question": claim["question"],
                "number": f"{number}; {claim['reason']}.",
            }
        )
    return lines


def _points(share: float) -> str:
    return signed("coverage", share)


def signed(metric: str, value: float) -> str:
    """A difference: ``+0.12``, or ``+3.1 points`` of a hundred between shares."""
    sign = "" if value == 0 else "+" if value > 0 else "−"
    return f"{sign}{size(metric, abs(value))}"


def size(metric: str, value: float) -> str:
    """How large a difference is: shares differ by points, not by percent of each other."""
    return f"{100 * value:.3g} points" if metric in SHARES else amount(metric, value)


def interval(metric: str, entry: Record) -> str:
    """``-0.1 to +0.3``; for one seed there is none."""
    if entry["low"] is None:
        return "no interval: one seed"
    low, high = signed(metric, entry["low"]), signed(metric, entry["high"])
    return f"{low.removesuffix(' points')} to {high}"


def level_lines(
    methods: Sequence[str], histories: Mapping[str, Sequence[tuple[int, History]]]
) -> list[str]:
    """At which noise levels the last validations of each method differ from the first's.

    Args:
        methods: names, in order; those without noise levels are left out.
        histories: method -> seed and history of each of its runs.
    """
    last = {
        method: {seed: history.main[-1] for seed, history in runs if history.main}
        for method, runs in histories.items()
    }
    first, *others = [name for name in methods if last.get(name)] or [""]
    found = ((name, contrast_over_seeds(last[first], last[name])) for name in others)
    return [
        f"{name}, validation error against {first}: {differences.words()}."
        for name, differences in found
        if differences is not None
    ]


def said(found: Record) -> list[str]:
    """The first metric of every ledger and method, as lines for a terminal."""
    lines = []
    for table in found["ledgers"]:
        for row in table["methods"][1:]:
            for metric, entry in list(row["contrasts"].items())[:1]:
                lines.append(
                    f"{table['words']}: {row['method']} less {found['methods'][0]} in "
                    f"{title_of(metric)} {signed(metric, entry['value'])} "
                    f"({interval(metric, entry)}; {plural(entry['n'], 'seed')}): "
                    f"{entry['standing']}"
                )
    return lines
