"""How Windows takes a command line apart, written down from its documentation: what command lines are tested against.

The C runtime and CommandLineToArgvW: "Parsing C command-line arguments" and "CommandLineToArgvW function" (Microsoft
Learn). They differ in one case, of two quotation marks inside of quotes. cmd.exe: `cmd /?`, and what is known of the
order of its phases: variables first, then quotes, carets and operators.
"""

import re
from collections.abc import Mapping

_OPERATORS = "&|<>()"


def c_runtime(line: str) -> list[str]:
    """Return what argv is for a program that was linked with Microsoft's C runtime of 2008 or newer."""
    return _split(line, goes_on=True)


def command_line_to_argv(line: str) -> list[str]:
    return _split(line, goes_on=False)


def _split(line: str, *, goes_on: bool) -> list[str]:
    """Split; `goes_on` is whether two quotation marks inside of quotes are one that leaves the quotes open."""
    program, line = _program(line)
    found = [program]
    place = 0
    while True:
        while place < len(line) and line[place] in " \t":
            place += 1
        if place == len(line):
            return found
        text, quoted = "", False
        while place < len(line) and (quoted or line[place] not in " \t"):
            slashes = len(line[place:]) - len(line[place:].lstrip("\\"))
            place += slashes
            if line[place : place + 1] != '"':
                text += "\\" * slashes
                if not slashes:
                    text += line[place]
                    place += 1
                continue
            text += "\\" * (slashes // 2)
            if slashes % 2:
                text += '"'
            elif quoted and line[place + 1 : place + 2] == '"':
                text += '"'
                place += 1
                quoted = goes_on
            else:
                quoted = not quoted
            place += 1
        found.append(text)


def _program(line: str) -> tuple[str, str]:
    """Return the first argument, in which backslashes mean nothing, and the rest."""
    if line.startswith('"'):
        program, _, rest = line[1:].partition('"')
        return program, rest
    match = re.match(r"[^ \t]*", line)
    assert match
    return match[0], line[match.end() :]


def cmd(line: str, variables: Mapping[str, str]) -> str:
    """Return what cmd.exe /C gives to CreateProcess for this line. Raises ValueError if it is more than one command."""
    line = _expanded(line, {name.upper(): value for name, value in variables.items()})
    text, quoted, place = "", False, 0
    while place < len(line):
        this = line[place]
        if this == "\n":
            raise ValueError("the line ends here")
        if quoted or this not in '^"' + _OPERATORS:
            quoted = quoted and this != '"'
        elif this == "^":
            place += 1
            this = line[place : place + 1]
        elif this == '"':
            quoted = True
        else:
            raise ValueError(f"an operator: {this}")
        text += this
        place += 1
    return text


def _expanded(line: str, variables: Mapping[str, str]) -> str:
    """Return the line with its variables: as on the command line, where one that is not there stays as it is."""
    text, place = "", 0
    while place < len(line):
        end = line.find("%", place + 1) if line[place] == "%" else -1
        name, _, change = line[place + 1 : max(end, 0)].partition(":")
        value = variables.get(name.upper()) if name else None
        if value is None:
            text += line[place]
            place += 1
            continue
        text += _changed(value, change)
        place = end + 1
    return text


def _changed(value: str, change: str) -> str:
    """Return what `%NAME:CHANGE%` makes of a value: `~START,LENGTH`, both of which may be left out, or `OLD=NEW`."""
    if change.startswith("~"):
        start, comma, length = change[1:].partition(",")
        rest = value[int(start or 0) :]
        return rest[: int(length or 0)] if comma else rest
    old, equals, new = change.partition("=")
    return value.replace(old, new) if equals and old else value


def msiexec(line: str) -> dict[str, str]:
    """Return the properties of an msiexec command line: "Command-Line Options" (Microsoft Learn)."""
    found = {name: value.replace('""', '"') for name, value in re.findall(r'([A-Z0-9_.]+)="((?:[^"]|"")*)"', line)}
    assert len(found) == len(re.findall(r" [A-Z0-9_.]+=", " " + re.sub(r'"(?:[^"]|"")*"', "", line)))
    return found
