"""The configuration of a run in words: rows of a name, a sentence and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from undrift.errors import shortened
from undrift.families import family_of_kind
from undrift.report.history import Record
from undrift.wording import plural

Row = tuple[str, str]

_SCHEDULES = {
    "vp_linear": "variance preserving, DDPM's linear betas as a continuous path",
    "vp_cosine": "variance preserving, cosine",
    "sub_vp": "sub-variance preserving: DDPM's signal with less noise",
    "ve": "variance exploding, as in EDM: the image stays, noise is added",
    "flow": "rectified flow: a straight line between image and noise",
}
_PREDICTIONS = {
    "epsilon": "the noise",
    "x0": "the clean image",
    "v": "the velocity v, a turn between noise and image",
    "flow": "the flow's velocity, noise minus image",
    "edm": "EDM's mixture of image and noise, unit variance at every noise level",
}
_LEVELS = {
    "uniform": "uniform in time",
    "log_normal": "log-normal in noise over signal",
    "logit_normal": "logit-normal in time",
}
_WEIGHTS = {
    "unit": "every level alike",
    "snr": "signal-to-noise ratio",
    "min_snr": "signal-to-noise ratio, cut off (min-SNR)",
    "edm": "EDM's, equal effective weight at every level",
}
_NETWORKS = {
    "unet": "U-Net",
    "transformer": "diffusion transformer",
    "mlp": "MLP",
    "dcgan": "strided convolutions with batch norm (DCGAN)",
    "sngan": "residual generator and discriminator (SNGAN)",
    "stylegan2": "style-based generator, residual discriminator (StyleGAN2)",
    "r3gan": "grouped residual blocks without normalisation (R3GAN)",
}
_LOSSES = {
    "non_saturating": "non-saturating",
    "hinge": "hinge",
    "wasserstein": "Wasserstein",
    "relativistic": "relativistic, in pairs of a real and a generated image",
}
_CODECS = {
    "identity": "pixels scaled to [-1, 1]",
    "standardise": "pixels standardised by the training images' own mean and standard deviation",
}


def model_rows(config: Record, parameters: int | None) -> list[Row]:
    """What the model is, from ``config.yaml``; parts that it does not name are left out."""
    model = _part(config, "model")
    network, schedule = _part(model, "network"), _part(model, "schedule")
    rows: list[Row] = []
    if network:
        rows.append(("network", _network(network)))
    elif model:
        rows.append(("network", "brought by the user"))
    if parameters is not None:
        rows.append(("parameters", f"{parameters:,}"))
    if codec := _part(model, "codec"):
        rows.append(("image space", _kind(codec, _CODECS) + _figures(codec)))
    if schedule:
        rows.append(("noise schedule", _kind(schedule, _SCHEDULES) + _figures(schedule)))
    if "parameterization" in model:
        kind = str(model["parameterization"])
        rows.append(("the network predicts", _PREDICTIONS.get(kind, kind)))
    if levels := _part(model, "levels"):
        stratified = ", spread evenly over each batch" if levels.get("stratified") else ""
        rows.append(
            (
                "noise levels in training",
                _kind(levels, _LEVELS) + stratified + _figures(levels, "stratified"),
            )
        )
    if weighting := _part(model, "weighting"):
        rows.append(("weight of the loss", _kind(weighting, _WEIGHTS) + _figures(weighting)))
    if loss := _part(model, "loss"):
        rows.append(("loss", _kind(loss, _LOSSES)))
        rows.append(("gradient penalty", _figures(_part(model, "penalty")).strip(" ()")))
        rows.append(
            (
                "updates of the discriminator",
                f"{model.get('critic_steps')} for each of the generator's",
            )
        )
    if names := _part(model, "spec").get("class_names"):
        dropped = model.get("label_dropout")
        hidden = "" if not dropped else f"; hidden {dropped:.0%} of the time, for guidance"
        rows.append(("condition", f"the class, one of {len(names)}{hidden}"))
    elif model:
        rows.append(("condition", "none"))
    return rows


def model_title(config: Record) -> str:
    """What the model is called; of an unknown family a model."""
    model = _part(config, "model")
    family = family_of_kind(model.get("kind"))
    return "model" if family is None else family.title(str(model.get("method", "")))


def game_loss(config: Record) -> str:
    """Kind of a GAN's loss; "" where ``config.yaml`` does not say."""
    return str(_part(_part(config, "model"), "loss").get("kind", ""))


def training_rows(config: Record) -> list[Row]:
    """How it was trained, from ``config.yaml``."""
    model, training = _part(config, "model"), _part(config, "training")
    rows: list[Row] = []
    if budget := config.get("budget"):
        rows.append(("budget", f"{budget} of wall clock"))
    if "steps" in training and "batch_size" in training:
        steps, batch = int(training["steps"]), int(training["batch_size"])
        rows.append(
            (
                "length",
                f"{plural(steps, 'step')} of {plural(batch, 'image')}: "
                f"{plural(steps * batch, 'image')}",
            )
        )
    if optimizer := _part(model, "optimizer"):
        kind = {"adamw": "AdamW", "muon": "Muon for matrices, AdamW for the rest"}
        rows.append(("optimiser", _kind(optimizer, kind) + _figures(optimizer, "rest", "exclude")))
    for side in ("generator", "discriminator"):
        if optimizer := _part(model, f"{side}_optimizer"):
            kind = {"adamw": "AdamW", "muon": "Muon"}
            rows.append((f"optimiser, {side}", _kind(optimizer, kind) + _figures(optimizer)))
    if rate := _part(training, "learning_rate"):
        rows.append(
            (
                "learning rate",
                f"rises over {rate.get('warm_up', 0):.0%} of the run, falls to zero over the last "
                f"{rate.get('decay', 0):.0%}",
            )
        )
    if lengths := training.get("ema"):
        shown = ", ".join(f"{length:g}" for length in lengths)
        rows.append(("weight averages", f"power-function EMA, relative lengths {shown}"))
    if training.get("clip"):
        rows.append(("gradient clipping", f"norm at most {training['clip']:g}"))
    if "precision" in training:
        where = f"{training['precision']} on {training.get('device', 'cpu')}"
        threads = training.get("threads")
        threaded = f", {plural(threads, 'thread')}" if threads else ""
        rows.append(("precision", where + threaded))
    if "seed" in training:
        rows.append(("seed", str(training["seed"])))
    augmentation = []
    if model.get("flip"):
        augmentation.append("mirrored at random")
    if model.get("augment"):
        family = family_of_kind(model.get("kind"))
        told = "" if family is None else family.augmented
        augmentation.append(f"augmented with probability {model['augment']:g}, {told}")
    if model.get("adapt"):
        augmentation.append("of what the discriminator sees, as far as it overfits")
    if augmentation:
        rows.append(("augmentation", ", ".join(augmentation)))
    return rows


LONGEST = 500
"""Characters of a value that are shown; a vocabulary has thousands."""


def flat_rows(mapping: Mapping[str, Any], prefix: str = "") -> list[Row]:
    """Every leaf of a nested mapping as dotted name and value."""
    rows: list[Row] = []
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            rows += flat_rows(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            rows.append((prefix + name, " ".join(str(entry) for entry in value)))
        else:
            rows.append((prefix + name, "-" if value is None else shortened(str(value), LONGEST)))
    return rows


def _network(network: Record) -> str:
    return _kind(network, _NETWORKS) + _figures(network)


def _kind(part: Record, words: Mapping[str, str]) -> str:
    kind = str(part.get("kind", ""))
    return words.get(kind, kind)


def _figures(part: Record, *without: str) -> str:
    """`` (width 64, blocks 2)``: every other entry that is a number or a list of them."""
    shown = []
    for name, value in part.items():
        if name in ("kind", *without) or value is None or isinstance(value, str | dict):
            continue
        entries = value if isinstance(value, list) else [value]
        if not entries:
            continue
        text = " ".join(f"{e:.4g}" if isinstance(e, float) else str(e) for e in entries)
        shown.append(f"{name.replace('_', ' ')} {text}")
    return f" ({', '.join(shown)})" if shown else ""


def _part(mapping: Record, name: str) -> Record:
    value = mapping.get(name)
    return value if isinstance(value, dict) else {}
