"""Checks as they are written: `KIND SUBJECT [KEY=VALUE...]`, such as `http http://localhost:3000/health status=200`."""

import shlex
from collections.abc import Callable
from typing import NamedTuple

from postroj.errors import UsageError
from postroj.probe.network import Address, parse
from postroj.probe.unit import unit_name


class UnitCheck(NamedTuple):
    """A unit that must be active."""

    name: str


Check = UnitCheck | Address


def read(text: str) -> Check:
    """Return the check that a text describes. Raises UsageError."""
    shown = repr(text[:200])
    try:
        kind, subject, *words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{shown} is not a check: KIND SUBJECT [KEY=VALUE...]", hint=_HINT) from error
    if kind not in _KINDS:
        raise UsageError(f"{shown} is an unknown kind of check", hint=f"one of {', '.join(_KINDS)}; {_HINT}")
    make, known = _KINDS[kind]
    values: dict[str, str] = {}
    for word in words:
        key, is_pair, value = word.partition("=")
        if not is_pair or key not in known or key in values:
            allowed = f"it takes {', '.join(f'{each}=' for each in known)}" if known else "it takes none"
            raise UsageError(f"{shown}: {word[:80]!r} is not a setting of a check of {kind}", hint=allowed)
        values[key] = value
    return make(subject, values)


def _unit(subject: str, values: dict[str, str]) -> Check:
    return UnitCheck(unit_name(subject))


def _tcp(subject: str, values: dict[str, str]) -> Check:
    return parse(subject if "://" in subject else f"tcp://{subject}")


def _http(subject: str, values: dict[str, str]) -> Check:
    address = parse(subject)
    if address.scheme == "tcp":
        raise UsageError(f"{subject[:200]!r} is not an address of http or https")
    text = "".join([address.text, *(f" {key}={value}" for key, value in values.items())])
    return address._replace(text=text, statuses=_statuses(values["status"]) if "status" in values else ())


def _statuses(text: str) -> tuple[int, ...]:
    words = text.split(",")
    if not all(len(word) == 3 and word.isascii() and word.isdigit() and "100" <= word <= "599" for word in words):
        raise UsageError(
            f"status={text[:80]!r} is not an HTTP status", hint="for example status=200, or status=200,204"
        )
    return tuple(map(int, words))


_HINT = "for example: --check 'http http://localhost:3000/api/health status=200'"
_KINDS: dict[str, tuple[Callable[[str, dict[str, str]], Check], tuple[str, ...]]] = {
    "unit": (_unit, ()),
    "tcp": (_tcp, ()),
    "http": (_http, ("status",)),
}
"""How each kind is made, and its keys."""
