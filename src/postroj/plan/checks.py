"""Checks of a plan, as tables or as texts, become the texts that `pkgprobe --check` takes."""

import shlex
from collections.abc import Mapping

from postroj.errors import UsageError
from postroj.nearest import did_you_mean
from postroj.plan.model import Check
from postroj.probe.check import read
from postroj.probe.kinds import KINDS

_OPERATORS = {"not": "!=", "matches": "~=", "not-matches": "!~="}


def text_of(check: Check) -> str:
    """Return a check as `pkgprobe` takes it. Raises UsageError if it is none."""
    text = check if isinstance(check, str) else _text(check)
    read(text)
    return text


def _text(table: Mapping[str, object]) -> str:
    # The first key says what kind it is: `user` is a kind, and also a setting of `process`.
    kind = next(iter(table), "nothing")
    if kind not in KINDS:
        near = did_you_mean(kind, KINDS)
        raise UsageError(
            f"a check begins with its kind, and this one with {kind[:80]}{near and f'; {near}'}",
            hint=f'as in `http = "http://localhost:3000"`; kinds are {", ".join(KINDS)}',
        )
    words = [kind, shlex.quote(_value(table[kind]))]
    for key, value in table.items():
        if key == kind:
            continue
        if key == "mode" and isinstance(value, int):  # TOML's 0o644 is 420 here, and so is 420
            raise UsageError("mode is a number in it", hint='write its octal digits in quotes: mode = "0644"')
        for name, what in value.items() if isinstance(value, dict) else [("", value)]:
            all_of = what if isinstance(what, tuple) else (what,)
            words += [shlex.quote(f"{key}{_OPERATORS.get(name, '=')}{_value(one)}") for one in all_of]
    return " ".join(words)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
