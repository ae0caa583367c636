"""The trials of a comparison in words and tables."""

from __future__ import annotations

from typing import Any

from undrift.report.cost import duration
from undrift.report.metric_table import amount, title_of
from undrift.wording import plural

Record = dict[str, Any]

_SETTINGS = {
    "learning rate": ("learning_rate",),
    "batch size": ("batch_size",),
    "regularisation": ("penalty", "label_dropout"),
}
"""What a factor of the space sets."""

_WORDS = {"penalty": "penalty", "label_dropout": "labels hidden"}


def tuning_heads(tuning: Record) -> list[str]:
    """Columns of numbers."""
    names = [factor["name"] for factor in tuning["space"]]
    return [*names, f"{title_of(tuning['metric'])}, validation images", "training"]


def tuning_rows(tuning: Record, kind: str) -> list[Record]:
    """A row per arm and trial of a ledger, the winners marked."""
    rows = []
    for name, found in tuning["ledgers"][kind].items():
        for trial in found["trials"]:
            cells = [_factor(factor["name"], trial) for factor in tuning["space"]]
            cells += [amount(tuning["metric"], trial["value"]), duration(trial["seconds"])]
            rows.append(
                {
                    "name": name,
                    "trial": "recipe" if trial["point"] == 0 else str(trial["point"]),
                    "chosen": trial["point"] == found["point"],
                    "cells": cells,
                    "reason": trial.get("reason", ""),
                }
            )
    return rows


def _factor(name: str, trial: Record) -> str:
    """What a trial set along one axis, and by how much that is the recipe's."""
    for setting in _SETTINGS[name]:
        if setting in trial["settings"]:
            word, value = _WORDS.get(setting, ""), trial["settings"][setting]
            times = f"x {trial['factors'][name]:.2g}"
            if setting == "penalty":
                return f"{word} {times}"
            return f"{word} {value:.3g} ({times})".strip()
    return "recipe" if trial["point"] == 0 else "-"


def tuning_words(tuning: Record | None) -> str:
    """How settings were chosen, for a protocol."""
    if tuning is None:
        return "each method's recipe; nothing was tuned here, for no method"
    space = "; ".join(
        f"{one['name']} x 1/{one['most']:g} to {one['most']:g}" for one in tuning["space"]
    )
    share, metric = tuning["share"], title_of(tuning["metric"])
    length = "as long as a run" if share == 1 else f"for {share:.0%} of a run's length"
    return (
        f"{plural(tuning['trials'], 'trial')} of each method, its recipe the first, then the same "
        f"quasi-random points of one space ({space}; a factor that a method lacks is left out), "
        f"each trained {length} with seed {tuning['seed']}; the lowest {metric} to the validation "
        "images won, and was used with every seed"
    )


def tuning_lines(tuning: Record | None) -> list[str]:
    """What won, for a terminal."""
    if tuning is None:
        return []
    lines, metric = [], tuning["metric"]
    for kind, by_arm in tuning["ledgers"].items():
        for name, found in by_arm.items():
            point, values = found["point"], {t["point"]: t["value"] for t in found["trials"]}
            line = f"tuned at equal {kind}: {name} by {f'trial {point}' if point else 'its recipe'}"
            if values.get(point) is not None:
                line += f", {title_of(metric)} {amount(metric, values[point])}"
            if point and values.get(0) is not None:
                line += f" (its recipe {amount(metric, values[0])})"
            lines.append(line)
    return lines


def tuning_remarks(tuning: Record | None) -> list[str]:
    """Trials that could not be judged: their methods had fewer chances."""
    lines = []
    for kind, by_arm in ({} if tuning is None else tuning["ledgers"]).items():
        for name, found in by_arm.items():
            every = len(found["trials"])
            lost = [trial for trial in found["trials"] if trial["value"] is None]
            if lost:
                reason = lost[0].get("reason", lost[0]["state"])
                ending = "" if len(lost) < every else "; its recipe is used"
                lines.append(
                    f"{name}, tuned at equal {kind}: {len(lost)} of "
                    f"{plural(every, 'trial')} failed and "
                    f"cannot have won ({reason}){ending}"
                )
    return lines


def tuning_cost(tuning: Record | None, kind: str, name: str) -> str:
    """Training time of all trials of an arm."""
    return "-" if tuning is None else duration(tuning["ledgers"][kind][name]["seconds"])
