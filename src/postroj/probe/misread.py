"""What systemd makes of a unit file that its author has not meant: settings that it ignores, the syntax of a shell."""

import os
import re
from collections.abc import Sequence

from postroj.contract import Machine
from postroj.probe import evidence
from postroj.probe.unitfile import UnitFile

_LONGEST = 200
_IGNORED = re.compile(r"(?P<file>/\S+):(?P<line>\d+): (?P<what>.*\bignoring\b.*)", re.IGNORECASE)
_PROGRAMS = ("ExecStart", "ExecStartPre", "ExecStartPost", "ExecCondition")
_SHELLS = re.compile(r"[-@:+!|]*(?:\S*/)?(?:ba|da|k|z)?sh(?:\s|$)|[-@:+!|]*\S*/env\s+(?:ba|da)?sh\b")
# An expansion with a default, a command in a word of its own, a redirection, a pipe, a list.
_OF_SHELL = re.compile(
    r"(?P<expansion>\$\{\w+:?[-+=?][^}]*\}|\$\(\S+)|(?<!\S)(?P<operator>[12&]?>>?(?:&\d)?|<|\|\|?|&&?)(?=\s|$|/)"
)

_PLACEHOLDER = re.compile(r"(/[^:\n]+:\d+):(@[A-Z0-9_]+@)")


def ignored(machine: Machine, names: Sequence[str]) -> list[str]:
    """Return what systemd says of settings that it ignores in the files of these units, each once."""
    lines = evidence.journal(machine, 1000, "_PID=1", *(f"UNIT={name}" for name in names))
    found = map(_IGNORED.match, lines)
    return list(dict.fromkeys(match.string[:_LONGEST] for match in found if match and _is_of(match["file"], names)))


def clauses(machine: Machine, name: str, file: UnitFile) -> list[str]:
    """Return what in the file of a unit does not mean what it seems to, as clauses: why it may have failed."""
    found = list(filter(None, (shell_syntax(file), placeholder(machine, name))))
    for line in ignored(machine, [name])[:1]:
        if match := _IGNORED.match(line):
            found.append(
                f"systemd says: {match['what'].rstrip('.')} ({os.path.basename(match['file'])}:{match['line']})"
            )
    return found


def placeholder(machine: Machine, name: str) -> str:
    """Return, as a clause, a placeholder in the configuration of a unit that a build should have replaced."""
    files = [file.path for file in evidence.files_of(machine, name)]
    argv = ["grep", "-HnoE", "--max-count=1", "@[A-Z][A-Z0-9_]+@", "--", *files]
    found = _PLACEHOLDER.match(evidence.ask(machine, argv)) if files else None
    return f"{found[1]} has {found[2]}, which was not replaced" if found else ""


def shell_syntax(file: UnitFile) -> str:
    """Return, as a clause, what is syntax of a shell in the command lines of a unit: systemd.service(5)."""
    for key in _PROGRAMS:
        for value in file.settings.get(key, ()):
            if not _SHELLS.match(value) and (found := _OF_SHELL.search(value)):
                does = "does not expand" if found["expansion"] else "passes on as an argument"
                return f"{key}= has {found[0]}, which is syntax of a shell and which systemd {does}"
    return ""


def _is_of(file: str, names: Sequence[str]) -> bool:
    """Return whether a file is of a unit, or a drop-in for it."""
    directory, name = os.path.split(file)
    return name in names or os.path.basename(directory).removesuffix(".d") in names
