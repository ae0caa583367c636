"""``undrift sample RUN``: draw images from a trained model into a folder."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from undrift.cli.console import command_line, following, make_console, progress
from undrift.cli.destination import check_unfinished, folder_of
from undrift.cli.dispatch import Terminated, stopped
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
from undrift.errors import (
    UndriftError,
    UsageError,
)
from undrift.files.destination import writable_file, writable_folder
from undrift.files.reading import read_bytes
from undrift.options.options import WeightsOptions
from undrift.wording import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undrift.conditioning import MapSpec
    from undrift.pipelines import Pipeline, Progress, SampleFolder, Samples
    from undrift.pipelines.request import Keywords

FOLLOWED, FOLLOWED_POINTS = 4, 1000
"""Images, or toy 2-D points, of which a trajectory is shown."""

SAMPLES = 16
"""Images that are drawn where nothing says how many."""

SETTINGS = (
    *("steps", "sampler", "grid", "tolerance", "analytic_first_step", "guidance", "threshold"),
    *("negative", "guide_with", "guidance_interval", "guidance_rescale", "truncation"),
    *("strength", "classifier", "classifier_scale"),
)
"""Flags that are settings of some families."""

STRIP, GIF = "trajectory.png", "trajectory.gif"


@dataclass(frozen=True, kw_only=True)
class Sample(ProcessFlags, WeightsOptions):
    """Draw images from a trained model: PNGs, grid.png, and samples.json that repeats the command.

    Image i depends on the seed and on i alone: the first 4 of -n 8 are those of -n 4.

    Attributes:
        target: a run (runs/NAME or runs/latest), or a folder that save_pretrained wrote.
        n: how many images to draw; by default as many as a folder of --map has maps, else 16.
        labels: class names, or indices where no class is called by a number; image i gets entry i
            modulo their count. `all` is every class in stored order. Without it, labels follow the
            training frequencies.
        prompt: what to draw, of a model trained with --text; of several, image i gets entry i
            modulo their count. "a tree:1 AND a red apple:0.5" weighs several in one image.
        prompts: a file of prompts, one a line, in the place of --prompt.
        adapter: low-rank adapters of RUN that are added to its weights, as runs/style:0.7; the
            weight is 1 by default.
        negative: a prompt to guide away from.
        numbers: numbers of a model trained with --numbers, as angle=0.3; of several values, as
            angle=0,0.5,1, image i gets value i modulo their count. What is left out is left open.
        maps: maps of a model trained with --map, as mask=FILE or mask=FOLDER; of a folder, image i
            gets map i modulo their count. edges@PICTURE derives the map from a picture.
        steps: sampler steps; more is slower and closer to the exact solution. The model's own by
            default, 20; a GAN has none.
        sampler: how to step: by default what tune-sampler learned for these steps, else the model's
            own, dpmpp_2m, which serves 10 steps and more; ddpm is stochastic; dopri5 and
            dpmpp_adaptive choose their steps by a tolerance, for each image its own.
        grid: how to space the noise levels: karras, log_snr, uniform, quadratic, beta, shifted,
            trailing or leading, perhaps with its number, as shifted:5; the model's own by default.
        tolerance: of dopri5 and dpmpp_adaptive, in place of steps: the error of a step, where the
            data varies by 1; less is slower and closer to the exact solution. 0.001 by default.
        analytic_first_step: answer the first evaluation without the network, which in pure noise
            is uninformative; one evaluation less.
        guidance: classifier-free guidance scale; 1 is off, more follows labels and prompts
            more closely and reduces diversity. The model's own by default, 1.
        guide_with: guide away from a weaker model of the same data, in place of this one without
            conditions: a smaller or shorter run, or RUN@0.25, a run's weights after a quarter of
            its training.
        guidance_interval: noise levels sigma / alpha with guidance, as 0.3 5; outside of them
            there is none, which costs less and keeps diversity.
        guidance_rescale: share, from 0 to 1, of each guided image that is scaled back to the
            contrast without guidance.
        classifier: guide towards --labels by a classifier of the same data, a run of
            `undrift train --method classifier`; RUN itself needs no classes.
        classifier_scale: weight of the classifier's gradient: 1 by default, which is Bayes' rule; 0
            is off, more follows labels more closely and reduces diversity.
        threshold: keep every denoised image in the range of pixels: static clips, dynamic, perhaps
            with a quantile as dynamic:0.995, scales down; of use where guidance is strong.
        strength: of an adapter that undrift adapt made: 1 as it was trained, 0 the base itself.
        truncation: of a GAN: share of the distance from the mean latent that is kept, from 0 to 1,
            which is off; less makes images more typical and more alike.
        seed: of the initial noise.
        batch_size: images drawn at once; None picks.
        out: the folder to write; RUN/samples/SEED-N by default, with a key of the other settings
            where any are given; samples/SEED-N for a pipeline that is in no run.
        npz: also write every image and label into this one .npz file.
        trajectory: also show how the first images come out of the noise: trajectory.png, a strip,
            and trajectory.gif.
    """

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(name="RUN", metavar="RUN")]
    n: Annotated[int | None, tyro.conf.arg(aliases=["-n"])] = None
    labels: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]", help_behavior_hint="")
    ] = ()
    prompt: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="TEXT [TEXT ...]", help_behavior_hint="")
    ] = ()
    prompts: str | None = None
    adapter: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="DIR[:WEIGHT] [...]", help_behavior_hint="")
    ] = ()
    negative: str | None = None
    numbers: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME=X [NAME=X ...]", help_behavior_hint="")
    ] = ()
    maps: Annotated[
        tuple[str, ...],
        tyro.conf.arg(name="map", metavar="NAME=PATH [NAME=PATH ...]", help_behavior_hint=""),
    ] = ()
    steps: int | None = None
    sampler: str | None = None
    grid: str | None = None
    tolerance: float | None = None
    analytic_first_step: bool = False
    guidance: float | None = None
    guide_with: Annotated[str | None, tyro.conf.arg(metavar="RUN[@SHARE]")] = None
    guidance_interval: Annotated[
        tuple[float, ...], tyro.conf.arg(metavar="LOW HIGH", help_behavior_hint="")
    ] = ()
    guidance_rescale: float | None = None
    classifier: Annotated[str | None, tyro.conf.arg(metavar="RUN[@SHARE]")] = None
    classifier_scale: float | None = None
    threshold: str | None = None
    strength: float | None = None
    truncation: float | None = None
    seed: int = 0
    batch_size: int | None = None
    out: str | None = None
    npz: str | None = None
    trajectory: bool = False

    def __post_init__(self) -> None:
        if self.truncation is not None and not 0 <= self.truncation <= 1:
            raise UsageError(f"--truncation {self.truncation}: wanted a share from 0 to 1 (off)")
        super().__post_init__()
        at_least("-n", self.n, 1)
        at_least("--steps", self.steps, 1)
        at_least("--batch-size", self.batch_size, 1)
        at_least("--seed", self.seed, 0)
        finite("--guidance", self.guidance)
        finite("--tolerance", self.tolerance)
        finite("--strength", self.strength)
        finite("--guidance-rescale", self.guidance_rescale)
        finite("--classifier-scale", self.classifier_scale)
        if len(self.guidance_interval) not in (0, 2):
            raise UsageError("--guidance-interval: wanted two noise levels, as 0.3 5")
        if self.prompt and self.prompts is not None:
            raise UsageError("--prompt and --prompts exclude each other; give one of them")


def run(arguments: list[str]) -> None:
    """Parse ``arguments``, draw, and write what is finished as it comes.

    Raises:
        UsageError: a bad flag, an unknown label, or an ``--out`` that holds samples already.
        ModelFileError: no model there, or a damaged one.
        DataError: unfinished samples in ``--out`` that cannot be read.
        InterruptedRunError: Ctrl-C; the same command goes on.
        TerminatedError: SIGTERM; the same command goes on.
    """
    given = parse(Sample, "sample", arguments)
    files: dict[str, list[Path]] = {}
    if given.maps:
        from undrift.pipelines.maps import map_files

        files = map_files(given.maps)
    most = max(map(len, files.values()), default=1)
    n = given.n or (most if most > 1 else SAMPLES)
    flags = replace(given, n=n)
    console = make_console(quiet=flags.quiet)
    refuse_empty(
        flags,
        arguments,
        labels="one name or more, or all",
        prompt="one text or more",
        numbers="one NAME=NUMBER or more",
        guidance_interval="two noise levels, as 0.3 5",
        maps="one NAME=PATH or more",
        adapter="one run or more",
    )
    place = folder_of(flags, "samples")  # a target that is no model is the first thing to say
    out = place if flags.out is None else Path(flags.out)
    check_unfinished(out)
    writable_folder("--out", out)
    if flags.npz is not None:
        writable_file("--npz", Path(flags.npz), out)

    import torch

    from undrift.data.scatter import on_plane
    from undrift.pipelines.folder import SampleFolder
    from undrift.pipelines.labels import parse_labels
    from undrift.pipelines.maps import map_notes, read_maps
    from undrift.pipelines.numbers import OutOfRangeWarning, out_of_range, parse_numbers
    from undrift.runs.device import choose_device
    from undrift.runs.loading import load_adapters, load_pipeline

    numbers = parse_numbers(flags.numbers) if flags.numbers else None
    if flags.threads is not None:
        torch.set_num_threads(flags.threads)
    pipeline = load_pipeline(flags.target, ema=flags.ema, weights=flags.weights)
    pipeline.check_draws()
    pipeline = load_adapters(pipeline, flags.adapter)
    pipeline = pipeline.to(choose_device(flags.device))
    settings = _settings(flags, pipeline)
    labelled = settings.get("classifier", pipeline)  # whose classes the labels name
    draw = partial(
        pipeline,
        labels=parse_labels(flags.labels, labelled.spec.class_names),
        prompts=_prompts(flags),
        numbers=numbers,
        maps=read_maps(flags.maps, pipeline.spec) or None,
        seed=flags.seed,
        batch_size=flags.batch_size,
        **settings,
    )
    for line in out_of_range(numbers, pipeline.spec):
        console.print(f"warning: {line}")
    for line in map_notes(files, n, pipeline.spec):
        console.print(line)
    command = command_line("sample", arguments)
    npz = None if flags.npz is None else Path(flags.npz)
    with (
        SampleFolder(out, command, n, pipeline.fingerprint, (STRIP, GIF), files) as folder,
        _saving(folder, n, out),
        progress(console, "sampling") as show,
        warnings.catch_warnings(action="ignore", category=OutOfRangeWarning),  # printed above
    ):
        if folder.finished:
            console.print(f"{out}: {folder.finished} of {plural(n, 'image')} are there; going on")
            if folder.finished == n:
                folder.check(draw(1).settings)
        trajectory = None
        if flags.trajectory and not (out / GIF).exists():
            followed = min(n, FOLLOWED_POINTS if on_plane(pipeline.spec.image_shape) else FOLLOWED)
            trajectory = draw(followed, trajectory=followed)
        while (first := folder.finished) < n:
            count = min(flags.batch_size or pipeline.batch_size, n - first)
            folder.add(draw(count, first=first, on_progress=_shown(show, first, n)))
        if trajectory is not None:
            _show_trajectory(trajectory, folder, command)
        samples = folder.close(npz)
    console.print(f"{plural(n, 'image')} in {samples.seconds:.1f} s, {_cost(samples)}")
    console.print(f"wrote {out / 'grid.png'}")
    if flags.trajectory:
        console.print(f"wrote {out / STRIP} and {out / GIF}")
    if npz is not None:
        console.print(f"wrote {npz}")
    console.print(following("undrift", "sample", *_next(given)))


def drawing(command: object, run: Path, maps: Sequence[MapSpec] = ()) -> list[str]:
    """The words by which samples are drawn from ``run`` on the processor of ``command``."""
    paths = tuple(
        f"{one.name}=FILE" if one.source == "paired" else f"{one.name}@PICTURE" for one in maps
    )
    changes = {"target": run, "maps": paths or None}
    return repeated(command, Sample, keep=("device", "threads"), **changes)


def trained(command: object, run: Path) -> list[str]:
    """`drawing` from a run that has just been trained, with the maps that its model takes.

    With a run that draws no images, another one is guided.
    """
    from undrift.families import family_of
    from undrift.runs.directory import RunDirectory
    from undrift.runs.unfinished import configuration_of

    model = configuration_of(RunDirectory(run)).model
    if not family_of(model).draws:
        return repeated(
            command, Sample, keep=("device", "threads"), target="RUN", classifier=str(run)
        )
    return drawing(command, run, model.spec.maps)


def _next(flags: Sample) -> list[str]:
    """The words that draw more of the same."""
    seed = flags.seed + 1
    out, npz = (numbered(path, flags.seed, seed) for path in (flags.out, flags.npz))
    return repeated(flags, Sample, seed=seed, out=out, npz=npz)


def _settings(flags: Sample, pipeline: Pipeline) -> Keywords:
    """The flags that are settings of the pipeline's family, with further models loaded."""
    from undrift.runs.loading import load_spelled

    settings = family_settings(pipeline.settings, flags, SETTINGS, pipeline.noun)
    models = {"guide_with": flags.guide_with, "classifier": flags.classifier}
    return {
        **settings,
        **{name: load_spelled(place) for name, place in models.items() if place is not None},
    }


def _prompts(flags: Sample) -> list[str] | None:
    """The prompts that were given; None without any.

    Raises:
        UsageError: a file that cannot be read, or has none.
    """
    if flags.prompts is None:
        return list(flags.prompt) or None
    data = read_bytes(flags.prompts, UsageError, "name a text file")
    try:
        lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise UsageError(f"--prompts {flags.prompts}: not UTF-8 text; save it as such") from error
    prompts = [line for line in lines if line]
    if not prompts:
        raise UsageError(f"--prompts {flags.prompts}: no line has a prompt; write one a line")
    return prompts


def _cost(samples: Samples) -> str:
    """Network evaluations of an image, in words."""
    costs = samples.nfe_by_image
    if costs is None:
        return f"{samples.nfe:g} network evaluations each"
    return f"{costs.mean():.4g} network evaluations each on average, at most {costs.max():g}"


@contextmanager
def _saving(folder: SampleFolder, n: int, out: Path) -> Iterator[None]:
    """However the drawing ends, leave a record of the images that are finished."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stop:
        folder.interrupt()
        words = f": {folder.finished} of {plural(n, 'image')} are finished, in {out}"
        raise stopped(stop, words) from stop
    except UndriftError:
        with suppress(UndriftError):  # the first error is the one to report
            folder.interrupt()
        raise


def _shown(
    show: Callable[[int, int], None] | None, first: int, n: int
) -> Callable[[Progress], None] | None:
    """Count steps of a part as images of the whole."""
    if show is None:
        return None
    return lambda now: show(int(first + now.n * now.done / now.total), n)


def _show_trajectory(followed: Samples, folder: SampleFolder, command: str) -> None:
    """Write the strip and the moving picture of a few images."""
    from undrift.pipelines.png import encode_png
    from undrift.pipelines.trajectory import moving_picture, strip_picture

    folder.write(STRIP, encode_png(strip_picture(followed), {"command": command}))
    folder.write(GIF, moving_picture(followed))
