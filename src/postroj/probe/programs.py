"""The programs of a service, as `systemctl show` prints them: how they have ended, and which commands they lack."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from postroj.contract import Machine
from postroj.package import commands
from postroj.probe import evidence

_BESIDE = ("ExecCondition", "ExecStartPre", "ExecStartPost")
_END = re.compile(r"(?:exited|killed|dumped) ; status=([0-9]{1,9})\b")
_SHELL_LINE = re.compile(r"(?:\S*/)?(?:ba|da)?sh (?:-\w+ )*-\w*c (.*)", re.DOTALL)
_SCRIPT = re.compile(r"#!\s*(?:\S*/env\s+)?\S*\b(?:ba|da|k)?sh\b")
_BYTES = 65536


class Run(NamedTuple):
    """A program of a unit that has run to its end."""

    argv: str
    status: int


def run(value: str) -> Run | None:
    """Return what `systemctl show` prints of a program, if it has ended; its arguments may be of any length."""
    begin, _, end = value.rpartition(" ; code=")
    found = _END.match(end)
    return Run(begin.partition("argv[]=")[2].partition(" ; ")[0], int(found[1])) if found else None


def main(settings: Mapping[str, str]) -> str:
    """Return the path of the main program, as `systemctl show` prints it."""
    return settings.get("ExecStart", "").partition("path=")[2].partition(" ; ")[0]


def main_argv(settings: Mapping[str, str]) -> str:
    """Return the command line of the main program, its arguments not quoted."""
    return settings.get("ExecStart", "").partition("argv[]=")[2].partition(" ; ")[0]


def failed(settings: Mapping[str, str], keys: Sequence[str] = _BESIDE) -> tuple[str, Run | None]:
    """Return which of the programs that run beside the main one has failed, and may not, and its setting."""
    for key in keys:
        value = settings.get(key, "")
        one = run(value)
        if one and one.status and not value.rpartition(" ; ignore_errors=")[2].startswith("yes"):
            return key, one
    return "", None


def lacking(machine: Machine, argv: str, status: int = 127) -> str:
    """Return, as a clause, the commands of a program that are not there, if it is a script; empty for none."""
    if found := _SHELL_LINE.match(argv):
        return commands.lacking(lambda words: evidence.ask(machine, words), found[1], status)
    path = argv.partition(" ")[0]
    text = evidence.ask(machine, ["head", f"--bytes={_BYTES}", "--", path]) if path.startswith("/") else ""
    return commands.lacking(lambda words: evidence.ask(machine, words), text, status) if _SCRIPT.match(text) else ""
