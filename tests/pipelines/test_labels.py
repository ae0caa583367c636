"""Names, else indices; "all"; training frequencies."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
import torch

from undrift.errors import UsageError
from undrift.pipelines import SampleSpec, resolve_labels
from undrift.pipelines.labels import parse_labels

SPEC = SampleSpec((1, 8, 8), ("cat", "dog", "2", "0"), (0.5, 0.25, 0.25, 0.0))


def resolved(labels, n=5, seed=0, spec=SPEC):
    made = resolve_labels(labels, n, seed, spec)
    return None if made is None else made.tolist()


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ("dog", [1, 1, 1, 1, 1]),
        (["dog", "cat"], [1, 0, 1, 0, 1]),
        ("all", [0, 1, 2, 3, 0]),
        ("0", [3, 3, 3, 3, 3]),  # a class is called that
        (0, [0, 0, 0, 0, 0]),  # integers are indices
        ([3, "cat"], [3, 0, 3, 0, 3]),
        (("cat", "dog", "2"), [0, 1, 2, 0, 1]),
        (np.array([1, 0]), [1, 0, 1, 0, 1]),
        (np.int64(2), [2, 2, 2, 2, 2]),
        (np.array(2), [2, 2, 2, 2, 2]),
        (np.str_("dog"), [1, 1, 1, 1, 1]),
        (np.array(["dog", "cat"]), [1, 0, 1, 0, 1]),
        (torch.tensor(1), [1, 1, 1, 1, 1]),
        (torch.tensor([1, 0]), [1, 0, 1, 0, 1]),
        (range(4), [0, 1, 2, 3, 0]),
    ],
)
def test_labels(labels, wanted):
    assert resolved(labels) == wanted
    assert resolve_labels(labels, 5, 0, SPEC).dtype == np.int64


def test_a_class_called_all_is_that_class():
    assert resolved("all", spec=SampleSpec((1, 8, 8), ("none", "all"))) == [1] * 5


@pytest.mark.parametrize("label", ["cta", "Cat", "1", "5", "-1", "", -1, 4, 10**18, "²"])
def test_unknown_labels_name_the_classes(label):
    with pytest.raises(
        UsageError, match=r"unknown label .*cat, dog, 2, 0.* indices 0 to 3"
    ) as error:
        resolved([label])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "labels",
    [
        *(1.0, [1.0], True, [None], [[0]], b"cat", {"cat"}, object(), range(10**9)),
        *([10**5000],),
        *(np.zeros((2, 2), int), np.array(0.5), torch.ones(1, 1), torch.empty(1, device="meta")),
    ],
    ids=lambda label: type(label).__name__,  # some of them have an address in their text
)
def test_what_is_no_label_is_refused(labels):
    with pytest.raises(UsageError, match=r"labels .*: wanted (text or )?a whole number") as error:
        resolved(labels)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250


def test_a_string_is_never_an_index():
    with pytest.raises(UsageError, match="'1': a string is a class name; give an index as an int"):
        resolved("1")


NUMBERED = tuple(str(number) for number in range(1, 13))


@pytest.mark.parametrize(
    ("words", "names", "wanted"),
    [
        ([], ("cat", "dog"), None),
        (["cat", "dog"], ("cat", "dog"), ["cat", "dog"]),
        (["cat, dog"], ("cat", "dog"), ["cat", "dog"]),
        (["cat, dog"], ("cat, dog", "cat"), ["cat, dog"]),
        (["0", "1"], ("cat", "dog"), [0, 1]),
        (["0,cat"], ("cat", "dog"), [0, "cat"]),
        (["1", "12"], NUMBERED, ["1", "12"]),
        (["all"], NUMBERED, "all"),
        (["all"], ("cat", "all"), ["all"]),
        (["7"], (), ["7"]),  # a model without classes says so itself
    ],
)
def test_labels_of_a_command_line(words, names, wanted):
    assert parse_labels(words, names) == wanted


@pytest.mark.parametrize("word", ["0", "13", "007"])
def test_where_classes_are_numbers_a_number_is_a_name(word):
    with pytest.raises(UsageError, match=f"labels '{word}': no class is called that, .*1, 2, 3"):
        parse_labels([word], NUMBERED)
    with pytest.raises(UsageError, match="unknown label"):
        resolve_labels([word], 1, 0, SampleSpec((1, 8, 8), NUMBERED))


def test_an_index_on_a_command_line_is_one_of_the_classes():
    with pytest.raises(UsageError, match="unknown label 2: the classes are cat, dog"):
        resolve_labels(
            parse_labels(["2"], ("cat", "dog")), 1, 0, SampleSpec((1, 8, 8), ("cat", "dog"))
        )
    with pytest.raises(UsageError, match="unknown label '9999"):
        parse_labels(["9" * 5000], ("cat", "dog"))


def test_the_nearest_name_is_suggested():
    with pytest.raises(UsageError, match="did you mean 'cat'"):
        resolved("cta")


def test_long_lists_of_classes_are_cut():
    spec = SampleSpec((1, 8, 8), tuple(f"class{i}" for i in range(1000)))
    with pytest.raises(UsageError, match=r"class11, \.\.\., or indices 0 to 999") as error:
        resolved("x", spec=spec)
    assert len(str(error.value)) < 300


def test_no_entries_are_refused():
    with pytest.raises(UsageError, match="empty list"):
        resolved([])


def test_without_labels_they_follow_the_training_frequencies():
    counts = np.bincount(resolve_labels(None, 2000, 3, SPEC), minlength=4)
    for count, share in zip(counts, SPEC.class_frequencies, strict=True):
        assert abs(count - 2000 * share) <= 4 * (2000 * share * (1 - share)) ** 0.5


def test_without_frequencies_all_classes_are_alike():
    counts = np.bincount(resolve_labels(None, 900, 3, SampleSpec((1, 8, 8), ("a", "b", "c"))))
    assert (abs(counts - 300) < 4 * (900 * 2 / 9) ** 0.5).all()


def test_drawn_labels_depend_on_seed_and_image_only():
    whole = resolved(None, n=50)
    assert resolved(None, n=20) == whole[:20]
    assert resolved(None, n=50, seed=1) != whole


def test_a_model_without_classes():
    spec = SampleSpec((1, 8, 8))
    assert resolved(None, spec=spec) is None
    for labels in ("cat", 0, "all", []):
        with pytest.raises(UsageError, match="no classes; leave labels out"):
            resolved(labels, spec=spec)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SampleSpec((0, 8, 8)), "wanted 1 to 16,384"),
        (
            lambda: SampleSpec((1, 8)),
            "shape .1, 8.: wanted a list of 3 entries, each a whole number",
        ),
        (lambda: SampleSpec("18a"), "shape '18a': wanted a list of 3"),
        (lambda: SampleSpec((1, 8, 8), "cat"), "class_names 'cat': wanted a list of text"),
        (lambda: SampleSpec((1, 8, 8), sampler=3), "sampler 3: wanted text"),
        (lambda: SampleSpec((1, 8, 8), ("a", "a")), "same name"),
        (lambda: SampleSpec((1, 8, 8), ("a", "b"), (1.0,)), "1 class_frequencies for 2 classes"),
        (lambda: SampleSpec((1, 8, 8), ("a", "b"), (-1.0, 2.0)), "at least 0"),
        (lambda: SampleSpec((1, 8, 8), ("a", "b"), (0.0, 0.0)), "not all 0"),
        (lambda: SampleSpec((1, 8, 8), ("a", "b"), (float("nan"), 1.0)), "finite"),
        (lambda: SampleSpec((1, 8, 8), sampler="hen"), "did you mean 'heun'"),
        (lambda: SampleSpec((1, 8, 8), grid="even"), "unknown grid"),
        (lambda: SampleSpec((1, 8, 8), steps=0), "wanted 1 to 100,000"),
        (lambda: SampleSpec((1, 8, 8), guidance=float("inf")), "finite"),
    ],
)
def test_contradictory_specs_are_refused(build, message):
    with pytest.raises(UsageError, match=message):
        build()


@pytest.mark.parametrize("stored", ["NFC", "NFD"])
@pytest.mark.parametrize("typed", ["NFC", "NFD"])
def test_a_name_is_found_in_either_unicode_form(stored, typed):
    """macOS writes "café" with a combining accent, keyboards with one letter: it is one class."""
    spec = SampleSpec((1, 8, 8), ("ant", unicodedata.normalize(stored, "café")))
    assert resolved(unicodedata.normalize(typed, "café"), spec=spec) == [1] * 5
