"""The report's plots of a GAN's game: both sides' losses and gradients, judgement, diversity."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from undrift.experiments.report.curves import smoothed
from undrift.experiments.report.figure import (
    FIRST,
    GOOD,
    MUTED,
    REFERENCE,
    SECOND,
    drawing,
    images_axis,
    panels,
    to_svg,
)
from undrift.experiments.report.history import History, Record, Series
from undrift.experiments.report.verdict import Verdict


def game_figure(history: History) -> Markup | None:
    """Losses, mean logits and mean signs over images seen; None where there was no game."""
    if not any("phases" in event for event in history.train):
        return None
    with drawing():
        figure, (losses, logits, signs) = panels(3, height=2.9)
        losses.set_title("Losses of both sides")
        _line(losses, _trained(history, "discriminator", "loss"), FIRST, "discriminator")
        _line(losses, _trained(history, "generator", "loss"), SECOND, "generator")
        logits.set_title("Mean logits")
        _line(logits, _trained(history, "discriminator", "real_logit"), FIRST, "training reals")
        _line(logits, _trained(history, "discriminator", "fake_logit"), SECOND, "generated")
        _line(logits, _held_out(history, "real_logit"), GOOD, "held-out reals")
        signs.set_title("Mean sign of logits")
        _line(signs, _trained(history, "discriminator", "real_sign"), FIRST, "training reals")
        _line(signs, _held_out(history, "real_sign"), GOOD, "held-out reals")
        _line(signs, _trained(history, "discriminator", "fake_sign"), SECOND, "generated")
        _line(signs, _trained(history, "discriminator", "augment"), MUTED, "augmentation")
        signs.set_ylim(-1.05, 1.05)
        _level(signs, 0.0)
        for axis in (losses, logits, signs):
            _finish(axis, history)
        return to_svg(figure, "game", "Losses, logits and their signs over images seen")


def watch_figure(history: History) -> Markup | None:
    """Gradient norms of both, judgement of unseen images and diversity; None without a game."""
    if not any("phases" in event for event in history.train):
        return None
    with drawing():
        figure, (norms, judgement, variety) = panels(3, height=2.9)
        norms.set_title("Gradient norms")
        for phase, colour in (("discriminator", FIRST), ("generator", SECOND)):
            series = _trained(history, phase, "grad_norm")
            _line(norms, series, colour, phase)
            if len(series[1]) and (series[1] > 0).all():
                norms.set_yscale("log")
        judgement.set_title("Judgement of unseen images")
        _line(judgement, _held_out(history, "ranking"), FIRST, "reals ranked above generated")
        _line(judgement, _held_out(history, "overfitting"), SECOND, "overfitting")
        judgement.set_ylim(-0.1, 1.1)
        _level(judgement, 0.5)
        variety.set_title("Diversity relative to held-out reals")
        _line(variety, _relative(history, "diversity"), FIRST, "all pairs")
        _line(variety, _relative(history, "class_diversity"), SECOND, "pairs of one class")
        _level(variety, 1.0)
        variety.set_ylim(bottom=0)
        for axis in (norms, judgement, variety):
            _finish(axis, history)
        return to_svg(figure, "watch", "Gradient norms, judgement and diversity over images seen")


def judge_game(history: History) -> Verdict:
    """What the discriminator says of overfitting; a GAN's losses say nothing of quality."""
    apart = "Its losses show the balance of two networks, not quality: look at samples and metrics."
    _, held_out = _held_out(history, "real_sign")
    _, trained = _trained(history, "discriminator", "real_sign")
    if len(held_out) == 0 or len(trained) == 0:
        return Verdict("unknown", f"{apart} Nothing was held out to ask the discriminator about.")
    seen, unseen = (50 * (1 + float(series[-1])) for series in (trained, held_out))
    found = f"In the end the discriminator took {seen:.0f}% of training and {unseen:.0f}% of"
    found = f"{found} held-out images for real; a gap is overfitting."
    spread = [
        f"{100 * float(series[-1]):.0f}% {words}"
        for name, words in (("diversity", "over all pairs"), ("class_diversity", "within a class"))
        if len(series := _relative(history, name)[1])
    ]
    if spread:
        found = f"{found} Generated images differ by {', '.join(spread)} of what real ones do."
    return Verdict("unknown", f"{apart} {found}")


def _trained(history: History, phase: str, name: str) -> tuple[Series, Series]:
    """Images seen and a statistic of one phase."""
    return _series(
        (event["images"], event.get("phases", {}).get(phase, {}).get(name))
        for event in history.train
    )


def _held_out(history: History, name: str) -> tuple[Series, Series]:
    """Images seen and what the discriminator said of held-out images."""
    looks: Iterable[Record] = (e for e in history.judged if e.get("weights", "ema") == "ema")
    return _series((event["images"], event.get(name)) for event in looks)


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


def _series(pairs: Iterable[tuple[float, float | None]]) -> tuple[Series, Series]:
    known = [pair for pair in pairs if pair[1] is not None]
    table = np.array(known, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _line(axis: Axes, series: tuple[Series, Series], colour: str, label: str) -> None:
    seen, values = series
    if len(seen):
        axis.plot(seen, smoothed(values), color=colour, linewidth=1.6, label=label)
