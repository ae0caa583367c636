"""Likelihood: bits of held-out and of training images, beside histograms; the errors of GANs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from undrift.claims.evidence import Evidence, Values
from undrift.claims.figures import Table, colour_of, mean_of, row_of
from undrift.comparison import verdicts
from undrift.metrics.bounded import POSITIVE
from undrift.metrics.seeds import over_seeds
from undrift.report.figure import Chart, Tones, dashed
from undrift.results.claims import Bits, LikelihoodBits, LikelihoodRefusal
from undrift.results.verdict import ClaimResult

_METHODS = {"elbo": "bound", "ode": "ODE"}


def measure(evidence: Evidence) -> ClaimResult:
    """The verdict from bits of held-out and of training images."""
    held_out: dict[str, Values] = {}
    train: dict[str, Values] = {}
    found = evidence.of(LikelihoodBits)
    for one in found:
        for into, methods in ((held_out, one.held_out), (train, one.train)):
            for method, bits in methods.items():
                into.setdefault(_METHODS[method], {})[one.seed] = bits.value
    baseline = {one.seed: one.histogram for one in found}
    return verdicts.likelihood(baseline, held_out, train)


def _rows(one: LikelihoodBits) -> Mapping[str, Bits]:
    """Bits of a run as the figure and the table call them."""
    words = {"elbo": "variational bound", "ode": "ODE"}
    return {
        f"{words[method]}, {of}": bits[method]
        for method in words
        for of, bits in (("held out", one.held_out), ("training", one.train))
    }


def figures(evidence: Evidence) -> list[Chart]:
    """Every seed as a dot."""
    found = evidence.of(LikelihoodBits)
    if not found:
        return []
    caption = (
        "Bits per dimension of images under the diffusion model, every seed, by the variational "
        "bound and by the probability-flow ODE; the dashed line is what pixel histograms need. "
        "Fewer is better."
    )
    return [Chart("likelihood", caption, lambda tones: _draw(found, tones))]


def _draw(found: Sequence[LikelihoodBits], tones: Tones) -> Figure:
    figure, (axis,) = row_of(1, width=7.2, height=2.4)
    names = list(_rows(found[0]))
    for height, name in enumerate(names):
        values = [_rows(one)[name].value for one in found]
        colour = colour_of("diffusion" if name.endswith("held out") else "dcgan")
        axis.plot(values, [height] * len(values), "o", color=colour, markersize=5, alpha=0.7)
    dashed(axis, sum(one.histogram for one in found) / len(found), tones, upright=True)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)
    axis.grid(axis="x", visible=True)
    axis.set_xlabel("bits per dimension")
    return figure


def tables(evidence: Evidence) -> list[Table]:
    """Means over seeds, and the error of every GAN."""
    found, refusals = evidence.of(LikelihoodBits), evidence.of(LikelihoodRefusal)
    if not found and not refusals:
        return []
    rows = [
        [f"diffusion, {name}", mean_of({r.seed: _rows(r)[name].value for r in found}, POSITIVE, 4)]
        for name in (_rows(found[0]) if found else ())
    ]
    histogram = over_seeds({one.seed: one.histogram for one in found})
    if histogram is not None:
        rows.append(["pixel histograms given the class, held out", f"{histogram.value:.4g}"])
    answers: dict[str, list[str]] = {}
    for one in refusals:
        answers.setdefault(one.answer, []).append(one.method)
    note = (
        "Bound and ODE are likelihoods of two models that share a network, so they need not "
        "agree. A GAN gives images no probability; no proxy is put in its place."
        + "".join(f" {', '.join(by)}: {text}." for text, by in answers.items())
    )
    return [Table(("model", "bits per dimension"), rows, note)]
