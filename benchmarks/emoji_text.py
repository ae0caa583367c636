"""Text to image on 1,906 emoji, trained from scratch: do images follow prompts?

    python benchmarks/emoji_text.py data emoji32            # the data, whole compositions held out
    undrift train emoji32 --text --size 32 --holdout 0.1 --budget 45m --out runs/emoji
    python benchmarks/emoji_text.py measure emoji32 runs/emoji
    python benchmarks/emoji_text.py picture runs/emoji docs/images/emoji-prompts.png

The first command copies the emoji without skin tones of ``$UNDRIFT_DATA/emoji`` into ``train/`` and
``test/``. The test split holds whole combinations of a colour with a thing and of a person with an
activity, whose parts are in other captions. ``measure`` draws from captions with guidance 4
and looks each image's caption up among 100 (`undrift.metrics.retrieval`), with an image-text model
of the training pairs; real pairs and chance stand beside it. The images of one caption are not
independent: where there are several of each, the interval is of a bootstrap over captions. All goes
into ``results/emoji-text.json``, or that of another ``--name``. ``picture`` draws one image of each
of `SHOWN`, the first half training captions, the second held-out ones.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from record import conditions, write

from undrift.data import ImageSet, load
from undrift.data.channels import WHITE, narrowed
from undrift.metrics.retrieval import ImageTextModel, fit_image_text, retrieval
from undrift.metrics.wilson import wilson_interval
from undrift.pipelines import Pipeline
from undrift.runs.directory import RunDirectory

COLOURS = (
    *("green apple", "blue heart", "green heart", "orange heart", "orange book", "blue circle"),
    *("green circle", "brown circle", "yellow square", "purple square"),
)
ACTIVITIES = (
    *("surfing", "golfing", "biking", "climbing", "juggling", "bowing", "shrugging", "walking"),
    *("swimming", "rowing boat", "with white cane", "in tuxedo", "red hair", "facepalming"),
    "cartwheeling",
)
PEOPLE = ("man", "woman", "person")
SHOWN = (
    *(
        "red apple",
        "red heart",
        "orange square",
        "grinning face",
        "crying face",
        "three o\u2019clock",
    ),
    *("flag Japan", "full moon", "soccer ball", "evergreen tree", "banana"),
    "person surfing",
    *COLOURS,
    *("woman golfing", "man climbing"),
)
COLUMNS, ZOOM, LINE = 6, 3, 18
"""Of the picture: images in a row, their enlargement, and pixels for a line of text."""

OFFERED, GUIDANCE, EACH = 100, 4.0, 8
"""Captions offered, guidance scale, and images per held-out caption."""

RESAMPLED = 10_000
"""Bootstrap samples of the captions."""


def make_data(out: Path) -> None:
    """Write ``out/train`` and ``out/test``."""
    source = Path(os.environ["UNDRIFT_DATA"]) / "emoji"
    held_out = set(COLOURS)
    for i, activity in enumerate(ACTIVITIES):
        who = PEOPLE[i % len(PEOPLE)]
        held_out |= {f"{who} {activity}", f"{who}: {activity}"}
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for line in (source / "metadata.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["skin_tone"]:
            continue
        split = "test" if row["name"] in held_out else "train"
        place = out / split / row["file_name"]
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / row["file_name"], place)
        lines[split].append(json.dumps({"file_name": row["file_name"], "text": row["text"]}))
    for split, rows in lines.items():
        (out / split / "metadata.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


def pairs(data: ImageSet) -> tuple[NDArray[np.uint8], list[str]]:
    """Images on white, one of each caption, and their captions."""
    captions = [texts[0] for texts in data.captions or ()]
    rows = np.array(sorted({caption: i for i, caption in enumerate(captions)}.values()))
    return narrowed(data.take(rows), 3, WHITE), [captions[row] for row in rows]


def measure(source: Path, run: Path, name: str) -> None:
    """Retrieval of drawn and of real images, on training and on held-out captions."""
    data = load(source, size=32, holdout=0.1)
    images, captions = pairs(data.split("train"))
    model = fit_image_text(images, captions, steps=1000)
    pipeline = Pipeline.from_pretrained(RunDirectory(run).pipeline)
    chosen = np.random.default_rng(0).permutation(len(captions))[:OFFERED]
    known = [captions[i] for i in chosen]
    result = conditions()
    result["training captions"] = rows(model, pipeline, images[chosen], known, known, 1)
    real, held_out = pairs(data.split("test"))
    offered = [*held_out, *known[: OFFERED - len(held_out)]]
    result["held-out compositions"] = rows(model, pipeline, real, held_out, offered, EACH)
    write(name, result)


def draw_picture(run: Path, out: Path) -> None:
    """Write a sheet of the images of `SHOWN`, each above its prompt, without choosing among any."""
    pipeline = Pipeline.from_pretrained(RunDirectory(run).pipeline)
    prompts = [f"an emoji of {name}" for name in SHOWN]
    samples = pipeline(len(prompts), prompts=prompts, guidance=GUIDANCE, seed=0)
    side = ZOOM * samples.images.shape[1]
    width, height = side + 12, side + LINE + 10
    sheet = Image.new("RGB", (COLUMNS * width, -(-len(SHOWN) // COLUMNS) * height), "white")
    pen = ImageDraw.Draw(sheet)
    for i, pixels in enumerate(narrowed(samples.images, 3, WHITE)):
        left, top = i % COLUMNS * width + 6, i // COLUMNS * height + 4
        sheet.paste(
            Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST), (left, top)
        )
        middle = (left + side // 2, top + side + LINE // 2)
        pen.text(middle, SHOWN[i], fill="black", font=ImageFont.load_default(11), anchor="mm")
    sheet.save(out)


def rows(
    model: ImageTextModel,
    pipeline: Pipeline,
    real: NDArray[np.uint8],
    captions: Sequence[str],
    offered: Sequence[str],
    each: int,
) -> dict[str, Any]:
    """Top 1 and top 5 of drawn images, ``each`` of every caption, and of real ones."""
    prompts = list(captions) * each
    samples = pipeline(len(prompts), prompts=prompts, guidance=GUIDANCE, seed=0)
    drawn = narrowed(samples.images, 3, WHITE)
    found: dict[str, Any] = {"captions": list(captions), "offered": len(offered)}
    for kind, images in (("drawn", drawn), ("real", real)):
        for k in (1, 5):
            row = {"images": len(images), "chance": k / len(offered)}
            row |= share(model, images, captions, offered, k)
            found[f"{kind} top-{k}"] = row
            print(kind, k, row["value"], row["low"], row["high"], flush=True)
    return found


def share(
    model: ImageTextModel,
    images: NDArray[np.uint8],
    captions: Sequence[str],
    offered: Sequence[str],
    k: int,
) -> dict[str, Any]:
    """Share of hits with a 95 % interval, and that of each caption; image i is of caption i mod K.

    Wilson's interval of one image for each caption, else of a bootstrap over captions.
    """
    count = len(captions)
    shares = np.array(
        [
            retrieval(
                *(model, images[i::count], [caption] * (len(images) // count), offered, k)
            ).value
            for i, caption in enumerate(captions)
        ]
    )
    if len(images) == count:
        low, high = wilson_interval(float(shares.sum()), count)
    else:
        low, high = bootstrap(shares)
    value = float(shares.mean())
    return {"value": value, "low": low, "high": high, "of_each_caption": shares.tolist()}


def bootstrap(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the mean, by resampling ``values``."""
    chosen = np.random.default_rng(0).integers(0, len(values), (RESAMPLED, len(values)))
    low, high = np.percentile(values[chosen].mean(1), (2.5, 97.5))
    return float(low), float(high)


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("data")
    made.add_argument("out", type=Path)
    measured = commands.add_parser("measure")
    measured.add_argument("source", type=Path)
    measured.add_argument("run", type=Path)
    measured.add_argument("--name", default="emoji-text", help="of the result")
    drawn = commands.add_parser("picture")
    drawn.add_argument("run", type=Path)
    drawn.add_argument("out", type=Path)
    given = parser.parse_args()
    if given.command == "data":
        make_data(given.out)
    elif given.command == "picture":
        draw_picture(given.run, given.out)
    else:
        measure(given.source, given.run, given.name)


if __name__ == "__main__":
    main()
