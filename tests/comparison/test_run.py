"""Comparisons from beginning to end, on runs with planted results: alike, resumable, truthful."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.comparison.fake_executor import IMAGES, STUDENT_IMAGES, FakeExecutor, option

from undrift.comparison import (
    Compare,
    Method,
    recipes_of,
    run,
    run_comparison,
    sentences,
    summary,
)
from undrift.comparison.journal import Journal
from undrift.comparison.methods import Run
from undrift.comparison.plan import open_plan
from undrift.comparison.work import RunWork, _metric
from undrift.errors import UsageError
from undrift.files.lock import FileLock
from undrift.metrics.results import MapResult, MaskResult, MetricResult, PromptResult
from undrift.results.comparison import SamplingSpeed, read_comparison
from undrift.schema import to_plain
from undrift.training.learners.diffusion import DiffusionConfig
from undrift.training.learners.student_config import StudentConfig
from undrift.version import __version__

COMPARISON = Compare(
    data="digits",
    out="out",
    methods=recipes_of(("diffusion", "r3gan", "dcgan")),
    seeds=3,
    images=IMAGES,
    metrics=("fd", "coverage"),
    n=100,
    threads=1,
)
NAMES = [
    f"{method.name}-{IMAGES}images-{seed}" for seed in range(3) for method in COMPARISON.methods
]
SPEED = SamplingSpeed(nfe=1.0, flops=1e6, single_ms=2.0, batch_ms=0.5, batch=64, threads=1)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "speed_of", lambda *_: SPEED)
    monkeypatch.setattr(run, "training_flops", lambda *_: 3e6)
    monkeypatch.setattr(run, "write_page", lambda *_: None)  # its tests are beside
    monkeypatch.setattr(run, "all_metrics", lambda *_: None)
    return tmp_path


def by_method(found, place=0):
    return {row.method: row for row in found.budgets[place].methods}


def test_every_run_is_trained_and_measured_alike():
    executor = FakeExecutor()
    found = run_comparison(COMPARISON, executor=executor)
    assert executor.verbs == ["train", "evaluate"] * 9
    names = [Path(option(words, "--out")).name for words in executor.commands[::2]]
    assert names[:4] == ["diffusion-640images-0", "r3gan-640images-0", "dcgan-640images-0"] + [
        "diffusion-640images-1"  # seed by seed: cut short, it is a balanced one
    ]
    own = ("--method", "--seed", "--out", "--parameters")
    alike = {
        tuple(w for k, w in enumerate(words) if not {w, words[k - 1]} & {*own})
        for words in executor.commands[::2]
    }
    assert len(alike) == 1 and "--images" in alike.pop()
    measured = {words[2:-1] for words in executor.commands[1::2]}
    assert len(measured) == 1  # features, n, seed, all but the run and where the result goes
    assert [one.state for one in found.runs] == ["done"] * 9
    assert all(one.images == IMAGES and one.seconds == 10.0 for one in found.runs)


def test_means_intervals_contrasts_and_verdicts_come_from_the_planted_numbers():
    found = run_comparison(COMPARISON, executor=FakeExecutor())
    rows = by_method(found)
    assert rows["diffusion"].metrics["fd"].value == pytest.approx(12.0, abs=0.02)
    wide = rows["r3gan"].metrics["fd"]
    assert 0 < wide.low < 10 and 30 < wide.high and wide.n == 3  # seeds differ by 10
    paired = rows["r3gan"].contrasts["fd"]  # which cancels within each seed
    assert paired.value == pytest.approx(3.0, abs=0.02) and paired.high - paired.low < 0.1
    assert paired.margin == pytest.approx(1.2, abs=0.01) and paired.standing == "worse"
    assert rows["r3gan"].contrasts["coverage"].standing == "worse"
    assert not rows["diffusion"].contrasts
    assert found.budgets[0].floors == pytest.approx({"fd": 0.5, "coverage": 0.95})
    sizes = found.parameters["images"]
    assert sizes["r3gan"].all > sizes["r3gan"].generator > 0
    assert sizes["diffusion"].all == sizes["diffusion"].generator
    assert not any("not of one size" in line for line in found.remarks)
    assert to_plain(read_comparison(Path("out/report.json"))) == to_plain(found)


def test_claims_about_the_two_families_get_their_verdicts():
    found = run_comparison(replace(COMPARISON, seeds=5), executor=FakeExecutor())
    claims = found.budgets[0].claims
    names = ["stability", "coverage", "scaling", "control", "likelihood", "inference"]
    assert [claim.name for claim in claims] == names
    stable, covered, *rest = claims
    assert covered.verdict == "supported" and covered.value == pytest.approx(0.3)
    assert stable.verdict == "inconclusive" and stable.value == 0
    for claim in (rest[0], rest[2], rest[3]):
        assert claim.verdict == "inconclusive" and claim.value is None
        assert "`undrift claims` does that" in claim.reason
    top = json.loads(Path("out/report.json").read_text())["claims"]
    assert top == [{**to_plain(claim), "ledger": "images"} for claim in claims]
    pair = replace(COMPARISON, methods=recipes_of(("r3gan", "dcgan")), out="alone")
    alone = run_comparison(pair, executor=FakeExecutor())
    assert alone.budgets[0].claims == ()


FAST = Method("r3gan-fast", "r3gan", {"learning_rate": 0.004, "conditional": False, "flip": True})


def test_methods_of_one_recipe_are_rows_of_their_own_trained_with_their_settings():
    comparison = replace(COMPARISON, methods=(*COMPARISON.methods[:2], FAST), parameters="recipe")
    executor = FakeExecutor()
    found = run_comparison(comparison, executor=executor)
    trained = {Path(words[-1]).name: words for words in executor.commands[::2]}
    fast, plain = trained["r3gan-fast-640images-0"], trained["r3gan-640images-0"]
    assert option(fast, "--method") == "r3gan" and option(fast, "--lr") == "0.004"
    assert set(fast) - set(plain) >= {"--lr", "--unconditional", "--flip"}
    rows = by_method(found)
    assert rows["r3gan-fast"].base == "r3gan"
    assert rows["r3gan-fast"].contrasts["fd"].value == pytest.approx(2.0, abs=0.02)
    assert rows["r3gan"].contrasts["fd"].value == pytest.approx(3.0, abs=0.02)
    records = [one for one in found.runs if one.method == "r3gan-fast"]
    assert [(one.base, one.settings) for one in records] == [("r3gan", FAST.settings)] * 3
    assert found.method_settings[2] == FAST.as_result()
    assert found.command == ""  # no flag says what a method has of its own
    assert len(found.budgets[0].claims) == 6  # one diffusion model against two of GANs
    two = [
        replace(row, base="diffusion") if row.method == "r3gan" else row for row in rows.values()
    ]
    assert summary.claims_of(two, "images") == ()  # which of two diffusion models would it be?


def test_a_method_that_changed_under_its_name_is_refused():
    run_comparison(
        replace(COMPARISON, methods=(COMPARISON.methods[0], FAST)), executor=FakeExecutor()
    )
    other = Method("r3gan-fast", "r3gan", {"learning_rate": 0.008})
    pattern = r"learning_rate of r3gan-fast-640images is 0.004 there and 0.008 now"
    with pytest.raises(UsageError, match=pattern):
        run_comparison(
            replace(COMPARISON, methods=(COMPARISON.methods[0], other)), executor=FakeExecutor()
        )
    again = FakeExecutor()  # others may come and go
    run_comparison(replace(COMPARISON, methods=COMPARISON.methods[:2]), executor=again)
    assert again.verbs == ["train", "evaluate"] * 3


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (("a", "biggan"), "methods biggan: wanted diffusion"),
        (("a/b", "r3gan"), "wanted a name of letters"),
        (("", "r3gan"), "wanted a name of letters"),
        (("a", "r3gan", {"rate": 1}), "there is no setting rate"),
        (("a", "r3gan", {"images": 1}), "images is shared by all methods"),
        (("a", "r3gan", {"size": 8}), "size is shared by all methods"),
        (("a", "consistency", {"flip": True}), "consistency is distilled, .*leave them out"),
    ],
)
def test_an_invalid_method_is_refused(words, pattern):
    with pytest.raises(UsageError, match=pattern):
        Method(*words)


def test_a_student_learns_from_the_run_of_its_seed_and_costs_what_both_do():
    methods = recipes_of(("diffusion", "consistency", "r3gan"))
    comparison = replace(COMPARISON, methods=methods, seeds=2, bare=True, evaluate_every=4)
    executor = FakeExecutor()
    found = run_comparison(comparison, executor=executor)
    assert executor.verbs == ["train", "evaluate"] * 4 + ["distill", "evaluate"] * 2
    distilled = [words for words in executor.commands if words[0] == "distill"]
    for seed, words in enumerate(distilled):
        assert Path(words[1]).name == f"diffusion-640images-{seed}"
        assert option(words, "--images") == str(IMAGES // 2)  # half of its teacher's
        assert option(words, "--method") == "consistency" and "--bare" in words
        assert option(words, "--evaluate-every") == "4"
    costs = {one.name: (one.images, one.seconds, one.cpu_seconds) for one in found.runs}
    assert costs["diffusion-640images-0"] == (IMAGES, 10.0, 1.0)
    assert costs["consistency-640images-0"] == (IMAGES + STUDENT_IMAGES, 20.0, 2.0)
    assert any("consistency: distilled from diffusion" in line for line in found.remarks)
    (table,) = found.budgets
    assert table.words == (
        "equal images (640 seen in training each, consistency 960 with its teacher's)"
    )
    assert all("consistency" not in claim.reason for claim in table.claims)  # it is no GAN
    sizes = found.parameters["images"]
    assert sizes["consistency"].generator == sizes["diffusion"].generator
    again = FakeExecutor()
    assert run_comparison(comparison, executor=again).runs == found.runs and not again.commands


def test_a_students_arithmetic_is_the_mean_over_images_that_it_and_its_teacher_saw(monkeypatch):
    monkeypatch.setattr(run, "training_flops", lambda config, *_: costs[type(config.model)])
    costs = {DiffusionConfig: 1e6, StudentConfig: 4e6}
    methods = recipes_of(("diffusion", "consistency", "reflow"))
    timed = replace(COMPARISON, methods=methods, seeds=1, images=None, budget="1m")
    executor = FakeExecutor()
    found = run_comparison(timed, executor=executor)
    assert [option(words, "--budget") for words in executor.commands[::2]] == ["1m", "30s", "30s"]
    speeds = found.speeds["seconds"]
    assert speeds["diffusion"].training_flops == 1e6
    mean = (IMAGES * 1e6 + STUDENT_IMAGES * 4e6) / (IMAGES + STUDENT_IMAGES)
    assert speeds["consistency"].training_flops == pytest.approx(mean)
    heading = "equal seconds (1m of training each, consistency and reflow 90s with their teacher's)"
    assert found.budgets[0].words == heading and not found.budgets[0].claims
    assert heading in sentences.lead_of(found) and heading in sentences.headlines(found)[0]


def test_a_student_whose_teacher_failed_says_so():
    comparison = replace(COMPARISON, methods=recipes_of(("consistency", "diffusion")), seeds=1)
    executor = FakeExecutor({"diffusion-640images-0": 4})
    found = run_comparison(comparison, executor=executor, brief=True)
    assert executor.verbs == ["train"]
    student, teacher = found.runs
    assert student.state == teacher.state == "failed"
    assert student.reason == "its teacher, diffusion-640images-0, failed"


def test_finished_runs_are_not_repeated_and_new_seeds_join_them():
    first = run_comparison(COMPARISON, executor=FakeExecutor())
    again = FakeExecutor()
    assert run_comparison(COMPARISON, executor=again).budgets == first.budgets
    assert again.commands == []
    more = FakeExecutor()
    found = run_comparison(replace(COMPARISON, seeds=4), executor=more)
    assert more.verbs == ["train", "evaluate"] * 3
    assert by_method(found)["dcgan"].metrics["fd"].n == 4


def test_measuring_otherwise_trains_nothing_again():
    run_comparison(COMPARISON, executor=FakeExecutor())
    other = FakeExecutor()
    run_comparison(replace(COMPARISON, n=50), executor=other)
    assert other.verbs == ["evaluate"] * 9


def test_a_folder_with_another_comparison_is_refused():
    run_comparison(COMPARISON, executor=FakeExecutor())
    with pytest.raises(UsageError, match=r"flip is False there and True now; name another folder"):
        run_comparison(replace(COMPARISON, flip=True), executor=FakeExecutor())


EARLIER = {
    "version": __version__,
    "data": "digits",
    "fingerprint": "0f321e1552e83ea595c757732c827f85",
    "train_images": 1537,
    "shape": [8, 8, 1],
    "classes": 10,
    "size": None,
    "channels": None,
    "label_column": None,
    "batch_size": None,
    "flip": False,
    "conditional": True,
    "holdout": 0.05,
    "evaluate_every": None,
    "evaluate_samples": 1000,
    "bare": False,
    "device": "cpu",
    "threads": 1,
}
"""What `COMPARISON` stored before there were captions, numbers and maps."""


def test_a_comparison_begun_before_there_were_captions_numbers_and_maps_goes_on():
    comparison = replace(COMPARISON, methods=COMPARISON.methods[:1], seeds=1)
    run_comparison(comparison, executor=FakeExecutor())
    Path("out/protocol.json").write_text(json.dumps(EARLIER))
    again = FakeExecutor()
    run_comparison(comparison, executor=again)
    assert not again.commands
    with pytest.raises(UsageError, match=r"maps is \[\] there and \['edges'\] now"):
        run_comparison(replace(comparison, maps=("edges",)), executor=again)


def test_a_run_that_diverges_is_a_result_and_one_that_is_killed_is_tried_again():
    executor = FakeExecutor({"r3gan-640images-1": 5, "dcgan-640images-0": -9})
    found = run_comparison(COMPARISON, executor=executor)
    states = {one.name: one.state for one in found.runs}
    assert states["r3gan-640images-1"] == "diverged" and states["dcgan-640images-0"] == "failed"
    row = by_method(found)["r3gan"]
    assert (row.runs, row.done) == (3, 2)
    assert row.failed.value == pytest.approx(1 / 3)
    assert row.failed.low < 1 / 3 < row.failed.high
    assert row.reasons == ("seed 1: no finite loss; lower --lr",)
    assert row.metrics["fd"].n == 2 and row.contrasts["fd"].n == 2
    lost = by_method(found)["dcgan"]
    assert lost.reasons == ("seed 0: killed by signal SIGKILL",)
    assert (lost.failed.count, lost.failed.of) == (0, 2)  # says nothing of the method
    assert sum("runs failed and are in no mean" in line for line in found.remarks) == 2

    again = FakeExecutor()
    found = run_comparison(COMPARISON, executor=again)
    assert [Path(words[-1]).name for words in again.commands[:1]] == ["dcgan-640images-0"]
    assert again.verbs == ["train", "evaluate"]
    assert by_method(found)["dcgan"].done == 3 and by_method(found)["r3gan"].done == 2


def test_a_run_that_collapsed_counts_as_failed_and_keeps_its_numbers():
    found = run_comparison(
        COMPARISON, executor=FakeExecutor(health={"r3gan-640images-2": "collapsed"})
    )
    row = by_method(found)["r3gan"]
    assert row.done == 3 and row.metrics["fd"].n == 3
    assert row.failed.value == pytest.approx(1 / 3)
    assert row.reasons == ("seed 2: collapsed in the end, by its periodic evaluations",)
    assert any("1 of 3 runs ended collapsed or diverged" in line for line in found.remarks)
    assert by_method(found)["dcgan"].failed.value == 0


def test_when_no_run_can_be_measured_the_reason_is_the_error():
    codes = dict.fromkeys(NAMES, 2)
    with pytest.raises(UsageError, match="no run could be measured: no finite loss"):
        run_comparison(COMPARISON, executor=FakeExecutor(codes))


def test_an_interruption_keeps_what_is_finished():
    seen = []

    def before(command):
        seen.append(command)
        if len(seen) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_comparison(COMPARISON, executor=FakeExecutor(before=before))
    rest = FakeExecutor()
    run_comparison(COMPARISON, executor=rest)
    # two runs were whole, the third was trained and not measured
    assert rest.verbs == ["evaluate"] + ["train", "evaluate"] * 6


def test_two_budgets_stand_apart():
    comparison = replace(COMPARISON, budget="10s", methods=recipes_of(("diffusion", "r3gan")))
    found = run_comparison(comparison, executor=FakeExecutor())
    assert [table.kind for table in found.budgets] == ["seconds", "images"]
    assert {one.name for one in found.runs} >= {"r3gan-10s-0", "r3gan-640images-0"}
    assert len(found.runs) == 12 and by_method(found, 1)["r3gan"].runs == 3


def test_one_seed_says_so_and_a_shared_processor_is_told():
    executor = FakeExecutor(cpu=0.4)
    found = run_comparison(replace(COMPARISON, seeds=1), executor=executor)
    entry = by_method(found)["r3gan"].contrasts["fd"]
    assert entry.low is None and entry.standing == "open"
    assert any("one seed has no interval" in line for line in found.remarks)
    assert any("got 0.40 to 0.40 processor cores" in line for line in found.remarks)


def test_of_several_threads_a_run_is_held_against_the_best_of_its_method():
    found = run_comparison(COMPARISON, executor=FakeExecutor())

    def told(**shares):
        runs = [replace(one, processor_share=shares[one.method][one.seed]) for one in found.runs]
        lines = sentences.remarks(runs, found.budgets, found.parameters, found.protocol, None)
        return [line for line in lines if "processor cores" in line]

    alike = {"r3gan": [1.3, 1.28, 1.3], "dcgan": [1.0, 0.98, 0.99]}
    assert told(diffusion=[1.9, 1.85, 1.9], **alike) == []
    (line,) = told(diffusion=[1.9, 1.0, 1.85], **alike)
    assert line.startswith("runs of one method got 1.00 to 1.90 processor cores")
    assert len(told(diffusion=[0.5, 0.5, 0.5], **alike)) == 1


def test_a_run_whose_events_are_damaged_is_a_result_and_stops_no_other():
    class Damaging(FakeExecutor):
        def start(self, command):
            job = super().start(command)
            if "r3gan-640images-1" in " ".join(command.words):
                Path("out/runs/r3gan-640images-1/metrics.jsonl").write_text("{\n[]\n")
            return job

    found = run_comparison(COMPARISON, executor=Damaging())
    (lost,) = [one for one in found.runs if one.state != "done"]
    assert lost.name == "r3gan-640images-1" and "metrics.jsonl" in lost.reason
    assert by_method(found)["r3gan"].done == 2 and len(found.runs) == 9


@pytest.mark.parametrize("name", ["protocol.json", "arms.json"])
def test_a_damaged_file_of_what_runs_share_is_named(name):
    run_comparison(COMPARISON, executor=FakeExecutor())
    Path("out", name).write_text("")
    with pytest.raises(UsageError, match=rf"{name} is damaged"):
        run_comparison(COMPARISON, executor=FakeExecutor())


def test_a_command_that_is_locked_out_writes_nothing():
    run_comparison(COMPARISON, executor=FakeExecutor())
    before = Path("out/arms.json").read_text()
    lock = FileLock("out")
    lock.acquire()
    try:
        with pytest.raises(UsageError):
            comparison = replace(COMPARISON, methods=recipes_of(("diffusion", "stylegan2")))
            run_comparison(comparison, executor=FakeExecutor())
    finally:
        lock.release()
    assert Path("out/arms.json").read_text() == before


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"images": None}, "^budget 2m .*images"),
        ({"methods": recipes_of(("r3gan", "r3gan"))}, "r3gan is there twice"),
        ({"methods": ()}, "wanted one or more"),
        ({"seeds": 0}, "^seeds 0"),
        ({"n": 3}, "^n 3: .*at least 10"),
        ({"metrics": ("vendi",)}, "vendi: it has no better and worse"),
        ({"budget": "soon"}, "^budget soon"),
        ({"workers": 0}, "^workers 0"),
        ({"parameters": "few"}, "^parameters few: .*0.5M or 500000, or recipe"),
        ({"trials": 1}, "^trials 1: wanted 0.* or 2 and more"),
        ({"trials": -2}, "^trials -2"),
        ({"trial_share": 0.0}, "^trial_share 0.0"),
        ({"trials": 2, "split": "validation"}, "^split validation: trials tunes on these"),
        ({"methods": recipes_of(("consistency", "r3gan"))}, "^methods consistency: .* diffusion"),
        (
            {"methods": recipes_of(("diffusion", "consistency")), "trials": 2},
            "^trials: consistency is distilled",
        ),
        ({"methods": (Method("a", "r3gan", {"learning_rate": -1.0}),)}, "^learning_rate -1.0"),
    ],
)
def test_what_cannot_be_compared_is_refused_at_once(changes, pattern):
    with pytest.raises(UsageError, match=pattern):
        replace(COMPARISON, **changes)


def test_what_the_data_does_not_allow_is_refused_before_any_run():
    executor = FakeExecutor()
    with pytest.raises(UsageError, match="multiple"):
        run_comparison(replace(COMPARISON, size=10), executor=executor)
    with pytest.raises(UsageError, match="workers 99 of 1 thread"):
        run_comparison(replace(COMPARISON, workers=99), executor=executor)
    assert executor.commands == []


def test_the_chance_of_a_metric_is_stored_where_it_has_one():
    facts = {"name": "x", "value": 0.4, "low": 0.3, "high": 0.5, "floor": None, "n": 9}
    facts |= {"n_reference": 9, "better": "higher", "interval": "", "protocol": ""}
    stored = _metric(PromptResult(**facts, chance=0.125, offered=40))
    assert (stored.chance, stored.high) == (0.125, 0.5)
    assert _metric(MaskResult(**facts, classes={}, shuffled=0.25)).chance == 0.25
    others = {"edges": 60.0, "grey": 40.0}
    assert _metric(MapResult(**facts, maps={}, shuffled=others)).chance == 50.0
    assert "chance" not in to_plain(_metric(MetricResult(**facts)))


def test_conditions_are_those_of_every_method_and_whether_they_are_followed_is_measured():
    compared = replace(COMPARISON, data="faces", text=True, numbers=("age",), caption_column="a")
    obeyed = ("prompt_top1", "prompt_top5", "prompt_swap", "number_error")
    assert compared.metrics == ("fd", "coverage", *obeyed)
    assert replace(compared, seeds=2).metrics == compared.metrics
    for method in compared.methods:
        options = compared.settings(Run(method, compared.budgets[0], 0))
        assert (options.text, options.numbers, options.caption_column) == (True, ("age",), "a")
    assert "--caption-column a --numbers age" in " ".join(compared.command)
    mapped = replace(COMPARISON, maps=("mask", "edges"))
    assert mapped.metrics[2:] == ("mask_iou", "map_error")
    assert "--map mask,edges" in " ".join(mapped.command)
    journal = Journal(Path("out"), run._measured_by(mapped, "cpu", 1))
    work = RunWork(mapped, Run(mapped.methods[0], mapped.budgets[0], 0), journal, 1)
    assert " ".join(work._train()).count("--map mask edges") == 1
    plan = open_plan(replace(COMPARISON, maps=("edges",)), "cpu").configs["images"]
    maps = {name: [one.name for one in config.model.spec.maps] for name, config in plan.items()}
    assert maps == dict.fromkeys(("diffusion", "r3gan", "dcgan"), ["edges"])
    assert {config.model.label_dropout for config in plan.values()} == {0.1}
    with pytest.raises(UsageError, match="method a: text is shared by all methods"):
        Method("a", "r3gan", {"text": True})


def test_the_command_that_repeats_it_says_what_is_not_the_default():
    comparison = replace(
        COMPARISON, feature_weights="w.pth", conditional=False, flip=True, budget="2m"
    )
    assert " ".join(comparison.command) == (
        "undrift compare digits --out out --methods diffusion,r3gan,dcgan --feature-weights w.pth "
        "--seeds 3 --budget 2m --images 640 --metrics fd,coverage --n 100 --flip --unconditional "
        "--threads 1"
    )
