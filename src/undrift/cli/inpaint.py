"""``undrift inpaint RUN``: inpaint masked regions of images."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from undrift.cli.console import command_line, following, make_console, progress
from undrift.cli.destination import check_unfinished, folder_of
from undrift.cli.flags import (
    ProcessFlags,
    at_least,
    family_settings,
    finite,
    numbered,
    parse,
    refuse_empty,
    repeated,
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
from undrift.options.options import WeightsOptions
from undrift.wording import images_of, plural

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from undrift.data import ImageSet
    from undrift.evaluation.target import Target
    from undrift.pipelines import Labels, Pipeline, Progress, Samples
    from undrift.pipelines.numbers import GivenNumbers
    from undrift.pipelines.request import Keywords

SETTINGS = (
    *("method", "steps", "sampler", "guidance", "resample", "jump"),
    *("iterations", "seconds"),
)
"""Flags that are settings of some families."""

BESIDE = "beside.png"
SHOWN = 16
"""Images of ``beside.png`` at most."""

_HIDDEN = 128  # grey


@dataclass(frozen=True, kw_only=True)
class EditingFlags(ProcessFlags, WeightsOptions):
    """Flags of commands that make images from images.

    Attributes:
        target: a run (runs/NAME or runs/latest), or a folder that save_pretrained wrote.
        n: how many images, the first ones; with --interval chosen at random.
        split: part of the data; test, else validation, else all of it.
        labels: class names, or indices where no class is called by a number, which the model is
            conditioned on; image i gets entry i modulo their count. `given` is the data's own.
            Without it the class is left open.
        prompt: what images are to show, of a model of texts; image i gets text i modulo their
            count.
        maps: maps of a model trained with --map, as mask=FILE or mask=FOLDER; of a folder, image i
            gets map i modulo their count. edges@PICTURE derives the map from a picture.
        adapter: low-rank adapters of RUN that are added to its weights, as runs/style:0.7; the
            weight is 1 by default.
    """

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="RUN", metavar="RUN")]
    adapter: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="DIR[:WEIGHT] [...]", help_behavior_hint="")
    ] = ()
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 8
    split: Literal["test", "validation", "train"] | None = None
    labels: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ()
    prompt: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="TEXT [TEXT ...]", help_behavior_hint="")
    ] = ()
    maps: Annotated[
        tuple[str, ...],
        tyro.conf.arg(name="map", metavar="NAME=PATH [NAME=PATH ...]", help_behavior_hint=""),
    ] = ()


@dataclass(frozen=True, kw_only=True)
class Inpaint(EditingFlags):
    """Inpaint masked regions of images, several times each; the rest stays as it is.

    A diffusion model was never trained for it. A GAN searches for latents whose images agree with
    what is to be seen, for as long as it is given.

    Attributes:
        data: images to inpaint: any DATA that `undrift train` takes; by default the held-out
            images of the run's own data.
        mask: top, bottom, left, right or center; or a picture of the images' size in which white
            is what is inpainted.
        variants: completions of each image; of two or more mean and standard deviation are written.
        numbers: numbers of a model trained with --numbers, as angle=0.3; of several values, as
            angle=0,0.5,1, image i gets value i modulo their count. What is left out is left open.
        interval: also write bounds of every inpainted pixel that hold so many of those of a new
            image on average, as 0.9, calibrated on up to 100 other held-out images under the
            same mask and condition: one label, prompt and value of each number, or --labels given.
            Both are drawn from the split at random, by --seed.
        method: of a diffusion model: moments expects the known pixels at every step, and passes
            back through the network, as pigdm and dps do; ddnm and diffpir need no pass back;
            repaint puts the pixels back after every step and repeats steps.
        steps: of a diffusion model; twice the model's own by default.
        sampler: of a diffusion model, ddpm by default.
        guidance: of a diffusion model: classifier-free guidance towards labels, the prompt
            and numbers.
        resample: of repaint: how often a run of steps is made, 5 by default.
        jump: of repaint: the steps of a run, 1 by default.
        iterations: of a GAN: steps of the search, 100 by default.
        seconds: of a GAN: time for all of it, in place of iterations.
        seed: of the initial noise, and with --interval of the choice of images.
        batch_size: completions computed at once; None picks.
        out: the folder to write; RUN/inpainted/SEED-N-KEY by default, where KEY stands for the
            other settings; inpainted/SEED-N-KEY for a pipeline that is in no run.
    """

    data: Annotated[
        tyro.conf.Positional[str | None],
        tyro.conf.arg(name="DATA", metavar="DATA", help_behavior_hint=""),
    ] = None
    mask: str | None = None
    variants: int = 4
    numbers: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME=X [NAME=X ...]", help_behavior_hint="")
    ] = ()
    interval: float | None = None
    method: Literal["moments", "repaint", "pigdm", "dps", "ddnm", "diffpir"] | None = None
    steps: int | None = None
    sampler: str | None = None
    guidance: float | None = None
    resample: int | None = None
    jump: int | None = None
    iterations: int | None = None
    seconds: float | None = None
    seed: int = 0
    batch_size: int | None = None
    out: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask is None:
            raise UsageError(
                "--mask: say what to inpaint, as top, bottom, left, right, center or a picture in "
                "which it is white"
            )
        if self.interval is not None:
            check_interval(self.variants, self.maps)
        for flag in ("n", "variants", "steps", "resample", "jump", "batch_size"):
            at_least(f"--{flag.replace('_', '-')}", getattr(self, flag), 1)
        at_least("--iterations", self.iterations, 0)
        at_least("--seed", self.seed, 0)
        finite("--guidance", self.guidance)
        finite("--seconds", self.seconds)
        finite("--interval", self.interval)


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, inpaint, and write completions and a picture of them side by side.

    Raises:
        UsageError: a bad flag, a mask that does not fit, or an ``--out`` that holds samples.
        DataError: images or a mask that cannot be read.
        ModelFileError: no model there, or a damaged one.
    """
    flags = parse(Inpaint, "inpaint", arguments)
    refuse_empty(
        flags,
        arguments,
        labels="one name or more, all, or given",
        prompt="one text or more",
        numbers="one NAME=NUMBER or more",
        maps="one NAME=PATH or more",
        adapter="one run or more",
    )
    place = folder_of(flags, "inpainted")
    out = place if flags.out is None else Path(flags.out)
    inpaint(flags, out, command_line("inpaint", arguments))
    make_console(quiet=flags.quiet).print(following("undrift", "inpaint", *_next(flags)))


def inpaint(flags: Inpaint, out: Path, command: str) -> None:
    """Inpaint images, and write completions and a picture of them side by side.

    Args:
        flags: the flags.
        out: the folder to write.
        command: that repeats it, for the record.

    Raises:
        UsageError: a mask that does not fit, or an ``out`` that holds samples.
        DataError: images or a mask that cannot be read.
        ModelFileError: no model there, or a damaged one.
    """
    console = make_console(quiet=flags.quiet)
    check_unfinished(out)
    writable_folder("--out", out)

    import numpy as np

    from undrift.data.findings import finding_lines
    from undrift.evaluation.target import load_for, part_of
    from undrift.pipelines import SampleFolder, image_grid
    from undrift.pipelines.masks import read_mask
    from undrift.pipelines.numbers import OutOfRangeWarning, parse_numbers
    from undrift.pipelines.png import encode_png

    numbers = parse_numbers(flags.numbers) if flags.numbers else None
    subject, pipeline = opened(flags)
    height, width, _ = subject.shape
    mask = read_mask(flags.mask or "", height, width)
    data, source = load_for(subject, flags.data)
    split, part = part_of(data, source, flags.split)
    rows, others = np.arange(min(flags.n, len(part))), None
    if flags.interval is not None:
        refuse_several(flags.labels, flags.prompt, numbers, pipeline.spec.class_names)
        order = random_rows(len(part), flags.seed)
        rows, others = order[: flags.n], order[flags.n :]
    images = part.take(rows)
    console.print(f"{source}: {len(images):,} of {images_of(split, len(part))}")
    for line in (
        *finding_lines(data.report),
        *warning_lines(flags, numbers, pipeline, len(images)),
    ):
        console.print(line)
    given = {
        "variants": flags.variants,
        **conditions_of(flags, numbers, pipeline),
        "batch_size": flags.batch_size,
        **_settings(pipeline, flags),
    }

    def completed(rows: NDArray[np.int64]) -> Samples:
        labels = labels_of(flags.labels, pipeline, part, rows)
        return pipeline.inpaint(part.take(rows), mask, labels=labels, seed=flags.seed + 1, **given)

    scale, record = None, {}
    if others is not None:
        with warnings.catch_warnings(action="ignore", category=OutOfRangeWarning):  # printed above
            coverage = flags.interval or 0.0
            scale, others = calibrated(part, others, coverage, flags.variants, completed, mask)
        record = {"rows": rows, "calibration_rows": others}
        console.print(
            f"bounds are calibrated on {plural(len(others), 'image')} of {source}: they hold for "
            "images like these"
        )
    total = len(images) * flags.variants
    with (
        SampleFolder(out, command, total, pipeline.fingerprint, (BESIDE, *SPREAD)) as folder,
        progress(console, "inpainting") as show,
        warnings.catch_warnings(action="ignore", category=OutOfRangeWarning),  # printed above
    ):
        inpainted = pipeline.inpaint(
            images,
            mask,
            labels=labels_of(flags.labels, pipeline, part, rows),
            seed=flags.seed,
            on_progress=counted(show),
            **given,
        )
        folder.add(inpainted)
        picture = image_grid(_beside(images, mask, inpainted), columns=2 + flags.variants)
        folder.write(BESIDE, encode_png(picture, {"command": command}))
        bounds = None
        if flags.variants > 1:
            bounds = write_spread(folder, inpainted, flags.variants, scale, record, mask)
        folder.close()
    cost = f"{inpainted.nfe:.4g} network evaluations each"
    console.print(f"{plural(len(inpainted), 'completion')} in {inpainted.seconds:.1f} s, {cost}")
    if bounds is not None and flags.interval is not None:
        console.print(covered(images, bounds, flags.interval, mask))
    console.print(f"wrote {out / BESIDE}")


def conditions_of(
    flags: EditingFlags, numbers: GivenNumbers | None, pipeline: Pipeline
) -> Keywords:
    """Prompts, numbers and maps, by the arguments of a pipeline that take them.

    Raises:
        UsageError: maps that the model does not take.
        DataError: a map that cannot be read.
    """
    from undrift.pipelines.maps import read_maps

    return {
        "prompts": list(flags.prompt) or None,
        "numbers": numbers,
        "maps": read_maps(flags.maps, pipeline.spec) or None,
    }


def opened(flags: EditingFlags) -> tuple[Target, Pipeline]:
    """The target and its pipeline, with the weights, device and threads of ``flags``.

    Raises:
        UsageError: samples, which have no pipeline.
        ModelFileError: no model there, or a damaged one.
    """
    import torch

    from undrift.evaluation.target import open_target
    from undrift.runs.device import choose_device
    from undrift.runs.loading import load_adapters

    if flags.threads is not None:
        torch.set_num_threads(flags.threads)
    found = open_target(flags.target, ema=flags.ema, weights=flags.weights)
    if found.pipeline is None:
        raise UsageError(f"{flags.target}: these are samples; name a run or a pipeline")
    pipeline = load_adapters(found.pipeline, flags.adapter)
    return found, pipeline.to(choose_device(flags.device))


def warning_lines(
    flags: EditingFlags, numbers: GivenNumbers, pipeline: Pipeline, n: int
) -> list[str]:
    """Numbers out of the range of the training data, and notes on the maps of ``n`` images."""
    from undrift.pipelines.maps import map_files, map_notes
    from undrift.pipelines.numbers import out_of_range

    spec = pipeline.spec
    lines = [f"warning: {line}" for line in out_of_range(numbers, spec)]
    return lines + map_notes(map_files(flags.maps), n, spec)


def _next(flags: Inpaint) -> list[str]:
    """The words that inpaint the same images anew."""
    seed = flags.seed + 1
    return repeated(flags, Inpaint, seed=seed, out=numbered(flags.out, flags.seed, seed))


def _settings(pipeline: Pipeline, flags: Inpaint) -> Keywords:
    """The settings of its family; of one that cannot inpaint none, which the call refuses."""
    if pipeline.inpainting is None:
        return {}
    return family_settings(pipeline.inpainting, flags, SETTINGS, pipeline.noun)


def labels_of(
    words: tuple[str, ...], pipeline: Pipeline, part: ImageSet, rows: NDArray[np.int64]
) -> Labels:
    """The classes of given images, as ``--labels`` names them.

    Args:
        words: of the flag.
        pipeline: whose classes they are.
        part: the images, for their own labels.
        rows: which of them.

    Raises:
        UsageError: for the data's own labels where there are none, or a number that is no name.
    """
    from undrift.pipelines.labels import parse_labels

    classes = pipeline.spec.class_names
    if words != ("given",) or "given" in classes:
        return parse_labels(words, classes)
    if part.labels is None:
        raise UsageError("--labels given: the data has none; name them, or leave them open")
    return [part.class_names[label] for label in part.labels[rows].tolist()]


def _beside(
    images: NDArray[np.uint8], mask: NDArray[np.bool_], inpainted: Samples
) -> NDArray[np.uint8]:
    """Rows of an image, the same with the mask in grey, and its completions."""
    import numpy as np

    some = images[:SHOWN]
    masked = np.where(mask[None, :, :, None], np.uint8(_HIDDEN), some)
    completions = inpainted.images.reshape(len(images), -1, *images.shape[1:])[:SHOWN]
    rows = np.concatenate([some[:, None], masked[:, None], completions], axis=1)
    return rows.reshape(-1, *images.shape[1:])


def counted(show: Callable[[int, int], None] | None) -> Callable[[Progress], None] | None:
    """Count the steps of a request on a progress bar."""
    if show is None:
        return None
    return lambda now: show(now.done, now.total)
