"""``report.html``: one self-contained page about a run.

Everything is inline: styles, plots as SVG, images as ``data:`` addresses. No script, no network. A
section whose file or array is missing says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from jinja2 import Template
from markupsafe import Markup

from undrift.data.scatter import on_plane
from undrift.files.document import Document
from undrift.json_types import JsonObject
from undrift.names import shell_line
from undrift.pipelines.diffusion.one_step import NOISE
from undrift.report.cost import duration, time_by_part
from undrift.report.curves import (
    accuracy_figure,
    evaluation_figure,
    gap_figure,
    level_figure,
    loss_figure,
    rate_figure,
)
from undrift.report.data_summary import Bar, DataSummary, image_kind
from undrift.report.figure import short
from undrift.report.gallery import (
    contact_sheet,
    denoising_frames,
    nearest_pairs,
    one_step_sheet,
    sample_gallery,
    timeline,
)
from undrift.report.gan_training import diagnostic_curves, gan_verdict, loss_curves
from undrift.report.guidance_curve import guidance_chart, scale_lines
from undrift.report.health import health_figure, health_note
from undrift.report.history import History
from undrift.report.html import source, template
from undrift.report.levels import contrast, fine_share
from undrift.report.material import ReportMaterial
from undrift.report.metric_table import metric_lines, missing_note, protocol_rows
from undrift.report.record import RunRecord
from undrift.report.sampler_curve import curve_chart
from undrift.report.sampler_table import budget_lines
from undrift.report.sensitivity import seen_tables, with_samples
from undrift.report.steps import steps_table
from undrift.report.verdict import student_verdict, verdict_of
from undrift.report.words import (
    Row,
    draws,
    flat_rows,
    gan_loss,
    model_rows,
    model_title,
    training_rows,
)
from undrift.results import EvaluationResult
from undrift.runs.directory import RunDirectory
from undrift.wording import plural

_PACKAGE = "undrift.report"

_STATES = {"done": "", "failed": "bad", "interrupted": "warn", "running": ""}
_VERDICTS = {
    "learning": "good",
    "learned": "good",
    "stuck": "bad",
    "early": "warn",
    "memorising": "warn",
    "unknown": "",
}


_TILES = ("fd", "label_accuracy", "coverage", "memorization")
"""The metrics that stand at the top of the page."""


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
    html = _template("template.html").render(
        page=_page(record, material or ReportMaterial(), f"{directory}/config.yaml"),
        style=style(),
    )
    run = RunDirectory(directory)
    run.write_text(run.report.name, html)
    return run.report


def curve_section(record: RunRecord) -> Markup:
    """The sections about samplers and guidance, between their marks; alone without a curve."""
    curve, along = record.curve, record.guidance
    measured: dict[str, object] = {"figure": None, "tables": [], "note": ""}
    if curve is not None and curve.points:
        first = curve.metrics[:1]
        measured = {
            "figure": curve_chart(curve).svg,
            "tables": [(curve.titles[name], budget_lines(curve, name)) for name in first],
            "note": curve.protocol,
        }
    guided: dict[str, object] = {"figure": None}
    if along is not None and along.points:
        guided = {
            "figure": guidance_chart(along).svg,
            "lines": scale_lines(along),
            "note": along.protocol,
        }
    return Markup(_template("samplers.html").render(curve=measured, guidance=guided).strip())


def evaluations_section(record: RunRecord) -> Markup:
    """The section of what was measured later, between its marks; if nothing was, only the marks."""
    found = [
        {
            "title": _measured_how(evaluation),
            "metrics": metric_lines(evaluation),
            "missing": missing_note(evaluation),
            "protocol": protocol_rows(evaluation),
        }
        for evaluation in record.evaluations
    ]
    return Markup(_template("evaluations.html").render(evaluations=found).strip())


def _measured_how(evaluation: EvaluationResult) -> str:
    """Sizes and sampling settings of one evaluation, in a line."""
    samples, reference = evaluation.samples.count, evaluation.reference
    held = (
        f"{plural(samples, 'sample')} against {plural(reference.count, 'image')} of "
        f"{reference.split}"
    )
    settings = [f"{name} {value}" for name, value in evaluation.sampling.items() if value]
    return ", ".join([held, *settings])


@cache
def style() -> Markup:
    """The style sheet that every page of ours has inside."""
    return Markup(source(_PACKAGE, "style.css"))


@cache
def _template(name: str) -> Template:
    return template(_PACKAGE, name)


def _page(record: RunRecord, material: ReportMaterial, config: str) -> dict[str, object]:
    history, verdict = record.history, verdict_of(record.history.main)
    gan = loss_curves(history)
    if gan is not None:
        verdict = gan_verdict(history, gan_loss(record.config))
    elif history.student_validations:
        verdict = student_verdict(history.students[-1])
    if not on_plane([int(n) for n in record.config.numbers("model", "spec", "shape") or ()]):
        verdict = with_samples(verdict, record.evaluation)
    state = _state(record)
    expected = history.expectation or Document()
    in_vain = state == "done" and expected.text("outcome") == "noise"
    lines, best = metric_lines(record.evaluation), record.evaluation.best
    sample = np.array([]) if material.samples is None else material.samples[:1]
    return {
        "title": record.name,
        "state": "done, noise expected" if in_vain else state,
        "state_tone": "warn" if in_vain else _STATES.get(state, ""),
        "expected": expected.text("sentence"),
        "lead": _lead(record),
        "tiles": _tiles(record, material),
        "backdrop": "checks" if sample.ndim == 4 and sample.shape[-1] == 4 else "",
        "samples": sample_gallery(record, material),
        "verdict": verdict,
        "verdict_tone": _VERDICTS[verdict.state],
        "levels": level_figure(history) or accuracy_figure(history),
        "levels_note": _levels_note(history),
        "gaps": gap_figure(history),
        "gaps_note": ". ".join(history.gap_sentences),
        "one_step": one_step_sheet(record),
        "losses": None if gan is not None else loss_figure(history),
        "gan": gan,
        "student": bool(history.student_validations),
        "classifier": bool(history.students) and history.students[-1].accuracies is not None,
        "watch": diagnostic_curves(history),
        "rates": rate_figure(history),
        "evaluations": evaluation_figure(history),
        "health": health_figure(history),
        "health_note": health_note(history),
        "curves_note": _curves_note(record),
        "timeline": timeline(record),
        "pairs": nearest_pairs(material),
        "pairs_missing": "Toy 2-D points coincide by chance: distances do not show copying."
        if sample.ndim == 4 and on_plane(sample.shape[1:])
        else "Nearest training images were not looked up.",
        "frames": denoising_frames(material),
        "metrics": lines,
        "best": [] if best is None else metric_lines(best),
        "best_step": None if best is None else best.step,
        "seen": seen_tables(record.evaluation),
        "metrics_missing": missing_note(record.evaluation),
        "protocol": protocol_rows(record.evaluation),
        "steps": None if record.steps is None else steps_table(record.steps),
        "later": evaluations_section(record),
        "samplers": curve_section(record),
        "data": DataSummary.of(record.data),
        "contact": contact_sheet(material),
        "model": model_rows(record.config, material.parameters),
        "training": training_rows(record.config),
        "config": flat_rows(_shareable(record.config.entries)),
        "cost": [
            Bar(part.name, part.share, f"{duration(part.seconds)}, {part.share:.0%}")
            for part in time_by_part(history, material.seconds)
        ],
        "cost_rows": _cost_rows(record, material),
        "environment": flat_rows(
            {k: v for k, v in record.environment.entries.items() if k != "command"}
        ),
        "command": shell_line(["undrift", "train", "--config", config, "--out", "runs/again"]),
        "started": _command(record.environment),
        "missing": ", ".join(record.missing),
    }


def _state(record: RunRecord) -> str:
    """State of the run; one whose last step is made is done, though its report is yet to come."""
    state = record.status.state or "state unknown"
    steps = record.config.whole("training", "steps")
    last = record.history.train[-1].step if record.history.train else None
    return "done" if state == "running" and last is not None and last == steps else state


def _lead(record: RunRecord) -> str:
    data, config = record.data, record.config
    classes = len(data.part("classes").entries)
    kind = "class-conditional" if classes > 1 and _conditional(config) else "unconditional"
    if not draws(config):
        kind = "noise-aware"
    if config.value("model", "spec", "text"):
        kind = "text-conditional"
    made = model_title(config)
    words = f"A{'n' if kind[0] == 'u' else ''} {kind} {made}"
    if shape := image_kind(data):
        words += f" of {shape} images"
    if kind in ("class-conditional", "noise-aware"):
        words += f" in {plural(classes, 'class')}"
    if train := data.whole("splits", "train"):
        words += f", trained on {train:,} of them"
    images = record.history.images
    if record.history.elapsed:
        words += f" for {duration(record.history.elapsed)}"
    if images:
        words += f", {plural(images, 'image')} seen"
    return words + "."


def _shareable(config: JsonObject) -> JsonObject:
    """``config`` without the absolute path of the images, which may name a person."""
    data = config.get("data")
    if not isinstance(data, Mapping):
        return config
    return {**config, "data": {name: one for name, one in data.items() if name != "path"}}


def _conditional(config: Document) -> bool:
    path = ("model", "spec", "class_names")
    return config.value(*path) is None or len(config.items(*path)) > 1


def _tiles(record: RunRecord, material: ReportMaterial) -> list[dict[str, str]]:
    tiles = [
        {"name": line.title, "value": line.value, "beside": line.beside}
        for line in metric_lines(record.evaluation)
        if line.key in _TILES
    ]
    seen, speeds = record.history.series("images_per_second")
    if len(seen) and len(tiles) < 4:
        speed = float(np.median(speeds))
        beside = f"{short(float(seen[-1]))} images in all"
        tiles.append({"name": "training speed", "value": f"{speed:,.0f}/s", "beside": beside})
    if material.parameters is not None and len(tiles) < 4:
        value = short(material.parameters)
        tiles.append({"name": "parameters", "value": value, "beside": "trainable"})
    return tiles


def _levels_note(history: History) -> str:
    """What the mean over noise levels hides, and where the second half changed anything."""
    if not history.main:
        return ""
    last, before = history.main[-1], history.halfway
    notes = []
    if (share := fine_share(last)) is not None and not last.in_bits:
        notes.append(
            f"Noise below {max(NOISE):g} or so decides texture and edges, and is only {share:.1%} "
            "of the mean over levels, which hides them."
        )
    found = None if before is None else contrast(before, last)
    if before is not None and found is not None:
        notes.append(
            f"From {before.images:,} to {plural(last.images, 'image')} seen, error of the weights "
            f"that samples are drawn with: {found.words()}."
        )
    return " ".join(notes)


def _curves_note(record: RunRecord) -> str:
    notes = []
    if record.history.skips:
        notes.append(
            f"{plural(record.history.skips, 'step')} skipped: loss or gradient was not finite."
        )
    if record.history.starts > 1:
        notes.append(f"The run was resumed {plural(record.history.starts - 1, 'time')}.")
    return " ".join(notes)


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
    written = sum(event.whole("bytes") or 0 for event in history.checkpoints)
    if written:
        last = history.checkpoints[-1].whole("bytes") or 0
        count = len(history.checkpoints)
        rows.append(
            ("checkpoints", f"{count} written, {short(last)}B each, {short(written)}B in all")
        )
    return rows


def _command(environment: Document) -> str:
    words = environment.items("command")
    return shell_line(map(str, words)) if words else environment.text("command")
