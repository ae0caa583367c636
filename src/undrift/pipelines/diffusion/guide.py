"""The guidance of a request: from settings to a guided denoiser of each batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from undrift.advice import named
from undrift.codec import codec_config
from undrift.conditioning import Condition
from undrift.conditioning.text import Texts
from undrift.diffusion import Denoise
from undrift.errors import UsageError, shown
from undrift.json_types import JsonObject
from undrift.networks import Context
from undrift.pipelines.classifier import ClassifierModel
from undrift.pipelines.diffusion.model import DiffusionModel
from undrift.pipelines.diffusion.settings import DiffusionSettings
from undrift.pipelines.prompts import check_prompt, prompt_terms
from undrift.sampling import (
    Autoguidance,
    ClassifierFree,
    ClassifierGuided,
    Composed,
    CountedDenoiser,
    WithinInterval,
)
from undrift.sampling.guidance import Scale, check_interval, check_share


@dataclass(frozen=True, eq=False)
class Guide:
    """Guidance, with every default filled in.

    Attributes:
        scale: of all images, or several of which image i gets entry i modulo their number; 1 is
            off.
        negative: a prompt to guide away from; None guides away from no condition at all.
        interval: noise levels sigma / alpha with guidance, above the first and up to the second;
            None is all.
        rescale: share of the guided image that is rescaled.
        weak: the model to guide away from, in place of the model without the condition.
        weak_key: the weak model in records.
        classifier: whose gradient leads towards the labels.
        classifier_scale: of all images, or as ``scale``; 0 is off.
        classifier_key: the classifier in records.
    """

    scale: float | tuple[float, ...] = 1.0
    negative: str | None = None
    interval: tuple[float, float] | None = None
    rescale: float = 0.0
    weak: DiffusionModel | None = None
    weak_key: str | None = None
    classifier: ClassifierModel | None = None
    classifier_scale: float | tuple[float, ...] = 0.0
    classifier_key: str | None = None

    @classmethod
    def of(cls, model: DiffusionModel, settings: DiffusionSettings) -> Guide:
        """The guidance that ``settings`` say, checked.

        Raises:
            UsageError: for a value that cannot be used, or two that exclude each other.
        """
        spec, negative, given = model.spec, settings.negative, settings.guide_with
        scale = _scale(
            "guidance", spec.guidance if settings.guidance is None else settings.guidance
        )
        classified = _classified(model, settings)
        if scale != 1 and given is None and not spec.conditional:
            raise UsageError(
                f"guidance {words(scale)}: this model has no classes and takes no prompts, "
                "numbers or maps to guide towards; leave it out"
            )
        if negative is not None:
            check_prompt("negative prompt", negative, spec)
        rescale = settings.guidance_rescale or 0.0
        check_share(rescale)
        interval = None if settings.guidance_interval is None else tuple(settings.guidance_interval)
        if interval is not None:
            if len(interval) != 2:
                raise UsageError(f"guidance_interval {interval}: give two noise levels, as 0.3, 5")
            check_interval(*interval)
        for name, value in (
            ("negative prompt", negative),
            ("guide_with", given),
            ("guidance_rescale", settings.guidance_rescale),
            ("guidance_interval", interval),
        ):
            other = name == "guidance_interval" and classified.get("classifier_scale", 0) != 0
            if value is not None and scale == 1 and not other:
                raise UsageError(f"{name} {shown(value)}: guidance 1 is off; give another scale")
        if given is None:
            return cls(scale, negative, interval, rescale, **classified)
        if negative is not None:
            raise UsageError("guide_with and negative exclude each other; give one of them")
        weak = _weak(model, given)
        return cls(scale, None, interval, rescale, weak, given.fingerprint[:16], **classified)

    def around(
        self, denoiser: CountedDenoiser, model: DiffusionModel, condition: Condition, rows: range
    ) -> tuple[Denoise, Context | None]:
        """The guided denoiser of a batch, and the context to call it with.

        Args:
            denoiser: of the model; also counts the evaluations of the weak one.
            model: encodes the condition.
            condition: of the batch.
            rows: numbers of its images.

        Raises:
            UsageError: several weighted prompts with a weak model.
        """
        count, labels = len(rows), condition.labels
        if self.classifier is not None and model.encoder is not None:
            condition = model.encoder.spec.select(condition)  # the labels may be for it alone
        terms = _terms(condition)
        first = terms[0][1] if terms else condition
        context = model.context(first, count)
        scale = _of_rows(self.scale, rows)
        plain: Denoise = denoiser
        guided: Denoise = denoiser
        if len(terms) > 1:
            if self.weak is not None:
                raise UsageError("guide_with and several weighted prompts exclude each other")
            parts = [(weight, model.context(given, count)) for weight, given in terms]
            away = self._away(model, count)
            plain = Composed(denoiser, parts, 1.0, away)
            guided = Composed(denoiser, parts, scale, away, self.rescale)
        elif self.scale != 1 and self.weak is not None:
            weak = self.weak
            known = condition if weak.encoder is None else weak.encoder.spec.select(condition)
            other = denoiser.also(weak.denoiser)
            weak_context = weak.context(known, count)
            guided = Autoguidance(denoiser, other, scale, weak_context, self.rescale)
        elif self.scale != 1 and context is not None:
            away = self._away(model, count)
            guided = ClassifierFree(denoiser, scale, away, rescale=self.rescale)
        if self.classifier is not None and labels is not None and self.classifier_scale != 0:
            read = denoiser.reads(self.classifier.log_probability(labels))
            guided = ClassifierGuided(guided, read, _of_rows(self.classifier_scale, rows))
        if self.interval is not None and guided is not plain:
            guided = WithinInterval(guided, plain, model.denoiser.schedule, *self.interval)
        return guided, context

    def settings(self) -> JsonObject:
        """What repeats it, as plain data; what is off is left out."""
        scale, classifier_scale = (
            list(one) if isinstance(one, tuple) else one
            for one in (self.scale, self.classifier_scale)
        )
        own: JsonObject = {
            "negative": self.negative,
            "guidance_interval": None if self.interval is None else list(self.interval),
            "guidance_rescale": self.rescale or None,
            "guide_with": self.weak_key,
            "classifier": self.classifier_key,
            "classifier_scale": None if self.classifier is None else classifier_scale,
        }
        return {"guidance": scale, **{name: one for name, one in own.items() if one is not None}}

    def _away(self, model: DiffusionModel, count: int) -> Context | None:
        given = Condition()
        if self.negative is not None:
            given = Condition({"text": Texts.single([self.negative] * count)})
        return model.context(given, count)


def _of_rows(scale: float | tuple[float, ...], rows: range) -> Scale:
    """The scale of each row, (B,) float64, or of all."""
    if not isinstance(scale, tuple):
        return scale
    scales = [scale[i % len(scale)] for i in rows]
    return torch.tensor(scales, dtype=torch.float64, device="cpu")


def _scale(name: str, guidance: float | Sequence[float], off: int = 1) -> float | tuple[float, ...]:
    several = not isinstance(guidance, float | int)
    scales = tuple(map(float, guidance)) if several else (float(guidance),)
    if not scales:
        raise UsageError(f"{name}: an empty list; give at least one scale, or leave it out")
    for scale in scales:
        if not math.isfinite(scale):
            raise UsageError(f"{name} {scale}: give a finite number ({off} is off)")
    return scales if len(set(scales)) > 1 else scales[0]


def words(scale: float | tuple[float, ...]) -> str:
    """A scale, or several, in messages."""
    return ", ".join(f"{one:g}" for one in (scale if isinstance(scale, tuple) else (scale,)))


def _weak(model: DiffusionModel, given: Any) -> DiffusionModel:  # noqa: ANN401 - any pipeline
    """The model of ``given``, moved to the device of ``model``.

    Raises:
        UsageError: unless it denoises what ``model`` does.
    """
    weak = getattr(given, "model", None)
    if not isinstance(weak, DiffusionModel):
        raise UsageError(f"guide_with: {given.noun} has no denoiser; give a diffusion model")
    pairs: dict[str, tuple[object, object]] = {
        "images of another shape": (weak.spec.image_shape, model.spec.image_shape),
        "another noise schedule": (weak.denoiser.schedule, model.denoiser.schedule),
        "images standardised otherwise": (codec_config(weak.codec), codec_config(model.codec)),
    }
    if weak.spec.class_names:
        pairs["other classes"] = (weak.spec.class_names, model.spec.class_names)
    names, own = ([number.name for number in one.spec.numbers] for one in (weak, model))
    if names:
        pairs["other numbers"] = (names, own)
    _check_alike("guide_with", pairs, "a model of the same data")
    given.to(model.device)
    weak.weights.eval()
    return weak


def classifier_of(model: DiffusionModel, given: Any) -> ClassifierModel:  # noqa: ANN401 - as above
    """The classifier of ``given``, moved to the device of ``model``.

    Its noise levels are those of any Gaussian path, so that the model may have another schedule.

    Raises:
        UsageError: unless it reads what ``model`` denoises.
    """
    found = getattr(given, "model", None)
    if not isinstance(found, ClassifierModel):
        raise UsageError(
            f"classifier: {given.noun} reads no classes; give one that was trained with "
            f"{named('method')} classifier"
        )
    pairs: dict[str, tuple[object, object]] = {
        "images of another shape": (found.spec.image_shape, model.spec.image_shape),
        "images standardised otherwise": (codec_config(found.codec), codec_config(model.codec)),
    }
    if model.spec.class_names:
        pairs["other classes"] = (found.spec.class_names, model.spec.class_names)
    _check_alike("classifier", pairs, "one of the same data")
    given.to(model.device)
    return found


def _classified(model: DiffusionModel, settings: DiffusionSettings) -> dict[str, Any]:
    """The fields of a `Guide` that are about a classifier; none without one.

    Raises:
        UsageError: for one that does not fit, or a scale without one.
    """
    given, scale = settings.classifier, settings.classifier_scale
    if given is None:
        if scale is not None:
            raise UsageError(
                f"{named('classifier_scale')} {shown(scale)}: there is no classifier; give one "
                f"with {named('classifier')}, or leave it out"
            )
        return {}
    found = classifier_of(model, given)
    if not settings.classified:
        return {}
    return {
        "classifier": found,
        "classifier_scale": _scale("classifier_scale", 1.0 if scale is None else scale, off=0),
        "classifier_key": given.fingerprint[:16],
    }


def _check_alike(name: str, pairs: Mapping[str, tuple[object, object]], wanted: str) -> None:
    """Refuse a second model that differs in what it shares with the first."""
    for what, (other, mine) in pairs.items():
        if other != mine:
            raise UsageError(f"{name}: it has {what}; give {wanted}")


def _terms(condition: Condition) -> list[tuple[Tensor, Condition]]:
    """The condition with each term of its prompts, and the terms' weights (B,); [] without texts.

    A prompt of fewer terms has others of weight 0, without text.
    """
    texts = condition.texts
    if texts is None:
        return []
    prompts = [prompt_terms(prompt) for prompt in texts.first]
    terms = []
    for k in range(max(map(len, prompts))):
        row = [several[k] if k < len(several) else (0.0, "") for several in prompts]
        weights = torch.tensor([weight for weight, _ in row], dtype=torch.float64, device="cpu")
        given = condition.with_entry("text", Texts.single(text for _, text in row))
        terms.append((weights, given))
    return terms
