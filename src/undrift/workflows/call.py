"""``undrift.train``, ``undrift.adapt`` and ``undrift.distill``: the commands' flags as keywords."""

from __future__ import annotations

import inspect
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal

from rich.console import Console
from torch import nn

from undrift.ambient import own_settings
from undrift.arguments import keywords_of
from undrift.errors import UsageError
from undrift.options import AdaptOptions, DistillOptions, TrainOptions
from undrift.options.options import Options, PathLike
from undrift.options.train import changed
from undrift.runs.progress import OnTraining
from undrift.workflows.adapt import adapt_run
from undrift.workflows.distill import distill_run
from undrift.workflows.planning import find_start
from undrift.workflows.train import Run, train_run


@dataclass(frozen=True, kw_only=True)
class TrainingCall(Options):
    """How a call that trains reports its progress.

    Attributes:
        progress: show progress on stdout; by default where that is a terminal or a notebook.
        callback: called after every update with a `undrift.TrainingProgress`; raising from it
            stops the run, and the same call with ``out`` resumes it from its last checkpoint.
    """

    progress: bool | None = None
    callback: OnTraining | None = None

    def console(self) -> Console:
        """Where progress is shown: rich knows terminals and notebooks."""
        console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
        console.quiet = not (console.is_terminal if self.progress is None else self.progress)
        return console


@dataclass(frozen=True)
class TrainCall(TrainOptions, TrainingCall):
    """Arguments of `train`: what to train on, beside the options.

    Attributes:
        source: ``digits``, or a folder, zip, npz, npy or idx data set; or a run, to resume it.
        out: the run directory; a free one in ``runs/`` by default. The same call again resumes it.
        config: the ``config.yaml`` of a run to repeat, in place of ``source`` and the options.
        network: a family of networks, or your own: any module that is called as
            ``network(x, c_noise, context)`` with x of shape (B, C, H, W) and c_noise of shape
            (B,), and returns a tensor of the shape of x.
    """

    source: PathLike | None = None
    _: KW_ONLY
    out: PathLike | None = None
    config: PathLike | None = None
    network: Literal["unet", "transformer", "mlp"] | nn.Module | None = None  # type: ignore[assignment]


@own_settings()
@keywords_of(TrainCall)
def train(call: TrainCall) -> Run:
    """Train a diffusion model, or a GAN, on images, sample it and report on it.

    The arguments are the fields of `TrainCall` and `undrift.options.TrainOptions`.

    Returns:
        Where the run, its pipeline and its report are.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    if call.config is not None and (call.source is not None or changed(call)):
        raise UsageError("train(): config and other settings exclude each other; give one of them")
    own = call.network if isinstance(call.network, nn.Module) else None
    if own is not None:
        _check_network(own)
    options = call if own is None else replace(call, network=None)
    return train_run(
        find_start(call.source, options, call.out, call.config),
        options,
        network=own,
        console=call.console(),
        callback=call.callback,
    )


@dataclass(frozen=True)
class AdaptCall(AdaptOptions, TrainingCall):
    """Arguments of `adapt`: the base and the images, beside the options.

    Attributes:
        target: a finished run of a diffusion model.
        data: images to train on, as `train` takes them; None: the run's own.
    """

    target: PathLike
    data: PathLike | None = None


@own_settings()
@keywords_of(AdaptCall)
def adapt(call: AdaptCall) -> Run:
    """Train an adapter of a finished run: a control branch for maps, or low-rank matrices.

    The arguments are the fields of `AdaptCall` and `undrift.options.AdaptOptions`.

    Returns:
        Where the adapter's run, its pipeline and its report are.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    return adapt_run(
        str(call.target),
        None if call.data is None else str(call.data),
        call,
        console=call.console(),
        callback=call.callback,
    )


@dataclass(frozen=True)
class DistillCall(DistillOptions, TrainingCall):
    """Arguments of `distill`: the teacher, beside the options.

    Attributes:
        target: a finished run of a diffusion model.
    """

    target: PathLike


@own_settings()
@keywords_of(DistillCall)
def distill(call: DistillCall) -> Run:
    """Train a student of a finished run, which draws in one to a few steps.

    The arguments are the fields of `DistillCall` and `undrift.options.DistillOptions`.

    Returns:
        Where the student's run, its pipeline and its report are.

    Raises:
        UndriftError: what the command would print; see ``undrift.errors``.
    """
    return distill_run(str(call.target), call, console=call.console(), callback=call.callback)


def _check_network(network: nn.Module) -> None:
    """Refuse a network that cannot be trained, or does not take x, c_noise and context.

    Raises:
        UsageError: by its parameters or its signature.
    """
    if any(parameter.is_inference() for parameter in network.parameters()):
        raise UsageError(
            "network: made in torch's inference mode, so it cannot learn; make it outside"
        )
    try:
        inspect.signature(network.forward).bind("x", "c_noise", "context")
    except TypeError as error:
        raise UsageError(
            f"network: {type(network).__name__} is not called as network(x, c_noise, context) "
            f"({error}); wrap it in a module that is"
        ) from error
