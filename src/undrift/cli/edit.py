"""``undrift edit RUN``: vary images, inpaint parts of them, or restore what was measured."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from undrift.cli.console import command_line, following, make_console, progress
from undrift.cli.destination import check_unfinished, folder_of
from undrift.cli.flags import (
    at_least,
    family_settings,
    finite,
    numbered,
    parse,
    refuse_empty,
    repeated,
)
from undrift.cli.inpaint import (
    BESIDE,
    SHOWN,
    EditingFlags,
    Inpaint,
    conditions_of,
    counted,
    inpaint,
    labels_of,
    opened,
    warning_lines,
)
from undrift.cli.spread import (
    SPREAD,
    calibrated,
    check_interval,
    covered,
    random_rows,
    refuse_several,
    write_spread,
)
from undrift.errors import UsageError
from undrift.files.destination import writable_folder
from undrift.options.train import flag
from undrift.wording import images_of, plural

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from undrift.pipelines import Samples

MISSED = 1.0
"""Pixel values by which an inversion may miss an image without a warning."""

SETTINGS = (
    *("operator", "strength", "like", "noise", "method", "iterations"),
    *("steps", "sampler", "guidance"),
)
"""Flags that are settings of some families."""


@dataclass(frozen=True, kw_only=True)
class Edit(EditingFlags):
    """Make images from images: others like them, or what a masked, blurred or small one was.

    No model is trained for it. One of --strength, --like, --operator and --mask says what to do.

    Attributes:
        data: images to edit: any DATA that `undrift train` takes; by default the held-out images of
            the run's own data.
        strength: vary each image: share of the trajectory to noise that it is taken back before it
            is sampled anew, from 0 (it stays) to 1 (nothing is left of it).
        like: others near each image: share, from 0 (it stays) to 1, of new noise in the noise that
            the image would be drawn from, which is computed first.
        mask: inpaint a part of each image, as `undrift inpaint` does: top, bottom, left, right,
            center, or a picture of the images' size in which white is what is inpainted.
        operator: restore each image: what was done to it, as blur:2 (width in pixels), downsample:4
            (factor), quantise:8 (levels of brightness) or grey; a linear function of
            your own, module:function, whose code is run. DATA are taken as they are, in the
            size that the operator makes; the run's own images are put through it first.
        self_check: draw so many images of the model itself, at least 20, put them through the
            operator or mask, restore them, and test whether the results are spread as they should
            be: a p-value for this method and number of steps. DATA are not needed.
        measure: put DATA through the operator first, too; prints how near the results come.
        interval: of the operator or mask: also write bounds of every pixel that hold so many of
            the pixels of a new image on average, as 0.9, calibrated on up to 100 other
            held-out images, which are restored under the same condition: one label, prompt and
            value of each number, or --labels given. Both are drawn from the split at random, by
            --seed.
        noise: of the operator: standard deviation of the error of pixels, in pixel values from 0 to
            255.
        method: of the operator or mask: moments (the default), pigdm or dps, which pass back
            through the network; ddnm or diffpir, which do not; of a mask also repaint.
        iterations: of moments: passes back through the network for each evaluation, 4 by default.
        variants: how many are made of each.
        numbers: numbers to condition on, as angle=0.3.
        steps: twice the model's own by default, before --strength takes its share of them.
        sampler: the model's own by default; of an operator ddpm.
        guidance: classifier-free guidance towards labels, the prompt and numbers.
        seed: of the noise, and with --interval of the choice of images.
        batch_size: images computed at once; None picks.
        out: the folder to write; RUN/edited/SEED-N-KEY by default, where KEY stands for the other
            settings; edited/SEED-N-KEY for a pipeline that is in no run.
    """

    data: Annotated[
        tyro.conf.Positional[str | None],
        tyro.conf.arg(name="DATA", metavar="DATA", help_behavior_hint=""),
    ] = None
    strength: float | None = None
    like: float | None = None
    mask: str | None = None
    operator: str | None = None
    self_check: int | None = None
    measure: bool = False
    interval: float | None = None
    noise: float | None = None
    method: Literal["moments", "pigdm", "dps", "ddnm", "diffpir", "repaint"] | None = None
    iterations: int | None = None
    variants: int = 4
    numbers: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="NAME=NUMBER [NAME=NUMBER ...]", help_behavior_hint=""),
    ] = ()
    steps: int | None = None
    sampler: str | None = None
    guidance: float | None = None
    seed: int = 0
    batch_size: int | None = None
    out: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        tasks = (self.strength, self.like, self.operator, self.mask)
        if sum(task is not None for task in tasks) != 1:
            raise UsageError(
                "edit: give one of --strength, as 0.6, --like, as 0.3, --operator, as blur:2, and "
                "--mask, as left"
            )
        if self.interval is not None:
            check_interval(self.variants, self.maps)
        for name in ("measure", "noise", "method", "iterations", "interval"):
            masked = name in ("method", "interval") and self.mask is not None
            if self.operator is None and not masked and getattr(self, name) not in (None, False):
                raise UsageError(f"--{name}: it belongs to --operator; leave it out")
        at_least("self_check", self.self_check, 20)
        if self.self_check is not None and (
            self.strength is not None or self.like is not None or self.data is not None
        ):
            raise UsageError(
                "--self-check: it goes with --operator or --mask, without DATA: the images are the "
                "model's own"
            )
        for name in ("measure", "interval", "n", "split", "maps"):
            if self.self_check is not None and getattr(self, name) != getattr(Edit, name):
                raise UsageError(f"{flag(name)}: it does not go with --self-check; leave it out")
        if self.method == "repaint" and self.mask is None:
            raise UsageError("--method repaint: it belongs to --mask; name another")
        for name in ("n", "variants", "steps", "iterations", "batch_size"):
            at_least(name, getattr(self, name), 1)
        at_least("seed", self.seed, 0)
        for name in ("strength", "like", "noise", "interval", "guidance"):
            finite(name, getattr(self, name))


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, edit, and write the images and a picture that shows them side by side.

    Raises:
        UsageError: a bad flag, images that do not fit, or an ``--out`` that holds samples.
        DataError: images that cannot be read.
        ModelFileError: no model there, or a damaged one.
    """
    flags = parse(Edit, "edit", arguments)
    console = make_console(quiet=flags.quiet)
    refuse_empty(
        flags,
        arguments,
        labels="one name or more, all, or given",
        prompt="one text or more",
        numbers="one NAME=NUMBER or more",
        maps="one NAME=PATH or more",
        adapter="one run or more",
    )
    out = folder_of(flags, "edited") if flags.out is None else Path(flags.out)
    if flags.self_check is not None:
        _check_method(flags, out, command_line("edit", arguments))
        console.print(following("undrift", "edit", *_next(flags)))
        return
    if flags.mask is not None:
        inpaint(_inpainting(flags), out, command_line("edit", arguments))
        console.print(following("undrift", "edit", *_next(flags)))
        return
    check_unfinished(out)
    writable_folder("--out", out)

    import numpy as np

    import undrift.data
    from undrift.data.findings import finding_lines
    from undrift.evaluation.target import load_for, part_of
    from undrift.files.document import Document
    from undrift.pipelines import SampleFolder, image_grid
    from undrift.pipelines.numbers import OutOfRangeWarning, parse_numbers
    from undrift.pipelines.png import encode_png
    from undrift.runs.images import refuse_runs

    numbers = parse_numbers(flags.numbers) if flags.numbers else None
    target, pipeline = opened(flags)
    if pipeline.editing is None:
        raise UsageError(f"{flags.target}: {pipeline.noun} cannot edit images")
    settings = family_settings(pipeline.editing, flags, SETTINGS, pipeline.noun)
    as_they_are = flags.operator is not None and flags.data is not None and not flags.measure
    if as_they_are:
        source = flags.data or ""
        refuse_runs(source)
        data = undrift.data.load(source, holdout=0)
    else:
        data, source = load_for(target, flags.data)
    split, part = part_of(data, source, flags.split)
    rows, known, others = np.arange(min(flags.n, len(part))), part, None
    if flags.interval is not None:
        refuse_several(flags.labels, flags.prompt, numbers, pipeline.spec.class_names)
        if as_they_are:
            known = part_of(load_for(target, None)[0], "", flags.split)[1]
        order = random_rows(len(known), flags.seed)
        rows, others = (rows, order) if as_they_are else (order[: flags.n], order[flags.n :])
    truth = part.take(rows)
    images: NDArray[np.uint8] | NDArray[np.float32] = truth
    if flags.operator is not None and not as_they_are:
        images = _measured(truth, flags.operator, flags.noise or 0.0, flags.seed)
    console.print(f"{source}: {len(images):,} of {images_of(split, len(part))}")
    for line in (
        *finding_lines(data.report),
        *warning_lines(flags, numbers, pipeline, len(images)),
    ):
        console.print(line)
    command = command_line("edit", arguments)
    total = len(images) * flags.variants
    given = {
        "variants": flags.variants,
        **conditions_of(flags, numbers, pipeline),
        "batch_size": flags.batch_size,
        **settings,
    }
    scale, record = None, {}

    def restored(rows: NDArray[np.int64]) -> Samples:
        measured = _measured(
            known.take(rows), flags.operator or "", flags.noise or 0.0, flags.seed + 1
        )
        labels = labels_of(flags.labels, pipeline, known, rows)
        return pipeline.edit(measured, labels=labels, seed=flags.seed + 1, **given)

    if others is not None:
        with warnings.catch_warnings(action="ignore", category=OutOfRangeWarning):  # printed above
            coverage = flags.interval or 0.0
            scale, others = calibrated(known, others, coverage, flags.variants, restored)
        record = {"rows": rows, "calibration_rows": others}
        owner = flags.target if as_they_are else source
        console.print(
            f"bounds are calibrated on {plural(len(others), 'image')} of {owner}: they hold for "
            "images like these"
        )
    with (
        SampleFolder(out, command, total, pipeline.fingerprint, (BESIDE, *SPREAD)) as folder,
        progress(console, "editing") as show,
        warnings.catch_warnings(action="ignore", category=OutOfRangeWarning),  # printed above
    ):
        edited = pipeline.edit(
            images,
            labels=labels_of(flags.labels, pipeline, part, rows),
            seed=flags.seed,
            on_progress=counted(show),
            **given,
        )
        folder.add(edited)
        picture = image_grid(_beside(images, edited), columns=1 + flags.variants)
        folder.write(BESIDE, encode_png(picture, {"command": command}))
        bounds = None
        if flags.variants > 1:
            bounds = write_spread(folder, edited, flags.variants, scale, record)
        folder.close()
    cost = f"{edited.nfe:.4g} network evaluations each"
    console.print(f"{plural(len(edited), 'image')} in {edited.seconds:.1f} s, {cost}")
    if flags.operator is not None and not as_they_are:
        console.print(_nearness(truth, edited))
        if bounds is not None and flags.interval is not None:
            console.print(covered(truth, bounds, flags.interval))
    if flags.like:
        missed = Document(entries=edited.settings).number("inversion_error") or 0.0
        console.print(
            f"the noise of an image leads back to it within {missed:.2g} of 255 (root mean square, "
            "the worst image)"
        )
        if missed > MISSED:
            console.print(
                "warning: results differ from the images by this much beside --like; give more "
                "--steps"
            )
    console.print(f"wrote {out / BESIDE}")
    console.print(following("undrift", "edit", *_next(flags)))


def _check_method(flags: Edit, out: Path, command: str) -> None:
    """Test the method on images of the model, say what was found, and write it."""
    path = out / "self-check.json"
    if path.exists():
        raise UsageError(f"--out {out}: it holds {path.name} already; name another folder")
    writable_folder("--out", out)

    from undrift.evaluation.saving import json_bytes
    from undrift.evaluation.self_calibration import self_calibrate
    from undrift.files.durable import write_output
    from undrift.pipelines.labels import parse_labels
    from undrift.pipelines.masks import read_mask
    from undrift.pipelines.numbers import parse_numbers

    console = make_console(quiet=flags.quiet)
    target, pipeline = opened(flags)
    classes = pipeline.spec.class_names
    if flags.labels == ("given",) and "given" not in classes:
        raise UsageError(
            "--labels given: the images of --self-check are the model's own and have none; name "
            "classes, or leave them open"
        )
    if pipeline.editing is None:
        raise UsageError(f"{flags.target}: {pipeline.noun} cannot edit images")
    kind = pipeline.editing if flags.mask is None else pipeline.inpainting or pipeline.editing
    names = [name for name in SETTINGS if name not in ("operator", "noise")]
    settings = family_settings(kind, flags, names, pipeline.noun)
    height, width = pipeline.spec.image_shape[1:]
    found = self_calibrate(
        target,
        operator=flags.operator,
        mask=None if flags.mask is None else read_mask(flags.mask, height, width),
        noise=flags.noise or 0.0,
        n=flags.self_check or 0,
        variants=flags.variants,
        seed=flags.seed,
        batch_size=flags.batch_size,
        labels=parse_labels(flags.labels, classes),
        prompts=list(flags.prompt) or None,
        numbers=parse_numbers(flags.numbers) if flags.numbers else None,
        **settings,
    )
    console.print(found.sentence)
    for name, part in found.parts.items():
        console.print(
            f"  {name}: p = {part.p_value:.2g}, shift {part.shift:+.1f}, spread {part.spread:+.1f}"
        )
    if found.warning is not None:
        console.print(f"warning: {found.warning}")
    found = replace(
        found,
        weights=flags.weights if flags.ema is None else f"ema {flags.ema}",
        mask=flags.mask,
        command=command,
    )
    write_output(path, json_bytes(found))
    console.print(f"wrote {path}")


def _inpainting(flags: Edit) -> Inpaint:
    """The same flags of ``undrift inpaint``."""
    return Inpaint.from_options(flags)


def _next(flags: Edit) -> list[str]:
    """The words that edit the same anew."""
    seed = flags.seed + 1
    return repeated(flags, Edit, seed=seed, out=numbered(flags.out, flags.seed, seed))


def _measured(
    images: NDArray[np.uint8], operator: str, noise: float, seed: int
) -> NDArray[np.float32]:
    """What the operator makes of images (N, H, W, C), with noise; neither rounded nor clipped."""
    import torch

    from undrift.randomness import generator
    from undrift.sampling.inverse import measured, parse_operator

    made = parse_operator(operator)
    _, height, width, channels = images.shape
    made.measurement_shape((channels, height, width))
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float()
    y = measured(made, pixels)
    y = y + noise * torch.randn(y.shape, generator=generator(seed, "measurement"))
    return y.permute(0, 2, 3, 1).contiguous().numpy()


def _nearness(truth: NDArray[np.uint8], edited: Samples) -> str:
    """PSNR of single results and of the mean over the variants of an image."""
    import numpy as np

    each = edited.images.reshape(len(truth), -1, *truth.shape[1:]).astype(np.float64)
    found = {
        "one result": np.square(each - truth[:, None]).mean(),
        "the mean of an image's results": np.square(each.mean(1) - truth).mean(),
    }
    words = [
        f"{name} {20 * np.log10(255) - 10 * np.log10(error):.2f} dB" if error else f"{name} exact"
        for name, error in found.items()
    ]
    return f"PSNR to the images before the operator: {', '.join(words)}"


def _beside(images: NDArray[np.uint8] | NDArray[np.float32], edited: Samples) -> NDArray[np.uint8]:
    """Rows of what was given, in the results' size and range, and its results.

    Sides are stretched each by itself, to the nearest pixel; of other channels than the results'
    the mean is shown.
    """
    import numpy as np

    made = edited.images.reshape(len(images), -1, *edited.images.shape[1:])[:SHOWN]
    some = images[:SHOWN].clip(0, 255)
    if some.shape[3] != made.shape[4]:
        some = some.mean(3, keepdims=True)
    height, width = made.shape[2:4]
    rows = np.arange(height) * some.shape[1] // height
    columns = np.arange(width) * some.shape[2] // width
    some = some.round().astype(np.uint8)[:, rows][:, :, columns]
    some = np.broadcast_to(some, (len(some), *made.shape[2:]))
    return np.concatenate([some[:, None], made], axis=1).reshape(-1, *made.shape[2:])
