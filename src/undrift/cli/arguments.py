"""The words of a command line against the flags of a command, so that a slip gives one line.

tyro parses the words and prints the help. What it refuses it explains in a framed page of several
lines; the checks here find the same faults first.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro

from undrift import synonyms
from undrift.errors import UsageError
from undrift.names import nearest

_POSITIONAL = tyro.conf.Positional[str].__metadata__[0]  # type: ignore[attr-defined]
_FIXED = tyro.conf.Fixed[str].__metadata__[0]  # type: ignore[attr-defined]
_LONGEST = 60
"""Characters of a wrong word that an error repeats."""


@dataclasses.dataclass(frozen=True)
class Argument:
    """A flag or a positional argument.

    Attributes:
        field: of the command's dataclass.
        names: its spellings; of a positional argument what usage calls it.
        wanted: type of its values.
        several: whether it takes any number of them.
        commas: whether commas separate them, too.
        required: whether it has no default.
    """

    field: str
    names: tuple[str, ...]
    wanted: Any
    several: bool
    required: bool
    commas: bool = False


def check_arguments(command: type, verb: str, words: Sequence[str]) -> list[str]:
    """Refuse what ``command``, a dataclass of flags, does not take.

    Returns:
        ``words`` with the positional ones first, since tyro finds those of one list
        only where they stand together, or of a request for help that alone.

    Raises:
        UsageError: an unknown flag, a value that is missing or of another type, a word too many, or
            a positional argument or a flag that is missing.
    """
    flags, places = arguments_of(command)
    if "-h" in words or "--help" in words:
        return ["--help"]
    rest = list(words)
    named: list[str] = []
    free: list[str] = []
    met: set[str] = set()
    spare = 0  # words of flags that take several: tyro leaves the last to a required place
    while rest:
        word = rest.pop(0)
        if word == "--":
            free += rest
            break
        if not _is_flag(word):
            free.append(word)
            continue
        name, given = _split(word, flags)
        if name not in flags:
            raise UsageError(f"unknown flag {_short(name)}; {_hint(verb, name, flags)}")
        wanted = flags[name]
        met |= {*wanted.names}
        if wanted.wanted is bool:
            if given is not None:
                raise UsageError(f"{name}={_short(given)}: {name} takes no value; give it alone")
            named.append(word)
            continue
        values = [] if given is None else [given]
        while (not values or wanted.several) and rest and not _is_flag(rest[0]):
            values.append(rest.pop(0))
        if wanted.commas:
            values = [part for value in values for part in value.split(",") if part]
            named += [name, *values]
        else:
            named += [word, *values[given is not None :]]
        spare += len(values) if wanted.several else 0
        if not values and not wanted.several:
            raise UsageError(f"{name}: it takes a value; wanted {_description(wanted.wanted)}")
        for value in values:
            _check_value(name, wanted.wanted, value)
    _check_places(verb, places, free, spare)
    for name, argument in flags.items():
        if argument.required and name not in met:
            raise _missing(verb, name)
    return [*named, "--", *free] if "--" in words else [*free, *named]


def arguments_of(command: type) -> tuple[dict[str, Argument], list[Argument]]:
    """The flags by each of their names, and the positional arguments in order."""
    hints = get_type_hints(command, include_extras=True)
    flags: dict[str, Argument] = {}
    places: list[Argument] = []
    for field in dataclasses.fields(command):
        hint, notes = hints[field.name], ()
        while hasattr(hint, "__metadata__"):
            notes += hint.__metadata__
            hint = hint.__origin__
        if _FIXED in notes:
            continue
        named = next((note.name for note in notes if getattr(note, "name", None)), None)
        aliases = [a for note in notes for a in getattr(note, "aliases", None) or ()]
        several = get_origin(hint) in (tuple, Sequence)
        wanted = get_args(hint)[0] if several else not_none(hint)
        required = field.default is dataclasses.MISSING
        if _POSITIONAL in notes:
            place = (named or field.name.upper(),)
            places.append(Argument(field.name, place, wanted, several, required))
            continue
        names = (f"--{(named or field.name).replace('_', '-')}", *aliases)
        commas = get_origin(hint) is Sequence
        argument = Argument(field.name, names, wanted, several, required, commas)
        flags |= dict.fromkeys(names, argument)
    return flags, places


def not_none(hint: Any) -> Any:  # noqa: ANN401 - any annotation
    """The annotation of the values that a flag takes: without None, and text for paths."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    members = [member for member in get_args(hint) if member is not types.NoneType]
    return str if str in members else members[0] if len(members) == 1 else hint


def _is_flag(word: str) -> bool:
    """Whether ``word`` is a flag and no value: -3, -.5, -inf and a lone - are values."""
    start = word.lstrip("-")[:1]
    number = word.lower().lstrip("-").partition("=")[0] in ("inf", "infinity", "nan")
    return word == "--" or (word.startswith("-") and start.isalpha() and not number)


def _split(word: str, flags: dict[str, Argument]) -> tuple[str, str | None]:
    """The name of a flag, spelled with hyphens, and the value in ``--flag=value`` or ``-n4``."""
    if not word.startswith("--") and word[:2] in flags and len(word) > 2:
        return word[:2], word[2:].removeprefix("=")
    name, equals, value = word.partition("=")
    return name[:2] + name[2:].replace("_", "-"), value if equals else None


def _check_value(name: str, wanted: Any, value: str) -> None:  # noqa: ANN401 - any annotation
    if get_origin(wanted) is Literal:
        choices = [str(choice) for choice in get_args(wanted)]
        if value not in choices:
            near = nearest(value, choices, synonyms.CHOICES)
            hint = "" if near is None else f"; did you mean {near}?"
            raise UsageError(f"{name} {_short(value)}: wanted {_description(wanted)}{hint}")
    elif wanted in (int, float):
        try:
            wanted(value)
        except ValueError:
            raise UsageError(f"{name} {_short(value)}: wanted {_description(wanted)}") from None


def _check_places(verb: str, places: list[Argument], free: list[str], spare: int) -> None:
    needed = [place for place in places if place.required]
    if len(free) + spare < len(needed):
        raise _missing(verb, needed[len(free)].names[0])
    if len(free) > len(places) and not any(place.several for place in places):
        raise UsageError(
            f"{_short(repr(free[len(places)]))}: {verb} takes "
            f"{' and '.join(place.names[0] for place in places) or 'flags'} only; "
            "a name with blanks needs quotes"
        )


def _missing(verb: str, name: str) -> UsageError:
    return UsageError(f"{verb} needs {name}; `undrift {verb} --help` says what that is")


def _description(wanted: Any) -> str:  # noqa: ANN401 - any annotation
    if get_origin(wanted) is Literal:
        return " or ".join(_listed([str(choice) for choice in get_args(wanted)]))
    return {int: "a whole number", float: "a number"}.get(wanted, "a text")


def _listed(choices: list[str]) -> Iterator[str]:
    yield from ([", ".join(choices[:-1]), choices[-1]] if len(choices) > 1 else choices)


def _hint(verb: str, name: str, flags: dict[str, Argument]) -> str:
    known = [flag for flag in flags if flag.startswith("--")]
    spelt = {"learning_rate": "--lr"}
    elsewhere = {
        given: spelt.get(ours, f"--{ours.replace('_', '-')}")
        for given, ours in synonyms.SETTINGS.items()
    }
    near = nearest(name, known, elsewhere)
    return f"did you mean {near}?" if near else f"`undrift {verb} --help` lists what there is"


def _short(word: str) -> str:
    return word if len(word) <= _LONGEST else f"{word[:_LONGEST]}..."
