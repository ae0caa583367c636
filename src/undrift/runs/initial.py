"""Starting from the weights of another run: ``--init RUN``."""

from __future__ import annotations

from torch import Tensor, nn

from undrift.conditioning import ConditionEncoder
from undrift.conditioning.labels import LabelEmbedding
from undrift.errors import UsageError
from undrift.names import find
from undrift.pipelines import DiffusionPipeline, Pipeline
from undrift.training.learner import Learner
from undrift.training.learners.diffusion import DiffusionLearner


def copy_weights(source: Pipeline, learner: Learner) -> list[str]:
    """Copy the weights of ``source`` into ``learner``.

    Where the classes differ, classes of the same name keep their embedding, others start anew; all
    else must fit.

    Args:
        source: what was trained before.
        learner: what will be trained.

    Returns:
        Names of the classes whose embedding starts anew.

    Raises:
        UsageError: if the networks differ, or one is not a diffusion model's.
    """
    if not isinstance(source, DiffusionPipeline) or not isinstance(learner, DiffusionLearner):
        raise UsageError("--init: only diffusion models start from one another; leave it out")
    _copy_all(source.denoiser.network, learner.networks["network"])
    ours, theirs = learner.networks["encoder"], source.encoder
    if not isinstance(ours, ConditionEncoder) or not isinstance(theirs, ConditionEncoder):
        raise UsageError("--init: one of the runs has no condition encoder; start without --init")
    embeddings, known_embeddings = dict(ours.named_children()), dict(theirs.named_children())
    if "augment" in embeddings and "augment" in known_embeddings:
        _copy_all(known_embeddings["augment"], embeddings["augment"])
    labels, known_labels = embeddings.get("labels"), known_embeddings.get("labels")
    if not isinstance(labels, LabelEmbedding):
        return []
    if not isinstance(known_labels, LabelEmbedding):
        return list(learner.config.spec.class_names)
    known = {name: row for row, name in enumerate(source.spec.class_names, start=1)}
    fresh = []
    with_null = {0: 0}
    for row, name in enumerate(learner.config.spec.class_names, start=1):
        origin = find(name, known)
        if origin is None:
            fresh.append(name)
        else:
            with_null[row] = origin
    weights = labels.weight.detach()
    for row, origin in with_null.items():
        weights[row].copy_(known_labels.weight[origin])
    return fresh


def _copy_all(source: nn.Module, target: nn.Module) -> None:
    theirs: dict[str, Tensor] = source.state_dict()
    ours = target.state_dict()
    if difference := sorted(ours.keys() ^ theirs.keys()):
        raise UsageError(
            f"--init: the networks differ ({difference[0]} is in one of them only); "
            "train with the same --size, --network and labels"
        )
    for name, tensor in ours.items():
        if tensor.shape != theirs[name].shape:
            raise UsageError(
                f"--init: {name} is {tuple(theirs[name].shape)} there and {tuple(tensor.shape)} "
                "here; train with the same --size, --channels and --network"
            )
        tensor.copy_(theirs[name])
