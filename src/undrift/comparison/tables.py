"""The tables of a comparison's page, in words and formatted numbers."""

from __future__ import annotations

from collections.abc import Callable

from undrift.comparison.sentences import tuning_words
from undrift.metrics.catalogue import METRICS
from undrift.options.compare import RECIPE
from undrift.options.train import parameter_count
from undrift.report.cost import duration
from undrift.report.figure import short
from undrift.report.metric_table import amount, title_of
from undrift.report.words import Row
from undrift.results.comparison import (
    BudgetResult,
    ComparisonProtocol,
    ComparisonResult,
    ComparisonTuning,
    MethodResult,
    RunResult,
    SeedMean,
    Trial,
)
from undrift.runs.collapse import FAILED
from undrift.wording import plural


def better(metric: str) -> str:
    """Which way is better."""
    return f"{METRICS[metric].better} is better"


def note_of(found: ComparisonResult, table: BudgetResult, row: MethodResult) -> str:
    """What to know before reading the row of a method."""
    parts = [f"{row.done} of {plural(row.runs, 'run')}" if row.done < row.runs else ""]
    if not row.done and row.reasons:
        parts.append(row.reasons[0])
    first, sizes = found.methods[0], found.parameters[table.kind]
    ratio = sizes[row.method].generator / sizes[first].generator
    if abs(ratio - 1) > 0.1:
        parts.append(f"{ratio:.2g} times the parameters of {first}")
    return "; ".join(part for part in parts if part)


def beside(metric: str, mean: SeedMean | None) -> str:
    """The interval of a mean, or why there is none."""
    if mean is None:
        return "not measured"
    if mean.low is None:
        return "one seed"
    if mean.low == mean.high:
        return "the same with every seed"  # which is no promise of another's
    return f"{amount(metric, mean.low)} to {amount(metric, mean.high)}"


def cost_rows(found: ComparisonResult, table: BudgetResult) -> list[list[Row]]:
    """Cost of each method in training and in sampling: columns and their texts."""
    rows = []
    for row in table.methods:
        costs, failed = row.costs, row.failed
        speed = found.speeds[table.kind].get(row.method)
        sizes = found.parameters[table.kind][row.method]
        share = "-"
        if failed.value is not None:
            share = f"{failed.value:.0%} ({failed.low:.0%} to {failed.high:.0%})"
        trials = "-"
        if found.tuning is not None:
            trials = duration(found.tuning.budgets[table.kind][row.method].seconds)
        rows.append(
            [
                ("method", row.method),
                ("failed runs", share),
                ("images seen", _span(costs.get("images"), short)),
                ("updates", _span(costs.get("steps"), short)),
                ("training", _span(costs.get("seconds"), duration)),
                ("trials before", trials),
                ("processor time", _span(costs.get("cpu_seconds"), duration)),
                ("share of a core", _span(costs.get("processor_share"), "{:.0%}".format)),
                ("parameters, generator", f"{sizes.generator:,}"),
                ("parameters, all", f"{sizes.all:,}"),
                ("NFE", f"{speed.nfe:g}" if speed else "-"),
                ("FLOPs per sampled image", short(speed.flops) if speed else "-"),
                ("FLOPs per training image", short(speed.training_flops) if speed else "-"),
                ("one image", _time(speed.single_ms) if speed else "-"),
                ("in batches", _time(speed.batch_ms) if speed else "-"),
            ]
        )
    return rows


def _span(mean: SeedMean | None, words: Callable[[float], str]) -> str:
    """A mean over seeds, with its least and most where they differ visibly."""
    if mean is None:
        return "-"
    low, high = (words(end(mean.values.values())) for end in (min, max))
    return words(mean.value) if low == high else f"{words(mean.value)} ({low} to {high})"


def _time(milliseconds: float) -> str:
    return f"{milliseconds:.3g} ms" if milliseconds < 999.5 else f"{milliseconds / 1000:.3g} s"


def state_of(run: RunResult) -> str:
    """How a run ended; one that ended with bad samples says so."""
    return run.health.replace("_", " ") if run.health in FAILED and run.health else run.state


_SETTINGS = {
    "learning rate": {"learning_rate": ""},
    "batch size": {"batch_size": ""},
    "regularisation": {"penalty": "penalty", "label_dropout": "labels dropped"},
}
"""Axis of the search space -> setting -> what it is called beside its value."""


def tuning_heads(tuning: ComparisonTuning) -> list[str]:
    """Columns of numbers."""
    names = [axis.name for axis in tuning.space]
    return [*names, f"{title_of(tuning.metric)}, validation images", "training"]


def setting_of(axis: str, trial: Trial) -> str:
    """What a trial set along one axis, and by which factor of the recipe's."""
    for setting, word in _SETTINGS[axis].items():
        if setting in trial.settings:
            times = f"x {trial.factors[axis]:.2g}"
            if setting == "penalty":
                return f"{word} {times}"
            return f"{word} {trial.settings[setting]:.3g} ({times})".strip()
    return "recipe" if trial.point == 0 else "-"


def protocol_of(found: ComparisonResult) -> list[Row]:
    """What was the same for all, and how the numbers came about."""
    facts = found.protocol
    margins = [f"{title_of(name)}: {words}" for name, words in found.margins.items()]
    return [
        ("data", f"{found.data}, fingerprint {facts.fingerprint[:16]}"),
        ("split", f"{plural(facts.train_images, 'training image')}; the rest is held out"),
        ("classes", str(facts.classes) if facts.classes else "not used"),
        ("parameters", _sizes(facts.parameters)),
        ("batch", str(facts.batch_size or "each method's own")),
        ("mirrored", "at random, for all" if facts.flip else "no"),
        ("settings", tuning_words(found.tuning)),
        ("seeds", ", ".join(map(str, found.seeds))),
        ("machine", _machine(facts)),
        ("measured", facts.measuring),
        ("samples", f"{facts.n:,} of each run, with seed {facts.sample_seed}"),
        (
            "intervals",
            "95 %, Student's t over training seeds: what other seeds would give, on the same "
            "data and reference images; as score intervals, which stay within what a metric can "
            "be (from 0, or 0 to 100%). Not corrected for there being several.",
        ),
        ("differences", "within each seed, less the first method's"),
        ("margins", "; ".join(margins)),
        (
            "verdicts",
            "better or worse: the whole interval lies beyond the margin; alike: within it; else "
            "open. Margins are the program's, fixed before any run.",
        ),
        (
            "failed runs",
            "without samples, or, where runs were evaluated periodically, collapsed, diverged or "
            "not finite in the end by one rule for all methods",
        ),
        (
            "images seen",
            "real images of the main phase; a GAN's discriminator sees as many of the generator's "
            "beside them",
        ),
        (
            "training time",
            "wall clock from the probe to the last step, periodic evaluations included; processor "
            "time is of the whole process, samples and report included",
        ),
        (
            "FLOPs",
            "matrix products, convolutions and attention, two per multiply-add; in training per "
            "real image seen: every phase of a throw-away model, the second backward of gradient "
            "penalties and the optimiser's matrix products among it; what goes value by value "
            "(norms, activations, Adam) is not counted",
        ),
        (
            "speed",
            "median time to sample one image alone, and per image in a batch of 64, of one run of "
            f"each method, one after the other when all runs had ended{_timed_on(found)}",
        ),
        ("version", f"undrift {found.version}"),
    ]


def _timed_on(found: ComparisonResult) -> str:
    """Where speeds were measured, if that is not where runs were trained."""
    devices = {one.device for by_method in found.speeds.values() for one in by_method.values()}
    return "".join(f"; on {device}" for device in sorted(devices - {found.protocol.device}))


def _sizes(requested: str | None) -> str:
    """What the sizes of the networks follow."""
    if requested is None:
        return "of the denoiser or generator: the first method's, within 10 %, by width"
    if requested == RECIPE:
        return "each recipe's own"
    return f"of the denoiser or generator: {parameter_count(requested):,}, within 10 %, by width"


def _machine(facts: ComparisonProtocol) -> str:
    runs = f"{plural(facts.workers, 'run')} at a time"
    threads = plural(facts.threads, "thread")
    return f"{facts.device}, {runs}, {threads} each"
