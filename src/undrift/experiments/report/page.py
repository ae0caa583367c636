"""``report.html``: one page that shows what a run learnt, complete in itself.

Everything is inline: styles, plots as SVG, images as ``data:`` addresses. No script, no network. A
piece whose file or array is missing is named as missing in its place.
"""

from __future__ import annotations

import math
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, Template

from undrift.experiments.report.cost import duration, time_by_part
from undrift.experiments.report.curves import level_figure, loss_figure, rate_figure
from undrift.experiments.report.data_summary import Bar, DataSummary, image_kind
from undrift.experiments.report.figure import short
from undrift.experiments.report.history import Record
from undrift.experiments.report.material import ReportMaterial
from undrift.experiments.report.metric_table import metric_lines, missing_note, protocol_rows
from undrift.experiments.report.pictures import Picture, by_class, gap_of, strip, thumbnail
from undrift.experiments.report.record import Grid, RunRecord
from undrift.experiments.report.verdict import judge
from undrift.experiments.report.words import Row, flat_rows, model_rows, training_rows
from undrift.runs.directory import RunDirectory

_STATES = {"done": "good", "failed": "bad", "interrupted": "warn", "running": ""}
_VERDICTS = {"learnt": "good", "stuck": "bad", "early": "warn", "memorising": "warn", "unknown": ""}
_WIDTH = 868  # CSS pixels of the content column
_MOST_CLASSES = 24
_MOST_STOPS = 10


def write_report(directory: Path, material: ReportMaterial | None = None) -> Path:
    """Write ``report.html`` of the run in ``directory``, by rename, and return its path.

    Args:
        directory: a run directory; files that are missing are named on the page.
        material: what is not in files; without it the page has fewer pictures.

    Raises:
        ModelFileError: ``directory`` is none, or holds a file that cannot be read.
        OSError: the page cannot be written.
    """
    record = RunRecord.read(Path(directory))
    html = _template().render(page=_page(record, material or ReportMaterial()))
    run = RunDirectory(directory)
    run.write_text(run.report.name, html)
    return run.report


@cache
def _template() -> Template:
    source = (
        resources.files("undrift.experiments.report")
        .joinpath("template.html")
        .read_text(encoding="utf-8")
    )
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(source)


def _page(record: RunRecord, material: ReportMaterial) -> Record:
    history, verdict = record.history, judge(record.history.main)
    state = str(record.status.get("state", "state unknown"))
    lines = metric_lines(record.evaluation)
    looks = np.array([]) if material.samples is None else material.samples[:1]
    return {
        "title": record.name,
        "state": state,
        "state_tone": _STATES.get(state, ""),
        "lead": _lead(record),
        "tiles": _tiles(record, material),
        "backdrop": "checks" if looks.ndim == 4 and looks.shape[-1] == 4 else "",
        "samples": _samples(record, material),
        "verdict": verdict,
        "verdict_tone": _VERDICTS[verdict.state],
        "levels": level_figure(history),
        "losses": loss_figure(history),
        "rates": rate_figure(history),
        "curves_note": _curves_note(record),
        "timeline": _timeline(record),
        "pairs": _pairs(material),
        "frames": _frames(material),
        "metrics": lines,
        "metrics_missing": missing_note(record.evaluation),
        "protocol": protocol_rows(record.evaluation),
        "data": DataSummary.of(record.data),
        "contact": _contact(material),
        "model": model_rows(record.config, material.parameters),
        "training": training_rows(record.config),
        "config": flat_rows(record.config),
        "cost": [
            Bar(part.name, part.share, f"{duration(part.seconds)}, {part.share:.0%}")
            for part in time_by_part(history, material.seconds)
        ],
        "cost_rows": _cost_rows(record, material),
        "environment": flat_rows({k: v for k, v in record.environment.items() if k != "command"}),
        "command": f"undrift train --config runs/{record.name}/config.yaml --out runs/again",
        "started": _command(record.environment),
        "missing": ", ".join(record.missing),
    }


def _lead(record: RunRecord) -> str:
    data, config = record.data, record.config
    classes = len(data.get("classes", {}))
    kind = "class-conditional" if classes > 1 and _conditional(config) else "unconditional"
    words = f"A{'n' if kind[0] == 'u' else ''} {kind} diffusion model"
    if shape := image_kind(data):
        words += f" of {shape} images"
    if kind == "class-conditional":
        words += f" in {classes} classes"
    if train := data.get("splits", {}).get("train"):
        words += f", trained on {train:,} of them"
    done, images = record.history.done, record.history.images
    if done is not None and done.get("seconds"):
        words += f" for {duration(float(done['seconds']))}"
    if images:
        words += f", {images:,} images seen"
    return words + "."


def _conditional(config: Record) -> bool:
    names = config.get("model", {}).get("spec", {}).get("class_names")
    return names is None or len(names) > 1


def _tiles(record: RunRecord, material: ReportMaterial) -> list[dict[str, str]]:
    tiles = [
        {"name": line.title, "value": line.value, "beside": f"real images: {line.floor}"}
        for line in metric_lines(record.evaluation)
    ][:4]
    seen, speeds = record.history.series("images_per_second")
    if len(seen) and len(tiles) < 4:
        speed = float(np.median(speeds))
        beside = f"{short(float(seen[-1]))} images in all"
        tiles.append({"name": "training speed", "value": f"{speed:,.0f}/s", "beside": beside})
    if material.parameters is not None and len(tiles) < 4:
        value = short(material.parameters)
        tiles.append({"name": "parameters", "value": value, "beside": "trainable"})
    return tiles


def _samples(record: RunRecord, material: ReportMaterial) -> Record:
    images, labels = material.samples, material.labels
    how = f" {material.sampler}." if material.sampler else ""
    if images is None or len(images) == 0:
        grids = [grid for grid in record.grids if grid.weights != "raw"] or list(record.grids)
        if not grids:
            return {"note": "", "classes": [], "sheet": None}
        note = f"The last grid drawn in training, after {grids[-1].step:,} steps."
        sheet = thumbnail(grids[-1].path, "Sample grid", side=_WIDTH - 200)
        return {"note": note, "classes": [], "sheet": sheet}
    tile = _tile(images.shape[1:3])
    if labels is None or len(np.unique(labels)) < 2:
        columns = max(1, int(_WIDTH // (tile + gap_of(images.shape[1:3], tile))))
        shown = images[: columns * 8]
        note = f"The first {len(shown)} of {len(images):,} samples, none picked.{how}"
        sheet = strip(shown, "Samples", tile=tile, columns=columns)
        return {"note": note, "classes": [], "sheet": sheet}
    tile = min(tile, 72)
    # what the longest name and the gaps leave: 7.5 CSS pixels a letter, names wrap at 150
    names = 16 + min(150, max(7.5 * len(name) for name in material.class_names or ("00",)))
    per_class = max(4, int((_WIDTH - names) // (tile + gap_of(images.shape[1:3], tile))))
    rows = by_class(images, labels, material.class_names, per_class=per_class, most=_MOST_CLASSES)
    classes = [(name, strip(part, f"Samples of {name}", tile=tile)) for name, part in rows]
    total = len(np.unique(labels))
    which = "class" if total <= _MOST_CLASSES else f"of {_MOST_CLASSES} among {total} classes"
    note = f"The first samples of each {which}, out of {len(images):,}; none picked.{how}"
    return {"note": note, "classes": classes, "sheet": None}


def _tile(size: tuple[int, ...]) -> int:
    """CSS pixels per image: small images get a whole factor, large ones are shown smaller."""
    largest = max(size)
    return 48 if largest <= 16 else 56 if largest <= 32 else 96


def _curves_note(record: RunRecord) -> str:
    notes = []
    if record.history.skips:
        notes.append(f"{record.history.skips} steps were skipped: loss or gradient was not finite.")
    if record.history.starts > 1:
        notes.append(f"The run was resumed {record.history.starts - 1} times.")
    return " ".join(notes)


def _timeline(record: RunRecord) -> Record:
    steps = sorted({grid.step for grid in record.grids})
    if not steps:
        return {"note": "", "stops": []}
    chosen = _evenly(steps, _MOST_STOPS)
    by_place: dict[tuple[int, str], Grid] = {(g.step, g.weights): g for g in record.grids}
    kinds = [w for w in ("ema", "raw", "") if any(g.weights == w for g in record.grids)]
    kinds += sorted({g.weights for g in record.grids} - set(kinds))
    side = 196 if len(chosen) <= 4 else 158
    stops = [
        {
            "step": f"{step:,}",
            "images": [
                thumbnail(by_place[step, w].path, f"Samples at step {step}, {w} weights", side=side)
                for w in kinds
                if (step, w) in by_place
            ],
        }
        for step in chosen
    ]
    note = "Same seeds and classes every time."
    if "ema" in kinds and "raw" in kinds:
        note += " Above with averaged weights (EMA), below with raw ones."
    if len(chosen) < len(steps):
        note += f" {len(chosen)} of {len(steps)} grids; all are in samples/."
    return {"note": note, "stops": stops}


def _evenly(steps: list[int], most: int) -> list[int]:
    """At most ``most`` of ``steps``, first and last among them, dense early: change is fast."""
    if len(steps) <= most:
        return steps
    places = np.unique(np.geomspace(1, len(steps), most).round().astype(int)) - 1
    spare = [p for p in np.linspace(0, len(steps) - 1, 4 * most).round().astype(int).tolist()]
    chosen = set(places.tolist())
    for place in reversed(spare):  # geometric places collide at the start: fill up from the end
        if len(chosen) >= most:
            break
        chosen.add(int(place))
    return [steps[place] for place in sorted(chosen)]


def _pairs(material: ReportMaterial) -> list[Record]:
    if material.queries is None or material.neighbours is None or material.distances is None:
        return []
    tile = min(_tile(material.queries.shape[1:3]) + 8, 84)
    pairs = [
        {
            "sample": strip(material.queries[i : i + 1], "Sample", tile=tile),
            "neighbour": strip(material.neighbours[i : i + 1], "Nearest training image", tile=tile),
            "distance": f"{material.distances[i]:.1f}",
        }
        for i in range(len(material.queries))
    ]
    half = (len(pairs) + 1) // 2
    searched = f" of {material.searched}" if material.searched else ""
    groups = [
        {"title": f"The nearest{searched}: any copy would be here", "pairs": pairs[:half]},
        {"title": "Drawn at random", "pairs": pairs[half:]},
    ]
    return [group for group in groups if group["pairs"]]


def _frames(material: ReportMaterial) -> list[Record]:
    if material.strip is None:
        return []
    count = len(material.strip)
    tile = max(32, min(_tile(material.strip.shape[1:3]) + 16, _WIDTH // min(count, 11) - 14))
    levels = list(material.strip_levels) + [math.nan] * (count - len(material.strip_levels))
    return [
        {
            "image": strip(material.strip[i : i + 1], f"Denoising, frame {i + 1}", tile=tile),
            "level": _level(levels[i]),
        }
        for i in range(count)
    ]


def _level(noise: float) -> str:
    if math.isnan(noise):
        return ""
    return "∞" if math.isinf(noise) else "0" if noise == 0 else f"{noise:.2g}"


def _contact(material: ReportMaterial) -> Record:
    examples = material.examples
    if examples is None or len(examples) == 0:
        return {"sheet": None, "title": ""}
    tile = min(_tile(examples.shape[1:3]), 64)
    columns = max(1, int(_WIDTH // (tile + gap_of(examples.shape[1:3], tile))))
    sheet: Picture = strip(examples, "Training images", tile=tile, columns=columns)
    balanced = ", balanced over classes" if material.example_labels is not None else ""
    title = f"{len(examples)} training images, drawn at random{balanced}"
    return {"sheet": sheet, "title": title}


def _cost_rows(record: RunRecord, material: ReportMaterial) -> list[Row]:
    rows: list[Row] = []
    history = record.history
    _, speeds = history.series("images_per_second")
    if len(speeds):
        rows.append(("training speed", f"{np.median(speeds):,.0f} images/s (median)"))
    _, waits = history.series("data_wait")
    if len(waits):
        rows.append(("waiting for data", f"{np.mean(waits):.1%} of training time"))
    if material.nfe is not None:
        rows.append(("network forwards per image", f"{material.nfe:g} NFE"))
    if material.sampling_seconds and material.samples is not None:
        rate = len(material.samples) / material.sampling_seconds
        spent = f"{len(material.samples):,} in {duration(material.sampling_seconds)}"
        rows.append(("sampling speed", f"{rate:,.1f} images/s ({spent})"))
    written = sum(int(event.get("bytes", 0)) for event in history.checkpoints)
    if written:
        last = int(history.checkpoints[-1].get("bytes", 0))
        count = len(history.checkpoints)
        rows.append(
            ("checkpoints", f"{count} written, {short(last)}B each, {short(written)}B in all")
        )
    return rows


def _command(environment: Record) -> str:
    command: Any = environment.get("command")
    if isinstance(command, list):
        return " ".join(str(word) for word in command)
    return str(command) if command else ""
