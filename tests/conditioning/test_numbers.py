"""Numbers: 0 is a value, "not given" is not; Fourier features of what is standardised."""

import math

import pytest
import torch

from undrift.conditioning import Condition, ConditionEncoder, ConditionSpec, Number
from undrift.conditioning.numbers import MOST_NUMBERS
from undrift.errors import UsageError
from undrift.schema import from_plain, to_plain

AGE = Number("age", 40.0, 10.0, 20.0, 60.0)
DOSE = Number("dose", 1e6, 1e-3, 999_999.997, 1_000_000.003)
SPEC = ConditionSpec(numbers=(AGE, DOSE))
NAN = math.nan


def encoder(spec=SPEC, width=2048):
    torch.manual_seed(0)
    return ConditionEncoder(spec, width)


def vector(made, *rows):
    numbers = torch.tensor(rows, dtype=torch.float64)
    return made(Condition({"numbers": numbers}), len(rows)).vector


def test_every_value_and_none_are_different():
    """Zero, the mean and "not given" are three things."""
    made = encoder()
    vectors = vector(made, [0.0, 1e6], [40.0, 1e6], [NAN, 1e6], [NAN, NAN], [40.0, NAN])
    distances = torch.cdist(vectors, vectors) / vectors.shape[1] ** 0.5
    assert distances.add(10 * torch.eye(5)).min() > 0.5
    assert torch.equal(vectors[3], made(None, 1).vector[0])


def test_one_number_is_dropped_without_the_others():
    made = encoder()
    both, first = vector(made, [30.0, 1e6]), vector(made, [30.0, NAN])
    second, none = vector(made, [NAN, 1e6]), vector(made, [NAN, NAN])
    torch.testing.assert_close(both + none, first + second)


@pytest.mark.parametrize("number", [-60.0, 40.0, 55.0, 140.0, NAN])
def test_each_has_unit_variance_at_the_start(number):
    made = encoder(ConditionSpec(numbers=(AGE,)), 4096)
    variance = vector(made, [number]).var().item()
    assert abs(variance - 1) < 4 * (2 / 4096) ** 0.5
    two = encoder(width=4096)
    assert abs(vector(two, [number, 1e6]).var().item() / 2 - 1) < 4 * (2 / 4096) ** 0.5


def test_numbers_are_standardised_in_double_precision():
    """In float32 every dose would be 1,000,000."""
    made = encoder()
    near = vector(made, [40.0, 1e6], [40.0, 1e6 + 1e-3], [40.0, 1e6 + 1.01e-3])
    apart = torch.cdist(near, near) / near.shape[1] ** 0.5
    assert apart[0, 1] > 0.3 and 0 < apart[1, 2] < 0.2 * apart[0, 1]
    shifted = encoder(ConditionSpec(numbers=(Number("age", 0.0, 1.0, -2.0, 2.0), DOSE)))
    torch.testing.assert_close(vector(made, [55.0, 1e6]), vector(shifted, [1.5, 1e6]))


def test_values_in_order_stay_in_order_within_three_standard_deviations():
    """The slowest wave alone orders the data, and close values have close embeddings."""
    made = encoder(ConditionSpec(numbers=(Number("z", 0.0, 1.0, -3.0, 3.0),)))
    features = made.get_submodule("numbers").features(torch.linspace(-3, 3, 61))
    slowest = features[:, features.shape[1] // 2]
    assert (slowest.diff() > 0).all()
    torch.testing.assert_close(features.square().mean(dim=1), torch.ones(61))


def test_gradients_reach_what_was_used():
    made = encoder()
    vector(made, [30.0, NAN]).square().sum().backward()
    weight, null = (
        made.get_parameter("numbers.weight").grad,
        made.get_parameter("numbers.null").grad,
    )
    assert weight[0].abs().min() > 0 and not weight[1].any()
    assert null[1].abs().min() > 0 and not null[0].any()
    assert weight.isfinite().all()


def test_together_with_classes_and_augmentation():
    spec = ConditionSpec(classes=3, augment=2, numbers=(AGE,))
    made = encoder(spec)
    parts = {
        "labels": torch.tensor([1]),
        "augment": torch.ones(1, 2),
        "numbers": torch.tensor([[25.0]], dtype=torch.float64),
    }
    whole = made(Condition(parts), 1).vector
    single = [made.get_submodule(name)(entry).vector for name, entry in parts.items()]
    torch.testing.assert_close(whole, sum(single))
    assert sorted(made.state_dict()) == [
        "augment.weight",
        "labels.weight",
        "numbers.null",
        "numbers.weight",
    ]


def test_parameters_can_be_counted_without_memory():
    with torch.device("meta"):
        made = ConditionEncoder(SPEC, 2**14)
    assert {parameter.device.type for parameter in made.parameters()} == {"meta"}


def test_one_graph():
    embedding = encoder(width=16).get_submodule("numbers")
    compiled = torch.compile(embedding, fullgraph=True, backend="eager")
    numbers = torch.tensor([[25.0, NAN]], dtype=torch.float64)
    assert torch.equal(compiled(numbers).vector, embedding(numbers).vector)
    torch.compiler.reset()


def test_the_spec_is_stored_with_everything_that_encodes():
    read = from_plain(ConditionSpec, to_plain(SPEC), "config.json")
    assert read == SPEC
    twin, made = ConditionEncoder(read, 16), encoder(width=16)
    twin.load_state_dict(made.state_dict())
    assert torch.equal(vector(twin, [33.0, NAN]), vector(made, [33.0, NAN]))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (torch.zeros(2, 3), "numbers has shape .2, 3., wanted .2, 2.: a column for each of age, d"),
        (torch.zeros(2), "numbers has shape"),
        (torch.zeros(2, 2).long(), "numbers are torch.int64"),
        (torch.tensor([[0.0, 1], [0, math.inf]]), "a number is infinite"),
    ],
)
def test_what_does_not_fit_is_refused(entry, words):
    with pytest.raises(UsageError, match=words):
        encoder(width=4)(Condition({"numbers": entry}), 2)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (("", 0.0, 1.0, 0.0, 1.0), "wanted a name"),
        (("x", math.nan, 1.0, 0.0, 1.0), "finite"),
        (("x", 0.0, 0.0, 0.0, 1.0), "a std above 0"),
        (("x", 0.0, 1.0, 2.0, 1.0), "its range is 2.0 to 1.0"),
    ],
)
def test_numbers_that_no_data_has_are_refused(facts, words):
    with pytest.raises(UsageError, match=words):
        Number(*facts)


def test_too_many_or_equal_names_are_refused():
    with pytest.raises(UsageError, match="2 numbers of 1 names"):
        ConditionSpec(numbers=(AGE, AGE))
    many = tuple(Number(f"n{i}", 0.0, 1.0, 0.0, 1.0) for i in range(MOST_NUMBERS + 1))
    with pytest.raises(UsageError, match="at most 64"):
        ConditionSpec(numbers=many)
