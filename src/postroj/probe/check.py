"""Checks as they are written: `KIND SUBJECT [KEY=VALUE...]`, such as `http http://localhost:3000/health status=200`.

The classes in `kinds/` are the model: a check's first field is its subject, all others are its settings, and the
annotation of each says how it is written. The grammar, the names in a report and the tables of docs/checks.md follow.
"""

import importlib
import re
import shlex
from collections.abc import Iterable
from typing import Any, NamedTuple, get_type_hints

from postroj.errors import UsageError
from postroj.nearest import did_you_mean
from postroj.probe.judge import Check
from postroj.probe.kinds import KINDS, Kind
from postroj.probe.network import Address
from postroj.probe.values import Key

_SETTING = re.compile(r"(?P<key>[A-Za-z0-9_-]+)(?P<operator>!~=|~=|!=|=)(?P<value>.*)", re.DOTALL)
_PLAIN = re.compile(r"[^\s'\"\\]+")
_SPECIAL = re.compile(r'["\\$`!]')
_HINT = "for example: --check 'http http://localhost:3000/api/health status=200'; see docs/checks.md"
_SHOWN = 200


class Setting(NamedTuple):
    """A setting of a check as it is written."""

    key: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}{self.operator}{self.value}"


def read(text: str) -> Check:
    """Return the check that a text describes. Raises UsageError."""
    shown = repr(text[:_SHOWN])
    try:
        kind, subject, *words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{shown} is not a check: KIND SUBJECT [KEY=VALUE...]", hint=_HINT) from error
    if kind not in KINDS:
        raise UsageError(f"{shown}: {kind[:80]!r} is an unknown kind of check{_near(kind, KINDS)}", hint=_kinds())
    settings = []
    for word in words:
        if not (found := _SETTING.fullmatch(word)):
            raise UsageError(f"{shown}: {word[:80]!r} is not a setting: KEY=VALUE", hint=_takes(kind))
        settings.append(Setting(*found.groups()))
    try:
        return build(kind, subject, settings)
    except UsageError as error:
        raise UsageError(f"{shown}: {error.what}", hint=error.hint) from error


def build(kind: str, subject: str, settings: Iterable[Setting] = ()) -> Check:
    """Return a check of a known kind. Raises UsageError."""
    model = model_of(kind)
    first, *others = keys(model).items()
    known = dict(others)
    values: dict[str, Any] = {first[0]: _value(first[1], subject, "=", subject)}
    for setting in settings:
        word = repr(str(setting)[:80])
        key = known.get(setting.key)
        if key is None:
            raise UsageError(
                f"{word} is not a setting of a check of {kind}{_near(setting.key, known)}", hint=_takes(kind)
            )
        if setting.operator not in key.operators:
            raise UsageError(f"{word}: {setting.key} has no {setting.operator}", hint=_takes(kind))
        if setting.key in values and not key.repeatable:
            raise UsageError(f"{word}: there are two of {setting.key}")
        value = _value(key, str(setting), setting.operator, setting.value)
        values[setting.key] = (*values.get(setting.key, ()), value) if key.repeatable else value
    if missing := [name for name, key in known.items() if key.required and name not in values]:
        raise UsageError(f"a check of {kind} needs {missing[0]}", hint=_takes(kind))
    check: Check = model(**values)
    return check


def of_address(address: Address) -> Check:
    """Return the check that an address alone stands for: --check-network."""
    check: Check = model_of("tcp" if address.scheme == "tcp" else "http")(address)
    return check


def address_of(check: Check) -> Address | None:
    """Return the address of TCP that a check is about; None for none."""
    values = check if isinstance(check, tuple) else ()
    return next((value for value in values if isinstance(value, Address) and value.scheme != "udp"), None)


def name_of(check: Check) -> str:
    """Return the name of a check in a report: as it is written, in the order of its settings, without its timeout."""
    (first, _), *others = keys(type(check)).items()
    words = [kind_of(check), _quoted(_written(getattr(check, first)))]
    for name, key in others:
        value = getattr(check, name)
        if name != "timeout" and value != type(check)._field_defaults.get(name):  # type: ignore[attr-defined]
            for each in value if key.repeatable else (value,):
                words.append(f"{name}{getattr(each, 'operator', '=')}{_quoted(_written(each))}")
    return " ".join(words)


def kind_of(check: Check) -> str:
    """Return the name of a check's kind."""
    return type(check).__module__.rpartition(".")[2]


def settings_of(check: Check) -> Kind:
    """Return what is set for all checks of its kind."""
    return KINDS[kind_of(check)]


def model_of(kind: str) -> Any:
    """Return the class of a kind of checks."""
    return getattr(importlib.import_module(f"postroj.probe.kinds.{kind}"), KINDS[kind].model)


def keys(model: Any) -> dict[str, Key]:
    """Return how the fields of a model are written, its subject first."""
    hints = get_type_hints(model, include_extras=True)
    return {name: hints[name].__metadata__[0] for name in model._fields}


def _value(key: Key, word: str, operator: str, text: str) -> Any:
    if "\0" in text:
        raise UsageError(f"{word[:80]!r} has a NUL character")
    try:
        return key.read(operator, text)
    except ValueError as error:
        raise UsageError(f"{word[:80]!r} {error}", hint=f"for example {key.example}") from error


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(_quoted, value)) if type(value) is tuple else str(value)


def _quoted(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    return f'"{word}"' if "'" in word and not _SPECIAL.search(word) else shlex.quote(word)


def _takes(kind: str) -> str:
    _, *others = keys(model_of(kind)).items()
    return f"it takes {', '.join(f'{name}{operator}' for name, key in others for operator in key.operators)}"


def _kinds() -> str:
    return f"one of {', '.join(KINDS)}; {_HINT}"


def _near(word: str, known: Iterable[str]) -> str:
    question = did_you_mean(word, known)
    return question and f"; {question}"
