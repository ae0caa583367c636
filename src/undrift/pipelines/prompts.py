"""From the texts of a request to one prompt per image."""

from __future__ import annotations

import re
from collections.abc import Sequence

from undrift.arguments import checked, shown
from undrift.conditioning.text import Texts
from undrift.errors import UsageError
from undrift.pipelines.spec import SampleSpec
from undrift.wording import plural

Prompts = str | Sequence[str] | None
"""A prompt for all images, or several that take turns; None draws without."""

_TERM = re.compile(r"(.+):([+-]?\d+(?:\.\d*)?|[+-]?\.\d+)", re.DOTALL)
_AND = " AND "


def prompt_terms(prompt: str) -> tuple[tuple[float, str], ...]:
    """The weighted prompts that ``prompt`` consists of, as (weight, text).

    ``"a red apple:1 AND a tree:0.5"`` are two, each of whose parts ends with a weight; any other
    text is one prompt of weight 1, as it stands.
    """
    found = [_TERM.fullmatch(part.strip()) for part in prompt.split(_AND)]
    if len(found) < 2 or None in found:
        return ((1.0, prompt),)
    return tuple((float(term[2]), term[1].strip()) for term in found if term is not None)


@checked
def resolve_prompts(prompts: Prompts, n: int, spec: SampleSpec, first: int = 0) -> Texts | None:
    """Return the prompt of each image; None where none is given.

    Args:
        prompts: image i gets entry i modulo their number; an empty one is no condition. See
            `prompt_terms` for several weighted ones in a prompt.
        n: number of images.
        spec: what the model understands.
        first: number of the first image.

    Raises:
        UsageError: for no prompt at all, one that the model cannot read whole, or any on a model
            that takes none.
    """
    if prompts is None:
        return None
    several = [prompts] if isinstance(prompts, str) else list(prompts)
    if not several:
        raise UsageError("prompts: an empty list; give at least one, or leave prompts out")
    for prompt in several:
        for _, text in prompt_terms(prompt):
            check_prompt("prompt", text, spec)
    return Texts.single(several[i % len(several)] for i in range(first, first + n))


def check_prompt(name: str, prompt: str, spec: SampleSpec) -> None:
    """Refuse a prompt that the model cannot read whole.

    Raises:
        UsageError: it has more tokens than the model reads, or the model takes no prompts.
    """
    if spec.text is None:
        raise UsageError(
            f"{name} {shown(prompt)}: this model takes none, as it was trained without captions; "
            "leave it out, or train one by `undrift train DATA --text`"
        )
    (tokens,) = spec.text.encode([prompt])
    if len(tokens) > spec.text.length:
        raise UsageError(
            f"{name} {shown(prompt)}: it has {plural(len(tokens), 'token')}, and this model reads "
            f"{spec.text.length}, as many as its longest caption; shorten it"
        )
