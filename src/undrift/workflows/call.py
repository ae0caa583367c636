"""``undrift.train``: the command's flags as keywords."""

from __future__ import annotations

import inspect
import os
from dataclasses import fields
from typing import Literal, TypedDict, Unpack

from rich.console import Console
from torch import nn

from undrift import synonyms
from undrift.ambient import own_settings
from undrift.arguments import checked
from undrift.errors import UsageError
from undrift.names import did_you_mean
from undrift.options.train import TrainSettings
from undrift.runs.progress import OnTraining
from undrift.workflows.train import Run, train_with


class Keywords(TypedDict, total=False):
    """The fields of ``TrainSettings`` but ``network``; each may be given or left out."""

    method: str
    recipe: Literal["images", "likelihood"]
    budget: str | None
    images: int | None
    steps: int | None
    batch_size: int | None
    micro_batch: int | None
    seed: int
    size: int | str | None
    fit: Literal["crop", "pad"]
    channels: Literal[1, 3, 4] | None
    background: str | None
    holdout: float
    bad_limit: float
    label_column: str | None
    caption_column: str | None
    numbers: tuple[str, ...]
    flip: bool
    augment: float | None
    balance: bool
    conditional: bool
    text: bool
    label_dropout: float | None
    parameters: str | None
    learning_rate: float | None
    penalty: float | None
    dropout: float | None
    checkpoint_every: int | None
    grid_every: int | None
    validate_every: int | None
    evaluate_every: int | None
    evaluate_samples: int
    bare: bool
    device: Literal["auto", "cpu", "cuda"]
    threads: int | None
    precision: Literal["auto", "float32", "bfloat16"]
    compile: bool
    init: str | None
    extend: bool


@own_settings()
@checked
def train(
    source: str | os.PathLike[str] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    config: str | os.PathLike[str] | None = None,
    network: Literal["unet", "transformer", "mlp"] | nn.Module | None = None,
    progress: bool | None = None,
    callback: OnTraining | None = None,
    **settings: Unpack[Keywords],
) -> Run:
    """Train a diffusion model, or a GAN, on images, sample it and report on it.

    Args:
        source: ``digits``, or a folder, zip, npz, npy or idx data set.
        out: the run directory; a free one in ``runs/`` by default. The same call again resumes it.
        config: the ``config.yaml`` of a run to repeat, in place of ``source`` and ``settings``.
        network: a family of networks, or your own: any module that is called as
            ``network(x, c_noise, context)`` with x of shape (B, C, H, W) and c_noise of shape
            (B,), and returns what has the shape of x.
        progress: show progress on stdout; by default where that is a terminal or a notebook.
        callback: called after every update with a `undrift.TrainingProgress`; raising from it
            stops the run, and the same call with ``out`` resumes it from its last checkpoint.
        settings: the flags of ``undrift train``, such as ``budget="30m"``.

    Returns:
        Where the run, its pipeline and its report are.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    known = [field.name for field in fields(TrainSettings)]
    for name in settings:
        if name not in known:
            hint = did_you_mean(name, known, f"known: {', '.join(known)}", synonyms.SETTINGS)
            raise UsageError(f"train(): unknown setting {name!r}; {hint}")
    if config is not None and (source is not None or settings):
        raise UsageError("train(): config and other settings exclude each other; give one of them")
    if isinstance(network, nn.Module) and any(p.is_inference() for p in network.parameters()):
        raise UsageError(
            "network: made in torch's inference mode, so it cannot learn; make it outside"
        )
    if isinstance(network, nn.Module):
        _check_call(network)
    family, own = (network, None) if isinstance(network, str) else (None, network)
    return train_with(
        source,
        TrainSettings(network=family, **settings),
        out=out,
        config=config,
        network=own,
        console=_console(progress),
        callback=callback,
    )


def _check_call(network: nn.Module) -> None:
    """Refuse a network that does not take x, c_noise and context.

    Raises:
        UsageError: by its signature.
    """
    try:
        inspect.signature(network.forward).bind("x", "c_noise", "context")
    except TypeError as error:
        raise UsageError(
            f"network: {type(network).__name__} is not called as network(x, c_noise, context) "
            f"({error}); wrap it in a module that is"
        ) from error


def _console(progress: bool | None) -> Console:
    """Where a call shows its progress: rich knows terminals and notebooks."""
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    console.quiet = not (console.is_terminal if progress is None else progress)
    return console
