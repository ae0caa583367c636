"""The report's plots of training: losses, the Gaussian yardstick, rates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from undrift.report.figure import (
    FIRST,
    GOOD,
    INK,
    MUTED,
    REFERENCE,
    SECOND,
    band,
    drawing,
    images_axis,
    panels,
    plain_ticks,
    to_svg,
)
from undrift.report.history import History, Series, Validation
from undrift.training.condition_gap import Z
from undrift.wording import plural

_NAMES = {"ema": "averaged weights (EMA)", "raw": "raw weights"}
_COLOURS = {"ema": FIRST, "raw": SECOND}


def loss_figure(history: History) -> Markup | None:
    """Training loss, and validation loss beside the best Gaussian denoiser's; or None."""
    seen, losses = history.series("loss")
    if len(seen) == 0 and not history.validations and not history.student_validations:
        return None
    with drawing():
        figure, (left, right) = panels(2, height=3.1)
        left.set_title("Training loss")
        if len(seen):
            left.plot(seen, losses, color=FIRST, alpha=0.28, linewidth=1.1, label="as logged")
            left.plot(seen, smoothed(losses), color=FIRST, label="smoothed")
            _logarithmic(left, losses)
            left.legend(loc="upper right")
        else:
            _absent(left, "no training losses were logged")
        images_axis(left, history.images)
        if history.student_validations:
            _student_losses(right, history)
            return to_svg(figure, "losses", "Training loss and validation over images seen")

        in_bits = any(one.in_bits for one in history.validations)
        right.set_title(
            "Validation bound in bits per dimension"
            if in_bits
            else "Validation error of the predicted clean image"
        )
        for weights in ("raw", "ema"):
            validations = history.validated(weights)
            if validations:
                right.plot(
                    [one.images for one in validations],
                    [one.loss for one in validations],
                    color=_COLOURS[weights],
                    marker="o",
                    markersize=3.2,
                    label=_NAMES[weights],
                )
        main = history.main
        if not main:
            _absent(right, "no validation was made")
        elif main[-1].gaussian is not None and not in_bits:
            right.axhline(
                float(main[-1].gaussian.mean()),
                color=REFERENCE,
                linestyle=(0, (4, 3)),
                linewidth=1.5,
                label="best Gaussian denoiser",
            )
        if main:
            _logarithmic(right, np.array([one.loss for one in history.validations]))
            right.legend(loc="upper right")
        images_axis(right, history.images)
        return to_svg(figure, "losses", "Training loss and validation error over images seen")


def _student_losses(axis: Axes, history: History) -> None:
    """Validation of a student: its loss, or the distance of its samples."""
    distances = history.students[-1].sample_distance is not None
    axis.set_title(
        "Kernel distance of samples to held-out images" if distances else "Validation loss"
    )
    shown = []
    for weights in ("raw", "ema"):
        found = [
            (one.images, one.sample_distance if distances else one.loss)
            for one in history.student_validations
            if one.weights == weights
        ]
        if found:
            images, values = np.array(found, dtype=np.float64).T
            shown.append(values)
            colour, name = _COLOURS[weights], _NAMES[weights]
            axis.plot(images, values, color=colour, marker="o", markersize=3.2, label=name)
    _logarithmic(axis, np.concatenate(shown))
    axis.legend(loc="upper right")
    images_axis(axis, history.images)


def level_figure(history: History) -> Markup | None:
    """Validation error by noise level, first and last, and its ratio to the Gaussian's; or None."""
    main = history.main
    if not main or len(main[-1].losses) == 0:
        return None
    last = main[-1]
    with drawing():
        figure, (left, right) = panels(2, height=3.5)
        left.set_title("Error by noise level")
        if len(main) > 1:
            left.plot(
                main[0].noise,
                main[0].losses,
                color=MUTED,
                alpha=0.55,
                linewidth=1.3,
                label=f"at {plural(main[0].images, 'image')}",
            )
        if last.gaussian is not None:
            left.plot(
                last.noise,
                last.gaussian,
                color=REFERENCE,
                linestyle=(0, (4, 3)),
                linewidth=1.6,
                label="best Gaussian denoiser",
            )
        for weights, one in _latest(history):
            left.plot(
                one.noise,
                one.losses,
                color=_COLOURS[weights],
                marker="o",
                markersize=3.4,
                label=_NAMES[weights],
            )
        left.set_yscale("log")
        _noise_axis(left, last.noise)
        left.legend(loc="lower right")

        right.set_title("Error relative to the best Gaussian denoiser")
        ratios = last.ratios
        if ratios is None:
            _absent(right, "the Gaussian denoiser was not computed")
        else:
            right.axhline(1.0, color=REFERENCE, linestyle=(0, (4, 3)), linewidth=1.6)
            right.fill_between(
                last.noise, ratios, 1.0, where=ratios <= 1.0, color=GOOD, alpha=0.14, linewidth=0
            )
            right.fill_between(
                last.noise, ratios, 1.0, where=ratios > 1.0, color=SECOND, alpha=0.2, linewidth=0
            )
            for weights, one in _latest(history):
                if one.ratios is not None:
                    right.plot(
                        one.noise,
                        one.ratios,
                        color=_COLOURS[weights],
                        marker="o",
                        markersize=3.4,
                        label=_NAMES[weights],
                    )
            before = history.halfway
            if before is not None and before.ratios is not None:
                right.plot(
                    before.noise,
                    before.ratios,
                    color=MUTED,
                    alpha=0.7,
                    linewidth=1.3,
                    label=f"halfway, at {plural(before.images, 'image')}",
                )
            if last.standard_errors is not None and last.gaussian is not None:
                half = 1.96 * last.standard_errors / last.gaussian
                right.errorbar(last.noise, ratios, yerr=half, fmt="none", ecolor=FIRST, capsize=2)
            right.legend(loc="lower left")
            top = max(1.15, float(ratios.max()) * 1.05)
            right.set_ylim(0, min(top, 3.0))
            right.annotate(
                "no better than linear",
                (float(last.noise.min()), 1.0),
                xytext=(2, 4),
                textcoords="offset points",
                color=MUTED,
                fontsize=9,
            )
        _noise_axis(right, last.noise)
        return to_svg(figure, "levels", "Validation error by noise level against the Gaussian")


def accuracy_figure(history: History) -> Markup | None:
    """Accuracy of a classifier over training and by noise level; None of another model."""
    validations = [one for one in history.students if one.accuracies is not None]
    if not validations:
        return None
    last = validations[-1]
    with drawing():
        figure, axes = panels(2, height=2.6)
        left, right = axes
        means = [float(one.accuracies.mean()) for one in validations if one.accuracies is not None]
        left.set_title("Accuracy on held-out images, averaged over noise levels")
        left.plot(
            [one.images for one in validations], means, color=FIRST, marker="o", markersize=3.2
        )
        right.set_title(f"By noise level, at {plural(last.images, 'image')}")
        if last.accuracies is not None and last.standard_errors is not None:
            _gap_line(
                right,
                last.noise.tolist(),
                (last.accuracies.tolist(), last.standard_errors.tolist()),
                FIRST,
                "classifier",
            )
        if last.chance is not None:
            for axis in axes:
                axis.axhline(
                    last.chance,
                    color=REFERENCE,
                    linestyle=(0, (4, 3)),
                    linewidth=1.5,
                    label="the commonest class",
                )
        for axis in axes:
            axis.set_ylim(0, 1.05)
        right.legend(loc="lower left")
        images_axis(left, history.images)
        _noise_axis(right, last.noise)
        return to_svg(figure, "accuracy", "Accuracy over training and by noise level")


def gap_figure(history: History) -> Markup | None:
    """Condition gaps over training and by noise level, with 95 % intervals; None without any.

    A student has none by noise level.
    """
    validations = [one for one in history.main or history.students if one.gaps]
    if not validations:
        return None
    last = validations[-1]
    with drawing():
        figure, axes = panels(2 if len(last.noise) else 1, height=2.6)
        left, *by_level = axes
        left.set_title("Condition gap: held-out error added by shuffling")
        for axis in axes:
            axis.axhline(0.0, color=REFERENCE, linestyle=(0, (4, 3)), linewidth=1.5)
        for name, colour in zip(last.gaps, (FIRST, SECOND, GOOD), strict=False):
            there = [one for one in validations if name in one.gaps]
            found = last.gaps[name]
            middle = [one.gaps[name].gap for one in there]
            errors = [one.gaps[name].standard_error for one in there]
            _gap_line(left, [one.images for one in there], (middle, errors), colour, name)
            for axis in by_level:
                levels = (found.gaps, found.standard_errors)
                _gap_line(axis, last.noise.tolist(), levels, colour, name)
        left.legend(loc="upper left")
        images_axis(left, history.images)
        for axis in by_level:
            axis.set_title(f"The same by noise level, at {plural(last.images, 'image')}")
            _noise_axis(axis, last.noise)
        label = "Condition gap over training" + (" and by noise level" if by_level else "")
        return to_svg(figure, "gaps", label)


def _gap_line(
    axis: Axes,
    places: Sequence[float],
    found: tuple[Sequence[float], Sequence[float]],
    colour: str,
    name: str,
) -> None:
    """Gaps and their 95 % interval, of ``found``: gaps and standard errors."""
    middle, half = np.array(found[0]), Z * np.array(found[1])
    axis.plot(places, middle, color=colour, marker="o", markersize=3.2, label=name)
    band(axis, places, list(middle - half), list(middle + half), colour)


def rate_figure(history: History) -> Markup | None:
    """Learning rate, gradient norm and images per second; None if none was logged."""
    wanted: Sequence[tuple[str, str]] = (
        ("learning_rate", "Learning rate"),
        ("grad_norm", "Gradient norm"),
        ("images_per_second", "Images per second"),
    )
    if not any(len(history.series(name)[0]) for name, _ in wanted):
        return None
    with drawing():
        figure, axes = panels(3, height=2.35)
        for axis, (name, title) in zip(axes, wanted, strict=True):
            seen, values = history.series(name)
            axis.set_title(title)
            if len(seen) == 0:
                _absent(axis, "not logged")
            else:
                axis.plot(seen, values, color=FIRST, linewidth=1.7)
                axis.set_ylim(0, _top(values))
            if name == "learning_rate":
                axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
            images_axis(axis, history.images)
        return to_svg(figure, "rates", "Learning rate, gradient norm and throughput")


def evaluation_figure(history: History) -> Markup | None:
    """Kernel distance of samples to the validation images over training; None if not measured."""
    measured = history.measured
    if not measured:
        return None
    seen = [event.images or 0 for event in measured]
    names = ("kid", "low", "high")
    kid, low, high = (
        np.array([event.number(name) for event in measured], dtype=np.float64) for name in names
    )
    with drawing():
        figure, (axis,) = panels(1, width=4.6, height=2.4)
        axis.set_title("Kernel distance of samples to the validation images, with 95% intervals")
        band(axis, seen, low.tolist(), high.tolist(), FIRST)
        axis.plot(seen, kid, color=FIRST, marker="o", markersize=3.4)
        if (floor := measured[-1].number("floor")) is not None:
            axis.axhline(
                floor,
                color=REFERENCE,
                linestyle=(0, (4, 3)),
                linewidth=1.5,
                label="training images in place of the samples",
            )
        best = int(kid.argmin())
        axis.plot([seen[best]], [kid[best]], "o", color=GOOD, markersize=7, label="best")
        axis.legend(loc="upper right")
        images_axis(axis, history.images)
        return to_svg(figure, "evaluations", "Kernel distance over images seen")


def smoothed(values: Series, share: float = 0.06) -> Series:
    """Centred moving average over ``share`` of the series, narrower at the ends: no lag."""
    half = int(len(values) * share / 2)
    if half == 0:
        return values
    total = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    reach = np.minimum(half, np.minimum(place, len(values) - 1 - place))
    return (total[place + reach + 1] - total[place - reach]) / (2 * reach + 1)


def _latest(history: History) -> list[tuple[str, Validation]]:
    found = []
    for weights in ("raw", "ema"):
        validations = history.validated(weights)
        if validations:
            found.append((weights, validations[-1]))
    return found


def _top(values: Series) -> float:
    """Top of an axis from 0 that a few wild values do not squeeze."""
    usual = float(np.quantile(values, 0.98)) * 1.5
    return max(min(float(values.max()) * 1.08, usual), 1e-12)


def _logarithmic(axis: Axes, values: Series) -> None:
    """Use a logarithmic scale where the values are positive and span more than a factor of four."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0 or finite.min() <= 0 or finite.max() / finite.min() < 4:
        return
    axis.set_yscale("log")
    plain_ticks(axis.yaxis, wide=finite.max() / finite.min() > 30)


def _noise_axis(axis: Axes, noise: Series) -> None:
    axis.set_xscale("log")
    axis.set_xlim(float(noise.min()) * 0.85, float(noise.max()) * 1.18)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axis.set_xlabel("noise / signal  (left: nearly clean, right: nearly pure noise)")
    if axis.get_yscale() == "log":
        axis.yaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def _absent(axis: Axes, text: str) -> None:
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color=INK)
    axis.set_yticks([])
