import pytest
import torch

from undrift.conditioning import NO_LABEL, Condition, ConditionEncoder, ConditionSpec
from undrift.errors import UsageError
from undrift.networks import ContextSpec
from undrift.schema import from_plain


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return ConditionEncoder(ConditionSpec(classes=5, augment=3), 16)


def test_each_class_and_none_have_a_vector_of_their_own(encoder):
    vectors = encoder(Condition({"labels": torch.arange(-1, 5)}), 6).vector
    assert vectors.shape == (6, 16)
    assert torch.cdist(vectors, vectors).add(10 * torch.eye(6)).min() > 0.1


def test_dropped_and_missing_labels_are_the_null_label(encoder):
    labels = Condition({"labels": torch.tensor([2, 2])})
    half = encoder(Condition({"labels": torch.tensor([NO_LABEL, 2])}), 2).vector
    null, two = encoder(None, 2).vector, encoder(labels, 2).vector
    assert torch.equal(half[0], null[0])
    assert torch.equal(half[1], two[1])
    assert not torch.allclose(null, two)


def test_untouched_is_zero_and_missing_is_untouched(encoder):
    labels = torch.tensor([1, 4])
    touched = Condition({"labels": labels, "augment": torch.tensor([[0.0, 0, 0], [0, 1, 0]])})
    with_parameters = encoder(touched, 2).vector
    without = encoder(Condition({"labels": labels}), 2).vector
    assert torch.equal(with_parameters[0], without[0])
    assert not torch.allclose(with_parameters[1], without[1])


def test_gradients_reach_the_rows_that_were_used(encoder):
    condition = Condition({"labels": torch.tensor([-1, 3]), "augment": torch.ones(2, 3)})
    encoder(condition, 2).vector.square().sum().backward()
    moved = encoder.labels.weight.grad.abs().sum(dim=1) > 0
    assert moved.tolist() == [True, False, False, False, True, False]
    assert encoder.augment.weight.grad.abs().min() > 0


@pytest.mark.parametrize(
    ("spec", "vector"), [((0, 0), 0), ((5, 0), 16), ((0, 3), 16), ((5, 3), 16)]
)
def test_the_context_is_as_announced(spec, vector):
    encoder = ConditionEncoder(ConditionSpec(*spec), 16)
    assert encoder.context_spec == ContextSpec(vector=vector)
    context = encoder(None, 3)
    assert (0 if context.vector is None else context.vector.shape[1]) == vector


def test_one_graph(encoder):
    compiled = torch.compile(encoder, fullgraph=True, backend="eager")
    condition = Condition({"augment": torch.ones(2, 3)})
    assert torch.equal(compiled(condition, 2).vector, encoder(condition, 2).vector)
    torch.compiler.reset()


def test_state_dict_round_trip(encoder):
    twin = ConditionEncoder(encoder.spec, 16)
    twin.load_state_dict(encoder.state_dict())
    condition = Condition({"labels": torch.arange(5)})
    assert torch.equal(twin(condition, 5).vector, encoder(condition, 5).vector)


def test_names_of_the_weights_are_those_of_stored_models(encoder):
    assert list(encoder.state_dict()) == ["labels.weight", "augment.weight"]
    older = {"classes": 5, "augment": 3}  # as version 0.1.0 wrote it
    assert from_plain(ConditionSpec, older, "config.json") == encoder.spec


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"text": torch.zeros(2, 1)}, "does not understand 'text'; it understands: labels"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "labels has shape"),
        ({"augment": torch.zeros(2, 4)}, "augment has shape"),
        ({"labels": torch.tensor([0, 5])}, "labels from 0 to 5, wanted 0 to 4"),
        ({"labels": torch.tensor([-2, 0])}, "labels from -2 to 0"),
        ({"labels": torch.tensor([0.0, 1.0])}, "labels are torch.float32"),
    ],
)
def test_what_does_not_fit_is_refused(encoder, entries, words):
    with pytest.raises(UsageError, match=words):
        encoder(Condition(entries), 2)


def test_a_model_without_conditions_refuses_them_all():
    with pytest.raises(UsageError, match="understands: none"):
        ConditionEncoder(ConditionSpec(), 8)(Condition({"labels": torch.zeros(1).long()}), 1)
    with pytest.raises(UsageError, match="classes is -1"):
        ConditionSpec(classes=-1)
    with pytest.raises(UsageError, match="width is 0"):
        ConditionEncoder(ConditionSpec(), 0)
