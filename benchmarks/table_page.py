"""The solver table as a page of the documentation, from its JSON alone.

python benchmarks/table_page.py [JSON] [PAGE]
"""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from markdown_rows import table

_ROOT = Path(__file__).resolve().parents[1]
_WIDTH = 112


def page(result: dict[str, Any]) -> str:
    """Markdown."""
    floors, count = result["floors"], result["n"]
    lines = [
        "# FD by network evaluations",
        "",
        *_text(
            f"`benchmarks/solver_table.py` on {result['date']}: {result['protocol']}; {count:,} "
            "images of each sampler, all from the same noise and labels, in "
            f"{result['precision']}. The model is class-conditional, of Fashion-MNIST, trained as "
            "`undrift train fashion_mnist --budget 300s` trains. As many real training images have "
            f"FD {floors[str(count)]:.3f}. Intervals are of 95 %, over samples; the best of each "
            "column is bold."
        ),
        "",
        *_table(result["rows"]),
        "",
        *_text(
            "Rules with two evaluations a step make 2 N - 1: at even budgets one less than the "
            "column says. Each rule stands on the grid that was best for it at few images of "
            "another seed, at 6 evaluations for the columns up to 8 and at 15 for the others:"
        ),
        "",
        *_grids(result["grids"]),
        "",
        "## Steps that choose themselves",
        "",
        *table(
            ("", "tolerance", "NFE, mean over images", "FD"),
            (
                (f"`{row['sampler']}`", f"{row['tolerance']:g}", f"{row['nfe']:.1f}", _value(row))
                for row in result["adaptive"]
            ),
        ),
        "",
        f"## Finalists, {result['finalists'][0]['n']:,} images",
        "",
        *_text(
            f"As many real training images: FD {floors[str(result['finalists'][0]['n'])]:.3f}."
        ),
        "",
        *table(
            ("NFE", "sampler", "grid", "FD"),
            (
                (f"{row['nfe']:g}", f"`{row['sampler']}`", _grid(row), _value(row))
                for row in result["finalists"]
            ),
        ),
        "",
        "## Learned samplers over the best at 50 evaluations",
        "",
        *table(
            ("NFE", "images", "best at 50", "FD over it", "to reach"),
            (
                (str(row["nfe"]), f"{row['n']:,}", row["best_at_50"], _ratio(row),
                 f"{row['to_reach']:.2f}")
                for row in result["targets"]
            ),
        ),
        "",
        *_text(
            "Intervals by jackknife over pairs from the same noise; the real images are held "
            f"fixed. In {result['precision']} the FD of the same noise is, over that in float32: "
            + "; ".join(
                f"`{row['sampler']}` at {row['nfe']:g} evaluations {_ratio(row)}"
                for row in result["precision_differences"]
            )
            + "."
        ),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _text(words: str) -> list[str]:
    return textwrap.wrap(words, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _grid(row: dict[str, Any]) -> str:
    return "its own" if row["sampler"] == "learned" else row["grid"]


def _value(row: dict[str, Any]) -> str:
    return f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def _ratio(row: dict[str, Any]) -> str:
    return f"{row['ratio']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """Samplers down, budgets across, the learned ones first."""
    cells = {(row["sampler"], row["budget"]): row for row in rows}
    budgets = sorted({budget for _, budget in cells})
    names = sorted(dict.fromkeys(name for name, _ in cells), key=lambda name: name != "learned")
    least = {b: min(row["value"] for row in rows if row["budget"] == b) for b in budgets}

    def words(name: str, budget: int) -> str:
        if (name, budget) not in cells:
            return ""
        row = cells[name, budget]
        text = f"{row['value']:.2f} ± {(row['high'] - row['low']) / 2:.2f}"
        return f"**{text}**" if row["value"] == least[budget] else text

    return table(
        ("", *(f"NFE {budget}" for budget in budgets)),
        ((f"`{name}`", *(words(name, budget) for budget in budgets)) for name in names),
    )


def _grids(grids: dict[str, str]) -> list[str]:
    """One paragraph for each grid and range of budgets."""
    served: dict[str, list[str]] = {}
    for name, grid in grids.items():
        sampler, columns = name.split(" ", 1)
        served.setdefault(f"{grid}, {columns}", []).append(f"`{sampler}`")
    lines: list[str] = []
    for where in sorted(served):
        lines += _text(f"- {where}: {', '.join(served[where])}.")
    return lines


if __name__ == "__main__":
    given = sys.argv[1:]
    source = Path(given[0]) if given else _ROOT / "benchmarks/results/solver-table.json"
    target = Path(given[1]) if given[1:] else _ROOT / "docs/reference/solver-table.md"
    target.write_text(page(json.loads(source.read_text())))
