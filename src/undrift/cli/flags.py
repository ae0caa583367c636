"""From the words of a command line to a frozen dataclass of flags, and back."""

from __future__ import annotations

import dataclasses
import os
import types
from collections.abc import Collection
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import tyro

from undrift.advice import named, takes
from undrift.cli.arguments import arguments_of, check_arguments, not_none
from undrift.cli.dispatch import first_rank
from undrift.errors import UsageError
from undrift.options.options import Options, at_least, finite
from undrift.options.train import check_threads

if TYPE_CHECKING:
    from undrift.pipelines.request import Keywords

__all__ = ["ProcessFlags", "at_least", "finite", "numbered", "parse", "repeated", "spellings"]

Command = TypeVar("Command")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProcessFlags(Options):
    """Flags of a command that computes.

    Attributes:
        threads: CPU threads; None leaves torch's choice.
        quiet: print nothing but errors.
    """

    threads: int | None = None
    quiet: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("threads", self.threads, 1)
        check_threads(self.threads)


def parse(command: type[Command], verb: str, arguments: list[str]) -> Command:
    """Parse ``arguments`` into ``command``, a dataclass of flags.

    Raises:
        SystemExit: from tyro, after it has printed the help.
        UsageError: a word that the command does not take, or one of the dataclass's own checks.
    """
    words = check_arguments(command, verb, arguments)
    takes(spellings(command))
    return tyro.cli(
        _without_none(command),
        prog=f"undrift {verb}",
        args=words,
        console_outputs=first_rank(),
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.HelptextFromCommentsOff),
    )


def refuse_empty(command: object, arguments: list[str], **wanted: str) -> None:
    """Refuse a flag of a list that was given without an entry.

    Args:
        command: flags that were parsed.
        arguments: the words that they came from.
        wanted: field of ``command`` -> what its flag takes, for the message.

    Raises:
        UsageError: for the first such flag.
    """
    for name, entries in wanted.items():
        if named(name) in arguments and not getattr(command, name):
            raise UsageError(f"{named(name)}: wanted {entries}")


def family_settings(
    kind: type,
    command: object,
    names: Collection[str],
    owner: str,
) -> Keywords:
    """The flags of ``command`` that are given and that only some families of models have.

    Args:
        kind: dataclass of the settings that this family has.
        command: flags that were given.
        names: fields of ``command`` that are settings of a family; None, False and an empty list
            are not given.
        owner: what has the settings of ``kind``, such as ``"a GAN"``.

    Raises:
        UsageError: for a flag that this family lacks; the message names those that it takes.
    """
    from undrift.pipelines.request import unknown_setting

    known = [field.name for field in dataclasses.fields(kind) if field.name in names]
    given = {name: getattr(command, name) for name in names}
    given = {name: value for name, value in given.items() if value is not None and value != ()}
    given = {name: value for name, value in given.items() if value is not False}
    for name, value in given.items():
        if name not in known:
            raise unknown_setting(named(name), value, [named(one) for one in known], owner)
    return given


def spellings(command: type) -> dict[str, str]:
    """Parameter -> the flag, or positional argument, that sets it."""
    flags, places = arguments_of(command)
    return {
        **{argument.field: argument.names[0] for argument in flags.values()},
        **{place.field: place.names[0] for place in places},
    }


def repeated(
    given: object,
    command: type,
    *,
    keep: Collection[str] | None = None,
    **changes: object,
) -> list[str]:
    """The words by which ``command`` works on the same things as ``given``.

    Args:
        given: flags of the command that ran; those that ``command`` does not have are left out.
        command: dataclass of flags of the command to type next.
        keep: fields to take over; None is all that both have.
        changes: fields of ``command`` -> values in place of those; None leaves a flag out.
    """
    flags, places = arguments_of(command)
    defaults = {
        field.name: None if field.default is dataclasses.MISSING else field.default
        for field in dataclasses.fields(command)
    }
    kept = {name: getattr(given, name, None) for name in (defaults if keep is None else keep)}
    wanted = {name: value for name, value in {**kept, **changes}.items() if value is not None}
    words = [str(wanted[place.field]) for place in places if place.field in wanted]
    for argument in {id(one): one for one in flags.values()}.values():
        value = wanted.get(argument.field)
        if value is None or value is False or value == defaults[argument.field]:
            continue
        words.append(min(argument.names, key=len))
        if value is not True:
            words += map(str, value if isinstance(value, tuple) else (value,))
    return words


def numbered(path: str | os.PathLike[str] | None, before: object, after: object) -> str | None:
    """``path`` of an output for the next command, so that it does not meet the last one's.

    ``drawn`` becomes ``drawn-AFTER``, ``drawn-BEFORE.npz`` ``drawn-AFTER.npz``, and a folder
    without a name of its own, such as ``.``, ``AFTER`` inside it.
    """
    if path is None:
        return None
    place = Path(path)
    if place.name in ("", ".."):
        return str(place / str(after))
    stem = place.stem.removesuffix(f"-{before}")
    return str(place.with_name(f"{stem}-{after}{place.suffix}"))


def _without_none(command: type[Command]) -> type[Command]:
    """``command`` with help that says ``--size N`` where tyro would say ``{None}|INT``.

    A flag that is off, or left to others to choose, is not worth a "(default: None)" either.
    """
    hints = get_type_hints(command, include_extras=True)
    annotations: dict[str, object] = {}
    plain: dict[str, object] = {"__doc__": command.__doc__, "__annotations__": annotations}
    for field in dataclasses.fields(command):  # type: ignore[arg-type]
        hint = hints[field.name]
        if get_origin(hint) in (Union, types.UnionType):
            optional, wanted = types.NoneType in get_args(hint), not_none(hint)
            hint = wanted | None if optional else wanted
            default = "" if optional else None
            shown = tyro.conf.arg(metavar=_metavar(wanted), help_behavior_hint=default)
        elif hint is bool:
            shown = tyro.conf.arg(help_behavior_hint="")
        else:
            continue
        annotations[field.name] = Annotated[hint, shown]
        if field.default is not dataclasses.MISSING:
            plain[field.name] = field.default
    made = type(command.__name__, (command,), plain)
    shown_command = dataclasses.dataclass(frozen=True, kw_only=True)(made)
    return cast(type[Command], shown_command)


def _metavar(wanted: Any) -> str:
    if get_origin(wanted) is Literal:
        return "{" + ",".join(map(str, get_args(wanted))) + "}"
    return {int: "N", float: "X"}.get(wanted, "TEXT")
