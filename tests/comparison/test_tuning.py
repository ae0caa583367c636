"""Equal sizes and equal tuning: the same trials for all, measured apart, used with every seed."""

from __future__ import annotations

from dataclasses import replace
from math import log
from pathlib import Path

import pytest
from tests.comparison.fake_executor import IMAGES, RUN, TRIALS, FakeExecutor, option
from tests.comparison.test_run import COMPARISON, SPEED, by_method

import undrift.data
from undrift.comparison import Method, recipes_of, run, run_comparison
from undrift.comparison.methods import Budget
from undrift.comparison.tuning import SPACE, factors_of, settings_of
from undrift.errors import UsageError
from undrift.options.train import TrainOptions
from undrift.runs.recipes import resolve

TUNED = replace(COMPARISON, trials=3, seeds=2)
SEED = str(2**32)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "speed_of", lambda *_: SPEED)
    monkeypatch.setattr(run, "training_flops", lambda *_: 3e6)
    monkeypatch.setattr(run, "write_page", lambda *_: None)
    monkeypatch.setattr(run, "all_metrics", lambda *_: None)
    return tmp_path


def words_of(executor, verb="train"):
    """Name of the run -> words of its command."""
    found = {}
    for words in executor.commands:
        if words[0] == verb:
            out = option(words, "--out") if verb == "train" else words[1]
            found[Path(out).name] = words
    return found


def sizes(found):
    return {name: count.generator for name, count in found.parameters["images"].items()}


def test_generators_get_the_size_of_the_first_methods_unless_one_is_named():
    executor = FakeExecutor()
    found = run_comparison(replace(COMPARISON, seeds=1), executor=executor)
    trained, first = words_of(executor), sizes(found)["diffusion"]
    assert "--parameters" not in trained["diffusion-640images-0"]
    for name in ("r3gan", "dcgan"):
        assert option(trained[f"{name}-640images-0"], "--parameters") == str(first)
        assert abs(sizes(found)[name] / first - 1) <= 0.1

    executor = FakeExecutor()
    found = run_comparison(
        replace(COMPARISON, seeds=1, parameters="0.2M", out="b"), executor=executor
    )
    assert all(abs(size / 200_000 - 1) <= 0.1 for size in sizes(found).values())
    assert {option(words, "--parameters") for words in words_of(executor).values()} == {"200000"}

    executor = FakeExecutor()
    found = run_comparison(
        replace(COMPARISON, seeds=1, parameters="recipe", out="c"), executor=executor
    )
    assert any("--parameters" in words for words in executor.commands) is False
    assert any("generators are not of one size" in line for line in found.remarks)


def test_a_method_with_a_size_of_its_own_keeps_it():
    large = Method("large", "diffusion", {"parameters": "0.5M"})
    comparison = replace(
        COMPARISON, methods=(*COMPARISON.methods[:1], large), seeds=1, metrics=("coverage",)
    )
    found = run_comparison(comparison, executor=FakeExecutor({"large-640images-0": 5}))
    assert abs(sizes(found)["large"] / 500_000 - 1) <= 0.1
    assert sizes(found)["diffusion"] < 400_000


def test_a_size_that_changed_is_another_comparison():
    run_comparison(replace(COMPARISON, seeds=1), executor=FakeExecutor())
    with pytest.raises(UsageError, match="parameters of .*-640images is .* there and '200000' now"):
        run_comparison(replace(COMPARISON, seeds=1, parameters="200000"), executor=FakeExecutor())


def test_every_method_has_the_same_trials_measured_on_validation_images_and_the_best_is_used():
    executor = FakeExecutor()
    found = run_comparison(TUNED, executor=executor)
    trained, measured = words_of(executor), words_of(executor, "evaluate")
    trials = [name for name in trained if RUN.fullmatch(name)["seed"] is None]
    assert list(trained)[: len(trials)] == trials  # before any run
    assert trials[:4] == [f"{method.name}-640images-trial0" for method in TUNED.methods] + [
        "diffusion-640images-trial1"  # number by number: cut short, all have had as many
    ]
    assert len(trials) == 3 * 3
    for name in trained:
        trial = name in trials
        assert (option(trained[name], "--seed") == SEED) is trial
        assert ("validation" in measured[name]) is trial
        assert ("coverage" in measured[name]) is not trial
    assert "--lr" not in trained["r3gan-640images-trial0"]  # the recipe itself
    for name, point in (("diffusion", 0), ("r3gan", 2), ("dcgan", 1)):
        best = found.tuning.budgets["images"][name]
        assert best.point == point and len(best.trials) == 3
        assert best.trials[point].value == TRIALS[name, point]
        assert best.seconds == 3 * 10.0
        place = f"-trial{point}" if point else ""
        for seed in ("0", "1"):
            words = trained[f"{name}-640images{place}-{seed}"]
            assert option(words, "--seed") == seed
            tried = trained[f"{name}-640images-trial{point}"]
            own = ("--seed", "--out")
            assert [w for k, w in enumerate(words) if words[k - 1] not in own] == [
                w for k, w in enumerate(tried) if tried[k - 1] not in own
            ]
    records = [one for one in found.runs if one.method == "r3gan"]
    assert [(one.point, one.seed) for one in records] == [(2, 0), (2, 1)]
    assert by_method(found)["r3gan"].metrics["fd"].n == 2
    assert len(found.runs) == 6  # trials are in no mean


def test_trials_are_kept_and_more_of_them_join():
    first = FakeExecutor()
    found = run_comparison(TUNED, executor=first)
    again = FakeExecutor()
    assert run_comparison(TUNED, executor=again).tuning == found.tuning
    assert again.commands == []
    more = FakeExecutor()
    found = run_comparison(replace(TUNED, trials=4), executor=more)
    assert sorted(words_of(more)) == [f"{method}-640images-trial3" for method in FD_ORDER]
    assert found.tuning.budgets["images"]["r3gan"].point == 2
    untuned = FakeExecutor()  # only the diffusion model's runs were the recipe's
    run_comparison(replace(TUNED, trials=0), executor=untuned)
    assert sorted(words_of(untuned)) == [
        f"{method}-640images-{seed}" for method in ("dcgan", "r3gan") for seed in (0, 1)
    ]


FD_ORDER = ("dcgan", "diffusion", "r3gan")


def test_an_interruption_among_the_trials_repeats_none_of_them():
    seen = []

    def before(command):
        seen.append(command)
        if len(seen) == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_comparison(TUNED, executor=FakeExecutor(before=before))
    rest = FakeExecutor()
    run_comparison(TUNED, executor=rest)
    assert rest.verbs[:1] == ["evaluate"]  # the fourth trial was trained and not measured
    assert rest.verbs.count("train") == 5 + 6


def test_a_trial_that_fails_cannot_win_and_without_any_the_recipe_stays():
    codes = {"r3gan-640images-trial2": 5} | {f"dcgan-640images-trial{k}": 5 for k in range(3)}
    found = run_comparison(TUNED, executor=FakeExecutor(codes))
    tuned = found.tuning.budgets["images"]
    assert tuned["r3gan"].point in (0, 1) and tuned["dcgan"].point == 0
    lost = tuned["r3gan"].trials[2]
    assert lost.value is None and lost.reason == "no finite loss; lower --lr"
    assert any("r3gan, tuned at equal images: 1 of 3 trials" in line for line in found.remarks)
    (line,) = (line for line in found.remarks if "3 of 3 trials failed" in line)
    assert line.endswith("its recipe is used")
    assert by_method(found)["dcgan"].done == 2


def test_shorter_trials_of_two_budgets_are_tuned_apart():
    comparison = replace(
        COMPARISON,
        methods=recipes_of(("r3gan",)),
        seeds=1,
        trials=2,
        trial_share=0.25,
        budget="10s",
    )
    executor = FakeExecutor()
    found = run_comparison(comparison, executor=executor)
    names = sorted(name for name in words_of(executor) if RUN.fullmatch(name)["seed"] is None)
    assert names == [f"r3gan-{budget}-trial{k}" for budget in ("160images", "2.5s") for k in (0, 1)]
    assert option(words_of(executor)["r3gan-2.5s-trial0"], "--budget") == "2.5s"
    tuned = found.tuning.budgets
    assert {kind: len(by_method["r3gan"].trials) for kind, by_method in tuned.items()} == {
        "seconds": 2,
        "images": 2,
    }
    assert found.tuning.share == 0.25


def test_shorter_trials_have_networks_of_full_size():
    """With 20 minutes a CPU gets the wide networks, with 5 it would not."""
    timed = {"budget": "20m", "images": None, "trials": 2, "trial_share": 0.25}
    executor = FakeExecutor()
    found = run_comparison(
        replace(COMPARISON, methods=COMPARISON.methods[:1], seeds=1, **timed), executor=executor
    )
    size = found.parameters["seconds"]["diffusion"].generator
    trials = {n: words for n, words in words_of(executor).items() if "trial" in n}
    assert [option(words, "--parameters") for words in trials.values()] == [str(size)] * 2
    (run,) = (words for name, words in words_of(executor).items() if name not in trials)
    assert "--parameters" not in run
    images = undrift.data.load("digits")
    short = TrainOptions(budget="5m", parameters=str(size))
    model = resolve("digits", short, images, device="cpu").model
    long = resolve("digits", TrainOptions(budget="20m"), images, device="cpu").model
    assert model.network == long.network


def test_a_share_of_a_budget():
    assert Budget("seconds", "2m").times(1).amount == "2m"
    assert Budget("seconds", "2m").times(0.5).amount == "60s"
    assert Budget("seconds", "1s").times(1 / 3).amount == "0.333s"
    assert Budget("images", "3").times(0.1).amount == "1"


def test_without_images_to_tune_on_there_is_no_tuning():
    executor = FakeExecutor()
    with pytest.raises(UsageError, match="^trials: digits has no validation images to tune on"):
        run_comparison(replace(TUNED, holdout=0.0), executor=executor)
    assert executor.commands == []


def test_the_first_point_is_the_recipe_and_the_others_fill_every_axis():
    assert factors_of(0) == {factor.name: 1.0 for factor in SPACE}
    rates = [factors_of(k)["learning rate"] for k in range(8)]  # by hand, from 0.5 0 0.75 0.25 ...
    assert rates == pytest.approx([4**e for e in (0, -1, 0.5, -0.5, 0.25, -0.75, 0.75, -0.25)])
    batches = [factors_of(k)["batch size"] for k in range(4)]  # 1/2, 5/6, 1/6, 11/18
    assert batches == pytest.approx([2**e for e in (0, 2 / 3, -2 / 3, 2 / 9)])
    for factor in SPACE:
        values = [factors_of(k)[factor.name] for k in range(64)]
        assert all(1 / factor.most <= value <= factor.most for value in values)
        places = sorted(log(value, factor.most) for value in values)
        gaps = [b - a for a, b in zip([-1.0, *places], [*places, 1.0], strict=True)]
        assert max(gaps) <= 2 / 25 + 1e-9  # base 5 has 25 even places by then
    planes = {
        (int(4 * log(first, 4) + 4), int(4 * log(second, 2) + 4))
        for first, second in (list(factors_of(k).values())[:2] for k in range(128))
    }
    assert len(planes) >= 60  # of 64: the axes do not go together


@pytest.fixture(scope="module")
def images():
    return undrift.data.load("digits")


def recipe(images, method, **settings):
    comparison = TrainOptions(method=method, images=IMAGES, **settings)
    return resolve("digits", comparison, images, device="cpu")


@pytest.mark.parametrize(
    ("method", "third"),
    [
        ("diffusion", "label_dropout"),
        ("r3gan", "penalty"),
        ("stylegan2", "penalty"),
        ("wgan_gp", "penalty"),
        ("sngan", None),
        ("dcgan", None),
    ],
)
def test_a_trial_multiplies_what_the_recipe_has(images, method, third):
    config = recipe(images, method)
    assert settings_of(0, config, {}) == {}
    factors, made = factors_of(5), settings_of(5, config, {})
    tried = recipe(images, method, **made)
    name = "optimizer" if method == "diffusion" else "generator_optimizer"
    before, after = (getattr(one.model, name).learning_rate for one in (config, tried))
    assert after / before == pytest.approx(factors["learning rate"], rel=0.01)
    wanted = config.training.batch_size * factors["batch size"]
    assert tried.training.batch_size == pytest.approx(wanted, abs=4)
    assert set(made) == {"learning_rate", "batch_size"} | ({third} if third else set())
    if third == "penalty":
        adapted = recipe(images, method, batch_size=made["batch_size"])
        one, other = (run.model.penalty for run in (tried, adapted))
        times = (one.r1 + one.two_sided) / (other.r1 + other.two_sided)
        assert times == pytest.approx(factors["regularisation"], rel=0.01)
    elif third:
        times = tried.model.label_dropout / config.model.label_dropout
        assert times == pytest.approx(factors["regularisation"], rel=0.01)


def test_what_is_fixed_or_absent_is_left_out_and_a_methods_own_is_multiplied(images):
    assert "batch_size" not in settings_of(1, recipe(images, "r3gan"), {"batch_size": 32})
    blind = recipe(images, "diffusion", conditional=False)
    assert set(settings_of(1, blind, {})) == {"learning_rate", "batch_size"}
    own = settings_of(1, recipe(images, "r3gan", penalty=2.0), {"penalty": 2.0})
    assert own["penalty"] == pytest.approx(2 * factors_of(1)["regularisation"], rel=0.01)
    least = settings_of(1, recipe(images, "r3gan", batch_size=4), {})
    assert least["batch_size"] == 8
