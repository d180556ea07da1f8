"""Checks of a plan, as tables or as texts, become the texts that `pkgprobe --check` takes."""

import difflib
import shlex
from collections.abc import Mapping

from postroj.errors import UsageError
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
    kinds = [key for key in table if key in KINDS]
    # `process` has a setting `user`, and `user` is a kind: the first key of the table says what kind it is.
    if not kinds or next(iter(table)) not in KINDS:
        word = next(iter(table), "nothing")
        near = [f"; did you mean {kind}?" for kind in difflib.get_close_matches(word, KINDS, n=1)]
        raise UsageError(
            "".join([f"a check begins with its kind, and this one with {word[:80]}", *near]),
            hint=f'as in `http = "http://localhost:3000"`; kinds are {", ".join(KINDS)}',
        )
    kind = next(iter(table))
    words = [kind, shlex.quote(_value(table[kind]))]
    for key, value in table.items():
        if key == kind:
            continue
        for name, what in value.items() if isinstance(value, dict) else [("", value)]:
            all_of = what if isinstance(what, tuple) else (what,)
            words += [shlex.quote(f"{key}{_OPERATORS.get(name, '=')}{_value(one)}") for one in all_of]
    return " ".join(words)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
