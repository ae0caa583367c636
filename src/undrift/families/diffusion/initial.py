"""Starting from the weights of another run: ``--init RUN``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from undrift.advice import named
from undrift.conditioning import ConditionEncoder
from undrift.conditioning.labels import LabelEmbedding
from undrift.conditioning.maps import MapEncoder
from undrift.conditioning.numbers import NumberEmbedding
from undrift.conditioning.text import PretrainedText, SequenceEncoder
from undrift.errors import UsageError
from undrift.names import find
from undrift.pipelines import DiffusionPipeline, Pipeline, SampleSpec
from undrift.training.learner import Learner
from undrift.training.learners.diffusion import DiffusionLearner
from undrift.wording import plural


def copy_weights(source: Pipeline, learner: Learner) -> list[str]:
    """Copy the weights of ``source`` into ``learner``.

    Where the classes, numbers or tokens of captions differ, those of the same name keep their
    embedding, others start anew; all else must fit.

    Args:
        source: what was trained before.
        learner: what will be trained.

    Returns:
        Names of the classes and numbers whose embedding starts anew, and how many tokens' does.

    Raises:
        UsageError: if the networks differ, or one is not a diffusion model's.
    """
    if not isinstance(source, DiffusionPipeline) or not isinstance(learner, DiffusionLearner):
        raise UsageError(
            f"{named('init')}: only diffusion models start from one another; leave it out"
        )
    _copy_all(source.denoiser.network, learner.networks["network"])
    ours, theirs = learner.networks["encoder"], source.encoder
    if not isinstance(ours, ConditionEncoder) or not isinstance(theirs, ConditionEncoder):
        raise UsageError(
            f"{named('init')}: one of the runs has no condition encoder; start without "
            f"{named('init')}"
        )
    embeddings, known_embeddings = dict(ours.named_children()), dict(theirs.named_children())
    if "augment" in embeddings and "augment" in known_embeddings:
        _copy_all(known_embeddings["augment"], embeddings["augment"])
    return [
        *_copy_labels(embeddings, known_embeddings, source.spec, learner.config.spec),
        *_copy_numbers(embeddings, known_embeddings, source.spec, learner.config.spec),
        *_copy_text(embeddings, known_embeddings),
        *_copy_maps(embeddings, known_embeddings),
    ]


def _copy_labels(
    ours: dict[str, nn.Module], theirs: dict[str, nn.Module], source: SampleSpec, target: SampleSpec
) -> list[str]:
    labels, known_labels = ours.get("labels"), theirs.get("labels")
    if not isinstance(labels, LabelEmbedding):
        return []
    if not isinstance(known_labels, LabelEmbedding):
        return list(target.class_names)
    known = {name: row for row, name in enumerate(source.class_names, start=1)}
    fresh = []
    with_null = {0: 0}
    for row, name in enumerate(target.class_names, start=1):
        origin = find(name, known)
        if origin is None:
            fresh.append(name)
        else:
            with_null[row] = origin
    weights = labels.weight.detach()
    for row, origin in with_null.items():
        weights[row].copy_(known_labels.weight[origin])
    return fresh


def _copy_numbers(
    ours: dict[str, nn.Module], theirs: dict[str, nn.Module], source: SampleSpec, target: SampleSpec
) -> list[str]:
    """Embeddings of standardised numbers, so that another range is no other embedding."""
    numbers, known_numbers = ours.get("numbers"), theirs.get("numbers")
    if not isinstance(numbers, NumberEmbedding):
        return []
    known = [number.name for number in source.numbers]
    fresh = []
    for row, number in enumerate(target.numbers):
        if not isinstance(known_numbers, NumberEmbedding) or number.name not in known:
            fresh.append(number.name)
            continue
        origin = known.index(number.name)
        numbers.weight.detach()[row].copy_(known_numbers.weight[origin])
        numbers.null.detach()[row].copy_(known_numbers.null[origin])
    return fresh


def _copy_text(ours: dict[str, nn.Module], theirs: dict[str, nn.Module]) -> list[str]:
    """The text encoder; a token keeps its embedding wherever it stands in the other vocabulary."""
    text, known = ours.get("text"), theirs.get("text")
    if not isinstance(text, SequenceEncoder) or not isinstance(known, SequenceEncoder):
        return []
    if _frozen(text) != _frozen(known):
        return ["the text encoder"]
    tables = ("embedding.weight", "positions.weight")
    source = {name: tensor for name, tensor in known.state_dict().items() if name not in tables}
    target = {name: tensor for name, tensor in text.state_dict().items() if name not in tables}
    _copy_tensors(source, target)
    places = text.spec.places_in(known.spec)
    rows = {0: 0} | {row + 1: origin + 1 for row, origin in places.items()}
    mine, other = text.embedding.weight.detach(), known.embedding.weight
    mine[list(rows)] = other[list(rows.values())].detach()
    shared = min(text.spec.length, known.spec.length) + 1
    text.positions.weight.detach()[:shared] = known.positions.weight[:shared].detach()
    fresh = text.spec.tokens - len(places)
    return [plural(fresh, "token")] if fresh else []


def _frozen(encoder: SequenceEncoder[Any]) -> str | None:
    """Fingerprint of the frozen model that it encodes the features of; None: it has tokens."""
    spec = encoder.spec
    return spec.fingerprint if isinstance(spec, PretrainedText) else None


def _copy_maps(ours: dict[str, nn.Module], theirs: dict[str, nn.Module]) -> list[str]:
    """Encoders of maps of the same name, kind and classes."""
    fresh = []
    for name, encoder in ours.items():
        known = theirs.get(name)
        if isinstance(encoder, MapEncoder):
            if isinstance(known, MapEncoder) and known.spec == encoder.spec:
                _copy_all(known, encoder)
            else:
                fresh.append(f"map {encoder.spec.name}")
    return fresh


def _copy_all(source: nn.Module, target: nn.Module) -> None:
    _copy_tensors(source.state_dict(), target.state_dict())


def _copy_tensors(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> None:
    if difference := sorted(ours.keys() ^ theirs.keys()):
        raise UsageError(
            f"{named('init')}: the networks differ ({difference[0]} is in one of them only); "
            f"train with the same {named('size')}, {named('network')}, labels and captions"
        )
    for name, tensor in ours.items():
        if tensor.shape != theirs[name].shape:
            raise UsageError(
                f"{named('init')}: {name} is {tuple(theirs[name].shape)} there and "
                f"{tuple(tensor.shape)} "
                f"here; train with the same {named('size')}, {named('channels')} and "
                f"{named('network')}"
            )
        tensor.copy_(theirs[name])
