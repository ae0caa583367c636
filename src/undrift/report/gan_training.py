"""The report's GAN training diagnostics: losses, gradients, discriminator accuracy, diversity."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from undrift.report.curves import smoothed
from undrift.report.figure import (
    FIRST,
    GOOD,
    MUTED,
    REFERENCE,
    SECOND,
    drawing,
    images_axis,
    panels,
    plain_ticks,
    to_svg,
)
from undrift.report.history import History, Series
from undrift.report.verdict import Verdict
from undrift.runs.events import Event

_SIGNED = ("non_saturating", "hinge")
"""Losses whose logit is above 0 for what is taken for real; others leave a constant in it free."""


_WHOSE = ("training", "held out", "generated", "training, augmented")


def loss_curves(history: History) -> Markup | None:
    """Losses, mean logits and mean signs over images seen; None for other families."""
    if not any("phases" in event for event in history.train):
        return None
    with drawing():
        figure, (losses, logits, signs) = panels(3, height=2.9)
        losses.set_title("Losses of both sides")
        _line(losses, _trained(history, "discriminator", "loss"), FIRST, "discriminator")
        _line(losses, _trained(history, "generator", "loss"), SECOND, "generator")
        for axis, name, title in (
            (logits, "logit", "Mean logits"),
            (signs, "sign", "Mean sign of logits"),
        ):
            axis.set_title(title)
            held_out = [_held_out(history, f"{whose}_{name}") for whose in ("seen", "real", "fake")]
            trained = _trained(history, "discriminator", f"real_{name}")
            # both panels have the same lines; the first says which they are
            words = _WHOSE if axis is logits else (None,) * len(_WHOSE)
            for series, colour, label in zip(held_out, (FIRST, GOOD, SECOND), words, strict=False):
                _line(axis, series, colour, label)
            _line(axis, trained, FIRST, words[-1], dotted=True)
            if not _validations(history):
                trained = _trained(history, "discriminator", f"fake_{name}")
                _line(axis, trained, SECOND, "generated, augmented", dotted=True)
        _line(signs, _trained(history, "discriminator", "augment"), MUTED, "augmentation")
        signs.set_ylim(-1.05, 1.05)
        _level(signs, 0.0)
        for axis in (losses, logits, signs):
            _finish(axis, history)
        return to_svg(figure, "gan", "Losses, logits and their signs over images seen")


def diagnostic_curves(history: History) -> Markup | None:
    """Gradient norms, discriminator accuracy on held-out images, diversity; None without a GAN."""
    if not any("phases" in event for event in history.train):
        return None
    with drawing():
        figure, (norms, accuracy, variety) = panels(3, height=2.9)
        norms.set_title("Gradient norms")
        for phase, colour in (("discriminator", FIRST), ("generator", SECOND)):
            series = _trained(history, phase, "grad_norm")
            _line(norms, series, colour, phase)
            if len(series[1]) and (series[1] > 0).all():
                norms.set_yscale("log")
                plain_ticks(norms.yaxis)
        accuracy.set_title("Discriminator on held-out images")
        _line(accuracy, _held_out(history, "ranking"), FIRST, "reals ranked above generated")
        _line(accuracy, _held_out(history, "overfitting"), SECOND, "overfitting")
        accuracy.set_ylim(-0.1, 1.1)
        _level(accuracy, 0.5)
        variety.set_title("Diversity relative to held-out reals")
        _line(variety, _relative(history, "diversity"), FIRST, "all pairs")
        _line(variety, _relative(history, "class_diversity"), SECOND, "pairs of one class")
        _level(variety, 1.0)
        variety.set_ylim(bottom=0)
        for axis in (norms, accuracy, variety):
            _finish(axis, history)
        return to_svg(
            figure, "watch", "Gradient norms, discriminator accuracy and diversity over images seen"
        )


def gan_verdict(history: History, loss: str) -> Verdict:
    """Whether the discriminator overfits; a GAN's losses are no measure of quality.

    Args:
        history: of the run.
        loss: kind of its loss, as its configuration names it.
    """
    said = ["Its losses show the balance of two networks, not quality: see samples and metrics."]
    signs = _latest(history, "seen_sign", "real_sign")
    measure = _latest(history, "overfitting")
    if loss in _SIGNED and signs:
        seen, unseen = (50 * (1 + sign) for sign in signs)
        said.append(
            f"In the end the discriminator took {seen:.0f}% of training and {unseen:.0f}% of "
            "held-out images for real, none of them augmented; a gap is overfitting."
        )
    elif measure:
        said.append(
            f"In the end held-out images stood at {measure[0]:.2f} on the discriminator's scale "
            "from training images (0) to generated ones (1); above 0 is overfitting."
        )
    else:
        said.append("The discriminator was not evaluated on held-out images.")
    spread = [
        f"{100 * float(series[-1]):.0f}% {words}"
        for name, words in (("diversity", "over all pairs"), ("class_diversity", "within a class"))
        if len(series := _relative(history, name)[1])
    ]
    if spread:
        said.append(f"Generated images differ by {', '.join(spread)} of what real ones do.")
    return Verdict("unknown", " ".join(said))


def _trained(history: History, phase: str, name: str) -> tuple[Series, Series]:
    """Images seen and a statistic of one phase."""
    return _series((event.images, event.number("phases", phase, name)) for event in history.train)


def _held_out(history: History, name: str) -> tuple[Series, Series]:
    """Images seen and a statistic of the discriminator on held-out images."""
    return _series((event.images, event.number(name)) for event in _validations(history))


def _latest(history: History, *names: str) -> list[float]:
    """Statistics of the newest validation that has all of ``names``; [] where none has."""
    for event in reversed(_validations(history)):
        figures = [value for name in names if (value := event.number(name)) is not None]
        if len(figures) == len(names):
            return figures
    return []


def _validations(history: History) -> list[Event]:
    return [event for event in history.gan_validations if event.weights in (None, "ema")]


def _relative(history: History, name: str) -> tuple[Series, Series]:
    """Images seen and a figure of generated images over the same of held-out ones."""
    seen, ours = _held_out(history, name)
    _, real = _held_out(history, f"real_{name}")
    known = len(ours) == len(real) and (real > 0).all()
    return (seen, ours / real) if known else (seen[:0], ours[:0])


def _finish(axis: Axes, history: History) -> None:
    if axis.get_legend_handles_labels()[1]:
        axis.legend(loc="best")
    images_axis(axis, history.images)


def _level(axis: Axes, height: float) -> None:
    axis.axhline(height, color=REFERENCE, linestyle=(0, (4, 3)), linewidth=1.2)


def _series(pairs: Iterable[tuple[int | None, float | None]]) -> tuple[Series, Series]:
    known = [pair for pair in pairs if pair[1] is not None]
    table = np.array(known, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _line(
    axis: Axes,
    series: tuple[Series, Series],
    colour: str,
    label: str | None,
    *,
    dotted: bool = False,
) -> None:
    """A line, which the legend leaves out without a label."""
    seen, values = series
    if len(seen):
        style = ":" if dotted else "-"
        axis.plot(seen, smoothed(values), color=colour, linewidth=1.6, linestyle=style, label=label)
