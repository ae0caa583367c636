"""The figures of `undrift claims --preset full` as a page of the documentation.

    python benchmarks/claims_page.py STUDY

Keeps of STUDY/report.json what the page needs in results/claims-full.json, copies the figures, and
writes the part of docs/claims.md between its two marks. The words around them are by hand.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markdown_rows import table

from undrift.claims.claims import CLAIMS, effect, interval

_ROOT = Path(__file__).resolve().parents[1]
RESULT = _ROOT / "benchmarks/results/claims-full.json"
PAGE = _ROOT / "docs/claims.md"
IMAGES = _ROOT / "docs/images"
BEGIN, END = "<!-- figures: benchmarks/claims_page.py -->", "<!-- end of figures -->"

SHOWN = {
    "stability": ("stability-rates", "Final distance of every run against its learning rate."),
    "coverage": ("coverage-grid25", "The grid of 25, first seed of each method."),
    "scaling": ("scaling", "Distance against parameters, and against images seen."),
    "control": ("control-dials", "Guidance against truncation: accuracy and distance."),
    "likelihood": ("likelihood", "Bits per dimension, held-out and training images."),
    "inference": ("inference", "Distance against time per image."),
}
"""Claim -> its figure, and what that shows."""

MEASURED = ("fd", "coverage", "recall", "label_accuracy", "memorization")
"""Metrics of the main table that the page prints."""


def kept(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the page needs of a study's report."""
    tables, pieces = report["tables"], report["pieces"]
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for piece in pieces.values():
        by_kind.setdefault(piece["kind"], []).append(piece)
    return {
        "command": _plain(report["command"]),
        "version": report["version"],
        "claims": report["claims"],
        "cost": report["cost"],
        "failed_pieces": report["failed_pieces"],
        "main": [
            {
                "method": method,
                "ledger": ledger["kind"],
                "amount": ledger["amount"],
                "images": statistics.fmean(run["images"] for run in runs),
                "seconds": statistics.fmean(run["seconds"] for run in runs),
                **{name: _spread([_value(run, name) for run in runs]) for name in MEASURED},
                "runs": len(runs),
            }
            for ledger in tables["main"]["ledgers"]
            for method in tables["main"]["methods"]
            if (
                runs := [
                    run
                    for run in tables["main"]["runs"]
                    if run["method"] == method
                    and run["ledger"] == ledger["kind"]
                    and run["state"] == "done"
                ]
            )
        ],
        "known": [
            {
                "world": world,
                "method": method,
                "modes": found[0]["modes"],
                "found": _spread([piece["found"] for piece in found]),
                "kl": _spread([piece["kl"]["value"] for piece in found]),
                "runs": len(found),
            }
            for world in ("ring8", "grid25", "stacked")
            for method in dict.fromkeys(piece["method"] for piece in by_kind.get(world, ()))
            if (found := [piece for piece in by_kind[world] if piece["method"] == method])
        ],
    }


def figures(result: Mapping[str, Any]) -> str:
    """The part of the page between the marks."""
    lines = ["```", result["command"], "```", ""]
    lines += table(
        ("claim", "verdict", "its weakest part", "95 % interval"),
        (
            (
                _link(CLAIMS[claim["name"]].title),
                f"**{claim['verdict']}**",
                f"{_number(claim)}: {claim['unit']}",
                interval(claim["unit"], claim["low"], claim["high"]),
            )
            for claim in result["claims"]
        ),
    )
    for claim in result["claims"]:
        name, caption = SHOWN[claim["name"]]
        lines += ["", f"## {CLAIMS[claim['name']].title}", "", f"{claim['question']}", ""]
        lines += table(
            ("contrast", "effect", "95 % interval", "margin", "n", "verdict"),
            (
                (
                    part["name"] + (f" ({part['note']})" if part["note"] else ""),
                    effect(part["unit"], part["value"]),
                    interval(part["unit"], part["low"], part["high"]),
                    effect(part["unit"], part["margin"]).removeprefix("+"),
                    str(part["n"]),
                    part["verdict"],
                )
                for part in claim["parts"]
            ),
        )
        lines += ["", f"![{caption}](images/claims-{name}.png)"]
    lines += ["", "## The main table", "", "Mean ± standard deviation over seeds.", ""]
    lines += table(
        (
            "method",
            "given",
            "images",
            "seconds",
            "FD",
            *(name.replace("_", " ") for name in MEASURED[1:]),
        ),
        (
            (
                row["method"],
                row["amount"] if row["ledger"] == "seconds" else f"{row['amount']} images",
                f"{row['images']:,.0f}",
                f"{row['seconds']:.0f}",
                *(_pm(row[name]) for name in MEASURED),
            )
            for row in result["main"]
        ),
    )
    lines += ["", "## Modes of a known truth", "", "Mean ± standard deviation over seeds.", ""]
    lines += table(
        ("data", "method", "seeds", "modes found", "KL, nats"),
        (
            (
                row["world"],
                row["method"],
                str(row["runs"]),
                f"{_pm(row['found'])} of {row['modes']:,}",
                _pm(row["kl"]),
            )
            for row in result["known"]
        ),
    )
    return "\n".join([*lines, ""])


def put(page: str, part: str) -> str:
    """``page`` with ``part`` between the marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{part}\n{END}{rest.split(END)[1]}"


def _link(title: str) -> str:
    return f"[{title}](#{title.lower().replace(' ', '-')})"


def _number(claim: Mapping[str, Any]) -> str:
    return "no number" if claim["value"] is None else effect(claim["unit"], claim["value"])


def _plain(command: str) -> str:
    """The command without the folders of the machine on which it ran."""
    return " ".join(Path(word).name if "/" in word else word for word in command.split(" "))


def _value(run: Mapping[str, Any], name: str) -> float | None:
    return run["metrics"].get(name, {}).get("value")


def _spread(values: Sequence[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    deviation = statistics.stdev(known) if len(known) > 1 else 0.0
    return {"mean": statistics.fmean(known), "deviation": deviation}


def _pm(spread: Mapping[str, float] | None) -> str:
    return "-" if spread is None else f"{spread['mean']:.3g} ± {spread['deviation']:.2g}"


def main() -> None:
    """Keep, copy and write."""
    study = Path(sys.argv[1])
    result = kept(json.loads((study / "report.json").read_text()))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    for name, _ in SHOWN.values():
        shutil.copyfile(study / f"figures/{name}.png", IMAGES / f"claims-{name}.png")
    PAGE.write_text(put(PAGE.read_text(), figures(result)))


if __name__ == "__main__":
    main()
