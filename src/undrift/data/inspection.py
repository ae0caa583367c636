"""Show what is in a data set: plain text, a sheet of its images, and its histograms."""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from undrift.advice import named, possible
from undrift.data.geometry import MODES
from undrift.data.imageset import ImageSet
from undrift.data.report import DataReport
from undrift.data.scatter import on_plane, scatter
from undrift.errors import UsageError
from undrift.files.durable import write_output
from undrift.names import printable
from undrift.wording import dimensions, plural

SHEET_COLUMNS = 12
SHEET_ROWS = 12
SHEET_POINTS = 5_000
CELL = 72
"""Smallest side of a drawn image, in pixels; small ones are enlarged by whole numbers."""

BAR = 30
SHOWN = 8
FILES = ("data.json", "inspection.txt", "contact_sheet.png", "histogram.png")
COLOURS = ("#c8102e", "#2e8b57", "#1f5fbf", "#777777")


def inspect_text(imageset: ImageSet) -> str:
    """Return what was found as plain text: no colour, no wrapping, every set-aside file named."""
    report = imageset.report
    kinds = {1: "grey", 3: "RGB", 4: "RGB and alpha"}
    lines = [
        row("data", f"{report.source} ({report.kind})"),
        row("images", f"{report.count:,} of {dimensions(*report.size)}, {kinds[report.channels]}"),
        row("splits", counts(report.splits)),
        row("found sizes", counts(report.sizes)),
        row("found kinds", counts(report.modes)),
        row("values", f"{plural(report.value_levels, 'level')}, {moments(report)}"),
    ]
    if report.captions is not None:
        lines.append(row("captions", report.captions.sentence))
    lines += class_lines(report.classes)
    lines += number_lines(report)
    lines += duplicate_lines(report)
    lines.append(row("set aside", f"{len(report.set_aside):,}" if report.set_aside else "none"))
    lines += [f"  {item.name}: {item.reason}" for item in report.set_aside]
    if report.ignored:
        lines.append(row("ignored", f"{report.ignored:,}: {counts(report.ignored_kinds)}"))
    lines += [row("note", note) for note in report.notes]
    lines += [row("warning", warning) for warning in report.warnings]
    return "\n".join(map(printable, lines))


def contact_sheet(imageset: ImageSet) -> Image.Image:
    """Draw a sheet of images: one row per class where there are classes, else a sample of all.

    Images are chosen evenly over the set; transparency is shown over a chequerboard. Points of the
    plane are drawn where they lie.
    """
    if on_plane(imageset.shape):
        points = scatter(imageset.take(evenly(np.arange(len(imageset)), SHEET_POINTS)))
        sheet = Image.new("RGB", points.size, "white")
        sheet.paste(points, mask=points)
        return sheet
    rows = sheet_rows(imageset)
    height, width, _ = imageset.shape
    zoom = max(1, -(-CELL // max(height, width)))
    cell_h, cell_w, gap = height * zoom, width * zoom, 4
    font = _font(14)
    margin = max((int(font.getlength(name)) + 16 for name, _ in rows if name), default=gap)
    columns = max(len(indices) for _, indices in rows)
    sheet = Image.new(
        "RGB",
        (margin + columns * (cell_w + gap), gap + len(rows) * (cell_h + gap)),
        "white",
    )
    draw = ImageDraw.Draw(sheet)
    for r, (name, indices) in enumerate(rows):
        top = gap + r * (cell_h + gap)
        draw.text((8, top + cell_h // 2), name, fill="black", font=font, anchor="lm")
        for c, pixels in enumerate(imageset.take(indices)):
            picture = drawable(pixels).resize((cell_w, cell_h), Image.Resampling.NEAREST)
            sheet.paste(picture, (margin + c * (cell_w + gap), top))
    return sheet


def _font(size: int) -> ImageFont.FreeTypeFont:
    """Matplotlib's own font: Pillow's has no letter beyond ASCII."""
    import matplotlib  # here, as in `histogram`

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


def histogram(imageset: ImageSet) -> Image.Image:
    """Draw how often each value occurs per channel, and how many images each class has."""
    # Imported here: drawing takes a second to import, and text needs none of it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

    report = imageset.report
    classes = imageset.class_counts()
    figure = Figure(figsize=(11 if classes else 6, 3.6), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2 if classes else 1, squeeze=False)[0]
    total = report.count * report.size[0] * report.size[1]
    labels = ["grey"] if report.channels == 1 else ["red", "green", "blue", "alpha"]
    for channel, values in enumerate(report.histogram):
        colour = "black" if report.channels == 1 else COLOURS[channel]
        share = np.array(values) / total
        axes[0].stairs(share, np.arange(257) - 0.5, color=colour, label=labels[channel])
    axes[0].set(xlabel="value", ylabel="share of pixels", yscale="log", title="values")
    axes[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes[0].yaxis.set_minor_formatter(NullFormatter())
    axes[0].legend(frameon=False)
    if classes:
        axes[1].barh(range(len(classes)), list(classes.values()), color="#1f5fbf")
        axes[1].set(xlabel="images", title="classes")
        if len(classes) <= 40:
            # a class may be called $5, which is no formula
            names = list(map(printable, classes))
            axes[1].set_yticks(range(len(classes)), names, parse_math=False)
        axes[1].invert_yaxis()
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    with warnings.catch_warnings():
        # names in scripts that the font lacks are shown as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy(), "RGB")


def write_inspection(imageset: ImageSet, out: Path) -> list[Path]:
    """Write ``data.json``, ``inspection.txt``, ``contact_sheet.png`` and ``histogram.png``.

    Returns:
        The files written.

    Raises:
        UsageError: ``out`` already holds one of them, or cannot be written.
    """
    paths = [out / name for name in FILES]
    taken = [path for path in paths if os.path.lexists(path)]
    if taken:
        raise UsageError(f"{taken[0]} is already there: give another {named('out')}")
    contents = (
        (json.dumps(imageset.report.to_json(), indent=2) + "\n").encode(),
        (inspect_text(imageset) + "\n").encode(),
        _png(contact_sheet(imageset)),
        _png(histogram(imageset)),
    )
    for path, data in zip(paths, contents, strict=True):
        write_output(path, data, durable=False)
    return paths


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def sheet_rows(imageset: ImageSet) -> list[tuple[str, NDArray[np.int64]]]:
    """Return (title, indices) for each row of the contact sheet."""
    if imageset.labels is None:
        indices = evenly(np.arange(len(imageset)), SHEET_COLUMNS * SHEET_ROWS)
        cuts = range(SHEET_COLUMNS, len(indices), SHEET_COLUMNS)
        return [("", part) for part in np.split(indices, list(cuts))]
    rows: list[tuple[str, NDArray[np.int64]]] = []
    for label, name in enumerate(imageset.class_names):
        members = np.flatnonzero(imageset.labels == label)
        if len(members):
            rows.append((printable(name)[:24], evenly(members, SHEET_COLUMNS)))
    return [rows[i] for i in evenly(np.arange(len(rows)), 2 * SHEET_ROWS)]


def evenly(items: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return at most ``count`` of the items, evenly spread."""
    count = min(count, len(items))
    return items[np.arange(count) * len(items) // max(count, 1)]


def drawable(pixels: NDArray[np.uint8]) -> Image.Image:
    """Return (H, W, C) as an RGB image, transparency over a chequerboard."""
    height, width, channels = pixels.shape
    picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels, MODES[channels])
    if channels < 4:
        return picture.convert("RGB")
    squares = (np.indices((height, width)) // 8).sum(axis=0) % 2
    board = Image.fromarray(np.where(squares, 255, 225).astype(np.uint8), "L").convert("RGB")
    board.paste(picture, mask=picture.getchannel("A"))
    return board


def row(name: str, text: str) -> str:
    """One line of the table."""
    return f"{name:<12} {text}"


def counts(numbers: Mapping[str, int]) -> str:
    """Write the first few counts on one line."""
    shown = ", ".join(f"{name} {number:,}" for name, number in list(numbers.items())[:SHOWN])
    return shown + (f", and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else "")


def moments(report: DataReport) -> str:
    """Write mean and standard deviation per channel."""
    mean = " ".join(f"{value:.1f}" for value in report.mean)
    std = " ".join(f"{value:.1f}" for value in report.std)
    return f"mean {mean}, std {std} of 255"


def class_lines(classes: Mapping[str, int]) -> list[str]:
    """A bar chart of the classes in text."""
    if not classes:
        return [row("classes", "none")]
    longest = max(len(name) for name in classes)
    most = max(classes.values()) or 1
    bars = [
        f"  {name:<{longest}} {number:>7,} {'#' * round(BAR * number / most)}".rstrip()
        for name, number in classes.items()
    ]
    return [row("classes", f"{len(classes):,}"), *bars]


def number_lines(report: DataReport) -> list[str]:
    """The columns of numbers with their ranges, and how to train on them."""
    if not report.numeric:
        return []
    some = list(report.numeric)[:SHOWN]
    found = ", ".join(
        f"{name} from {low:g} to {high:g}"
        for name, (low, high) in ((name, report.numeric[name]) for name in some)
    )
    more = f", and {len(report.numeric) - SHOWN} more" if len(report.numeric) > SHOWN else ""
    varied = [name for name, (low, high) in report.numeric.items() if low < high]
    hint = ""
    if varied and not report.numbers:
        hint = possible(f"; {{numbers}} {varied[0]} conditions on it", "")
    return [row("numbers", f"{found}{more}{hint}")]


def duplicate_lines(report: DataReport) -> list[str]:
    """Copies and the first names among them."""
    found = report.duplicates
    if not found.extra:
        return [row("duplicates", "none")]
    copies = f"{plural(found.extra, 'copy')} in {plural(found.groups, 'group')}"
    lines = [row("duplicates", copies)]
    lines += [f"  {' = '.join(names)}" for names in found.examples]
    if found.straddling:
        lines.append(f"  {plural(found.straddling, 'held-out image')} also trained on")
    return lines
