"""Reading a plan: postroj.toml, or [tool.postroj] of a pyproject.toml, and what it extends."""

import os
import re
import tomllib
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from postroj.errors import UsageError
from postroj.nearest import did_you_mean
from postroj.plan.lines import Path, line_of
from postroj.plan.model import CHOICES, TABLES, Plan, Variant, keys
from postroj.plan.wording import plain

TOOLS = "pyproject.toml"
"""The file in which the plan is a table of postroj's own."""
NAMES = ("postroj.toml", TOOLS)
"""The files that a plan is looked for in, in this order."""
_MOST_BYTES = 1 << 20
_MOST_EXTENDED = 20
_FIELD = re.compile(r"unknown field `(?P<field>[^`]*)`")
_CHOICE = re.compile(r"Invalid enum value (?P<word>.*)", re.DOTALL)
_AT = re.compile(r" - at (`(key|value)` in )?`\$(?P<path>[^`]*)`$")


class Source(NamedTuple):
    """A file that a plan is read from."""

    path: str
    text: str
    prefix: tuple[str, ...]
    """Where in it the plan is."""
    plan: Plan

    @property
    def directory(self) -> str:
        """What relative paths in it are relative to."""
        return os.path.dirname(os.path.abspath(self.path))

    def where(self, path: Path = ()) -> str:
        """Return where a value of the plan stands: `postroj.toml:12`."""
        line = line_of(self.text, (*self.prefix, *path))
        return f"{self.path}:{line}" if line else self.path

    def error(self, path: Path, what: str, hint: str = "") -> UsageError:
        """Return an error about a value."""
        key = ".".join(str(part) for part in path if isinstance(part, str))
        return UsageError(f"{self.where(path)}: {f'{key} ' if key else ''}{what}", hint=hint)

    def at(self, path: Path, error: UsageError) -> UsageError:
        """Return an error that names no place, with that of a value."""
        key = ".".join(str(part) for part in path if isinstance(part, str))
        return UsageError(f"{self.where(path)}: {key}: {error.what}", hint=error.hint)


def find(directory: str = ".") -> str:
    """Return the file of the plan of a directory, whatever it is; empty if it has none."""
    for name in NAMES:
        path = os.path.join(directory, name) if directory != "." else name
        if os.path.exists(path) and (name != TOOLS or (os.path.isfile(path) and _has_plan(path))):
            return path
    return ""


def _has_plan(path: str) -> bool:
    tools = _table(path)[1].get("tool")
    return isinstance(tools, dict) and "postroj" in tools


def read(path: str) -> list[Source]:
    """Return the plan in a file, after those that it extends. Raises UsageError, with file, line and key."""
    sources: list[Source] = []
    seen: list[str] = []
    while path:
        if os.path.realpath(path) in seen:
            raise sources[0].error(("extends",), f"goes in a circle: {path} is extended by itself")
        if len(seen) == _MOST_EXTENDED:
            raise sources[0].error(("extends",), f"goes on for more than {_MOST_EXTENDED} files")
        seen.append(os.path.realpath(path))
        try:
            source = _read(path)
        except UsageError as error:
            if not sources:
                raise
            raise sources[0].error(("extends",), f"cannot be followed: {error.what}", error.hint) from error
        sources.insert(0, source)
        extends = source.plan.extends
        path = os.path.relpath(os.path.join(source.directory, os.path.expanduser(extends))) if extends else ""
    return sources


def _read(path: str) -> Source:
    text, table = _table(path)
    prefix: tuple[str, ...] = ()
    if os.path.basename(path) == TOOLS:
        prefix = ("tool", "postroj")
        for part in prefix:
            table = table.get(part, {})
            if not isinstance(table, dict):
                raise UsageError(f"{path}: {part} is not a table")
    source = Source(path, text, prefix, Plan())
    try:
        plan = msgspec.convert(table, Plan)
    except msgspec.ValidationError as error:
        raise _explained(source, _with_variant(str(error), table)) from error
    for place, text in _texts(table):
        if "\0" in text:  # no path, and no argument of a program, can have it
            raise source.error(place, "has a NUL character")
    return source._replace(plan=plan)


def _texts(value: object, place: tuple[str | int, ...] = ()) -> Iterator[tuple[Path, str]]:
    """Yield the texts in a value, each with where it is."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(one, (*place, key))


def _table(path: str) -> tuple[str, dict[str, Any]]:
    """Return the text of a TOML file, and what is in it. Raises UsageError."""
    if os.path.exists(path) and not os.path.isfile(path):  # a FIFO would be waited for for ever
        what = "a directory" if os.path.isdir(path) else "no regular file"
        raise UsageError(f"{path} cannot be read as a plan: it is {what}")
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{path} is too big for a plan: it has more than {_MOST_BYTES >> 20} MiB")
    try:
        text = data.decode("utf-8-sig")  # as some editors begin a file
        return text, tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError also for a number of more than 4300 digits
        raise UsageError(f"{path} is not TOML: {error or 'it is nested too deeply'}") from error


def _with_variant(told: str, table: dict[str, Any]) -> str:
    """Return what msgspec has told, with the name of the variant at fault, which it leaves out."""
    if "`$.variant[...]" not in told:
        return told
    for name, variant in table["variant"].items():
        try:
            msgspec.convert(variant, Variant)
        except msgspec.ValidationError:
            return told.replace("$.variant[...]", f"$.variant.{name}", 1)
    return told


def _explained(source: Source, told: str) -> UsageError:
    """Return the error for what msgspec has told."""
    at = _AT.search(told)
    what = told[: at.start()] if at else told
    path: list[str | int] = _path(at["path"] if at else "")
    if field := _FIELD.search(what):
        known = keys(TABLES.get(str(path[0]), Plan) if path else Plan)
        hint = did_you_mean(field["field"], known) or f"there is {', '.join(sorted(known))}"
        return source.error([*path, field["field"]], "is an unknown key", hint)
    if missing := re.search("missing required field `(.*)`", what):
        return source.error([*path, missing[1]], "is missing")
    if wrong := _CHOICE.fullmatch(what):
        choices = CHOICES.get(str(path[-1] if isinstance(path[-1], str) else path[-2]), ())
        return source.error(path, f"cannot be {wrong['word']}", f"there is {', '.join(choices)}" if choices else "")
    item = f"item {path[-1] + 1} " if path and isinstance(path[-1], int) and path[0] not in TABLES else ""
    return source.error(path, f"{item}{plain(what)}")


def _path(text: str) -> list[str | int]:
    """Return a path as msgspec writes it, `.override[0].timeout`; what it leaves out, `[...]`, ends it."""
    parts: list[str | int] = []
    for name, number in re.findall(r"(?:^|\.)([A-Za-z0-9_+@~-]+)|\[([0-9]+|\.\.\.)\]", text):
        if number == "...":
            break
        parts.append(name or int(number))
    return parts
