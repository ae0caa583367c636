"""The tables of a comparison's page, in words and formatted numbers."""

from __future__ import annotations

from typing import Any

from undrift.comparison.tuning_table import tuning_cost, tuning_words
from undrift.metrics.catalogue import METRICS
from undrift.options.compare import RECIPE
from undrift.options.train import parameter_count
from undrift.report.cost import duration
from undrift.report.figure import short
from undrift.report.metric_table import amount, title_of
from undrift.runs.collapse import FAILED
from undrift.wording import plural

Record = dict[str, Any]


def heads(found: Record) -> list[Record]:
    """A column per metric: its name, and which way is better."""
    return [
        {"key": name, "title": title_of(name), "better": f"{METRICS[name].better} is better"}
        for name in found["metrics"]
    ]


def metric_rows(found: Record, table: Record) -> list[Record]:
    """A row per method, and one of real images."""
    rows = []
    for row in table["methods"]:
        rows.append(
            {
                "name": row["method"],
                "note": _note(found, table, row),
                "cells": [
                    _cell(title_of(name), name, row["metrics"].get(name))
                    for name in found["metrics"]
                ],
            }
        )
    floors = table["floors"]
    rows.append(
        {
            "name": "real images",
            "note": "the floor of each metric",
            "cells": [
                {"title": title_of(name), "value": amount(name, floors.get(name)), "beside": ""}
                for name in found["metrics"]
            ],
        }
    )
    return rows


def _note(found: Record, table: Record, row: Record) -> str:
    """What a reader must know before reading the row."""
    parts = [f"{row['done']} of {plural(row['runs'], 'run')}" if row["done"] < row["runs"] else ""]
    if not row["done"] and row["reasons"]:
        parts.append(row["reasons"][0])
    sizes = found["parameters"][table["kind"]]
    ratio = sizes[row["method"]]["generator"] / sizes[found["methods"][0]]["generator"]
    if abs(ratio - 1) > 0.1:
        parts.append(f"{ratio:.2g} times the parameters of {found['methods'][0]}")
    return "; ".join(part for part in parts if part)


def _cell(title: str, name: str, entry: Record | None) -> Record:
    if entry is None:
        return {"title": title, "value": "-", "beside": "not measured"}
    if entry["low"] is None:
        beside = "one seed"
    elif entry["low"] == entry["high"]:
        beside = "the same with every seed"  # which is no promise of another's
    else:
        beside = f"{amount(name, entry['low'])} to {amount(name, entry['high'])}"
    return {"title": title, "value": amount(name, entry["value"]), "beside": beside}


def cost_rows(found: Record, table: Record) -> list[list[tuple[str, str]]]:
    """What each method cost, in training and in drawing; a cell is its column and its text."""
    rows = []
    for row in table["methods"]:
        method, costs = row["method"], row["costs"]
        speed = found["speeds"][table["kind"]].get(method, {})
        sizes = found["parameters"][table["kind"]][method]
        failed = row["failed"]
        share = "-"
        if failed["value"] is not None:
            share = f"{failed['value']:.0%} ({failed['low']:.0%} to {failed['high']:.0%})"
        rows.append(
            [
                ("method", method),
                ("failed runs", share),
                ("images seen", _span(costs.get("images"), short)),
                ("updates", _span(costs.get("steps"), short)),
                ("training", _span(costs.get("seconds"), duration)),
                ("trials before", tuning_cost(found["tuning"], table["kind"], method)),
                ("processor time", _span(costs.get("cpu_seconds"), duration)),
                ("share of a core", _span(costs.get("processor_share"), _percent)),
                ("parameters, generator", f"{sizes['generator']:,}"),
                ("parameters, all", f"{sizes['all']:,}"),
                ("NFE", f"{speed['nfe']:g}" if speed else "-"),
                ("FLOPs per drawn image", short(speed["flops"]) if speed else "-"),
                ("FLOPs per training image", short(speed["training_flops"]) if speed else "-"),
                ("one image", _time(speed.get("single_ms"))),
                ("in batches", _time(speed.get("batch_ms"))),
            ]
        )
    return rows


def _span(entry: Record | None, words: Any) -> str:  # noqa: ANN401 - any function of a number
    """A mean over seeds, with its least and most where they differ visibly."""
    if entry is None:
        return "-"
    low, high = (words(end(entry["values"].values())) for end in (min, max))
    mean = words(entry["value"])
    return mean if low == high else f"{mean} ({low} to {high})"


def _time(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.3g} ms" if milliseconds < 999.5 else f"{milliseconds / 1000:.3g} s"


def _percent(share: float) -> str:
    return f"{share:.0%}"


def run_rows(found: Record, runs: list[Record]) -> list[Record]:
    """Every run of a ledger, and what became of it."""
    rows = []
    for run in runs:
        metrics = run.get("metrics", {})
        rows.append(
            {
                "name": run["method"],
                "seed": str(run["seed"]),
                "state": _state(run),
                "tone": "good" if _state(run) == "done" else "bad",
                "cells": [
                    amount(name, metrics.get(name, {}).get("value")) for name in found["metrics"]
                ],
                "seconds": duration(run["seconds"]),
                "images": f"{run['images']:,}",
                "reason": run.get("reason", ""),
            }
        )
    return rows


def _state(run: Record) -> str:
    """How a run ended; one that ended with bad samples says so."""
    return run["health"].replace("_", " ") if run["health"] in FAILED else run["state"]


def protocol_of(found: Record) -> list[tuple[str, str]]:
    """What was the same for all, and how the numbers came about."""
    facts = found["protocol"]
    margins = [f"{title_of(name)}: {words}" for name, words in found["margins"].items()]
    rows = [
        ("data", f"{found['data']}, fingerprint {facts['fingerprint'][:16]}"),
        ("split", f"{plural(facts['train_images'], 'training image')}; the rest is held out"),
        ("classes", str(facts["classes"]) if facts["classes"] else "not used"),
        ("parameters", _sizes(facts["parameters"])),
        ("batch", str(facts["batch_size"] or "each method's own")),
        ("mirrored", "at random, for all" if facts["flip"] else "no"),
        ("settings", tuning_words(found["tuning"])),
        ("seeds", ", ".join(map(str, found["seeds"]))),
        ("machine", _machine(facts)),
        ("measured", facts["measuring"]),
        ("samples", f"{facts['n']:,} of each run, drawn with seed {facts['sample_seed']}"),
        (
            "intervals",
            "95 %, Student's t over training seeds: what other seeds would give, on the same "
            "data and reference images; as score intervals, which stay within what a metric can "
            "be (from 0, or 0 to 100%). Not corrected for there being several.",
        ),
        ("differences", "within each seed, less the first method's"),
        ("margins", "; ".join(margins)),
        (
            "verdicts",
            "better or worse: the whole interval lies beyond the margin; alike: within it; else "
            "open. Margins are the program's, fixed before any run.",
        ),
        (
            "failed runs",
            "without samples, or, where samples were evaluated on the way, collapsed, diverged or "
            "not finite in the end by one rule for all methods",
        ),
        (
            "images seen",
            "real images of the main phase; a GAN's discriminator sees as many of the generator's "
            "beside them",
        ),
        (
            "training time",
            "wall clock from the probe to the last step, looks on the way included; processor "
            "time is of the whole process, samples and report included",
        ),
        (
            "FLOPs",
            "matrix products, convolutions and attention, two per multiply-add; in training per "
            "real image seen: every phase of a throw-away model, the second backward of gradient "
            "penalties and the optimiser's matrix products among it; what goes value by value "
            "(norms, activations, Adam) is not counted",
        ),
        (
            "speed",
            "median time to draw one image alone, and per image in a batch of 64, of one run of "
            f"each method, one after the other when all runs had ended{_timed_on(found)}",
        ),
        ("version", f"undrift {found['version']}"),
    ]
    return rows


def _timed_on(found: Record) -> str:
    """Where speeds were measured, if that is not where runs were trained."""
    devices = {one.get("device") for by_arm in found["speeds"].values() for one in by_arm.values()}
    trained_on = found["protocol"]["device"]
    return "".join(f"; on {device}" for device in sorted(devices - {trained_on, None}))


def _sizes(requested: str | None) -> str:
    """What the sizes of the networks follow."""
    if requested is None:
        return "of the denoiser or generator: the first method's, within 10 %, by width"
    if requested == RECIPE:
        return "each recipe's own"
    return f"of the denoiser or generator: {parameter_count(requested):,}, within 10 %, by width"


def _machine(facts: Record) -> str:
    runs = f"{plural(facts['workers'], 'run')} at a time"
    threads = plural(facts["threads"], "thread")
    return f"{facts['device']}, {runs}, {threads} each"
