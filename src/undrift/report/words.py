"""The configuration of a run in words: rows of a name, a sentence and its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from undrift.errors import shortened
from undrift.families import family_of_kind
from undrift.files.document import Document
from undrift.json_types import JsonValue
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
    "v": "the velocity v (v-prediction)",
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


def model_rows(config: Document, parameters: int | None) -> list[Row]:
    """What the model is, from ``config.yaml``; parts that it does not name are left out."""
    model = config.part("model")
    network, schedule = model.part("network"), model.part("schedule")
    rows: list[Row] = []
    if network.entries:
        rows.append(("network", _kind(network, _NETWORKS) + _figures(network)))
    elif model.entries:
        rows.append(("network", "custom"))
    if parameters is not None:
        rows.append(("parameters", f"{parameters:,}"))
    if (codec := model.part("codec")).entries:
        rows.append(("image space", _kind(codec, _CODECS) + _figures(codec)))
    if schedule.entries:
        rows.append(("noise schedule", _kind(schedule, _SCHEDULES) + _figures(schedule)))
    if "parameterization" in model:
        kind = model.text("parameterization")
        rows.append(("the network predicts", _PREDICTIONS.get(kind, kind)))
    if (levels := model.part("levels")).entries:
        stratified = ", spread evenly over each batch" if levels.value("stratified") else ""
        rows.append(
            (
                "noise levels in training",
                _kind(levels, _LEVELS) + stratified + _figures(levels, "stratified"),
            )
        )
    if (weighting := model.part("weighting")).entries:
        rows.append(("weight of the loss", _kind(weighting, _WEIGHTS) + _figures(weighting)))
    if (loss := model.part("loss")).entries:
        rows.append(("loss", _kind(loss, _LOSSES)))
        rows.append(("gradient penalty", _figures(model.part("penalty")).strip(" ()")))
        rows.append(
            (
                "updates of the discriminator",
                f"{model.whole('critic_steps')} for each of the generator's",
            )
        )
    if names := model.items("spec", "class_names"):
        dropped = model.number("label_dropout")
        hidden = "" if not dropped else f"; dropped {dropped:.0%} of the time, for guidance"
        name = "condition" if draws(config) else "answer"
        rows.append((name, f"the class, one of {len(names)}{hidden}"))
    elif model.entries:
        rows.append(("condition", "none"))
    return rows


def model_title(config: Document) -> str:
    """What the model is called; of an unknown family a model."""
    family = family_of_kind(config.text("model", "kind") or None)
    return "model" if family is None else family.title(config.text("model", "method"))


def draws(config: Document) -> bool:
    """Whether the model is of a family that draws images; an unknown one does."""
    family = family_of_kind(config.text("model", "kind") or None)
    return family is None or family.draws


def gan_loss(config: Document) -> str:
    """Kind of a GAN's loss; "" where ``config.yaml`` has none."""
    return config.text("model", "loss", "kind")


def training_rows(config: Document) -> list[Row]:
    """How it was trained, from ``config.yaml``."""
    model, training = config.part("model"), config.part("training")
    rows: list[Row] = []
    if budget := config.text("budget"):
        rows.append(("budget", f"{budget} of wall clock"))
    steps, batch = training.whole("steps"), training.whole("batch_size")
    if steps is not None and batch is not None:
        rows.append(
            (
                "length",
                f"{plural(steps, 'step')} of {plural(batch, 'image')}: "
                f"{plural(steps * batch, 'image')}",
            )
        )
    if (optimizer := model.part("optimizer")).entries:
        kind = {"adamw": "AdamW", "muon": "Muon for matrices, AdamW for the rest"}
        rows.append(("optimiser", _kind(optimizer, kind) + _figures(optimizer, "rest", "exclude")))
    for side in ("generator", "discriminator"):
        if (optimizer := model.part(f"{side}_optimizer")).entries:
            kind = {"adamw": "AdamW", "muon": "Muon"}
            rows.append((f"optimiser, {side}", _kind(optimizer, kind) + _figures(optimizer)))
    if (rate := training.part("learning_rate")).entries:
        rows.append(
            (
                "learning rate",
                f"rises over {rate.number('warm_up') or 0:.0%} of the run, falls to zero over the "
                f"last {rate.number('decay') or 0:.0%}",
            )
        )
    if lengths := training.numbers("ema"):
        shown = ", ".join(f"{length:g}" for length in lengths)
        rows.append(("weight averages", f"power-function EMA, relative lengths {shown}"))
    if clip := training.number("clip"):
        rows.append(("gradient clipping", f"norm at most {clip:g}"))
    if "precision" in training:
        where = f"{training.text('precision')} on {training.text('device', default='cpu')}"
        threads = training.whole("threads")
        threaded = f", {plural(threads, 'thread')}" if threads else ""
        rows.append(("precision", where + threaded))
    if "seed" in training:
        rows.append(("seed", str(training.whole("seed"))))
    augmentation = []
    if model.value("flip"):
        augmentation.append("mirrored at random")
    if share := model.number("augment"):
        family = family_of_kind(model.text("kind") or None)
        how = "" if family is None else family.augmented
        augmentation.append(f"augmented with probability {share:g}, {how}")
    if model.value("adapt"):
        augmentation.append("of what the discriminator sees, as far as it overfits")
    if augmentation:
        rows.append(("augmentation", ", ".join(augmentation)))
    return rows


LONGEST = 500
"""Characters of a value that are shown; a vocabulary has thousands."""


def flat_rows(mapping: Mapping[str, JsonValue], prefix: str = "") -> list[Row]:
    """Every leaf of a nested mapping as dotted name and value."""
    rows: list[Row] = []
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            rows += flat_rows(value, f"{prefix}{name}.")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            rows.append((prefix + name, " ".join(str(entry) for entry in value)))
        else:
            rows.append((prefix + name, "-" if value is None else shortened(str(value), LONGEST)))
    return rows


def _kind(part: Document, words: Mapping[str, str]) -> str:
    kind = part.text("kind")
    return words.get(kind, kind)


def _figures(part: Document, *without: str) -> str:
    """`` (width 64, blocks 2)``: every other entry that is a number or a list of them."""
    shown = []
    for name, value in part.entries.items():
        if name in ("kind", *without) or value is None or isinstance(value, str | Mapping):
            continue
        entries = value if isinstance(value, Sequence) else [value]
        if not entries:
            continue
        text = " ".join(f"{e:.4g}" if isinstance(e, float) else str(e) for e in entries)
        shown.append(f"{name.replace('_', ' ')} {text}")
    return f" ({', '.join(shown)})" if shown else ""
