"""Why a maintainer script has failed that says little: it asks, calls what is not there, or ends with a test."""

import re
from collections.abc import Mapping, Sequence

from postroj.family.reason import Reason
from postroj.package import commands

_NOT_RUN = re.compile(r"exit status (12[67])\b")
"""Of a shell: a command that is not there (127), or cannot be executed (126)."""
_NAMED = re.compile(r"not found|ermission denied|No such file")
_SILENT = " and printed nothing"
_ASKS = re.compile(r"""[?:>\])]\s*["']?$""")
_TERMINAL = re.compile(r"/dev/tty\b.*(?:No such device|cannot open)|not a tty|Inappropriate ioctl")
# The command read of a shell as a statement, and what makes it one that reads something else.
_READ = re.compile(r"(?:^|[;&({]|\b(?:if|then|else|do)\s|!\s)\s*((?:read|select)\b[^;&|)}]*)")
_HAS_INPUT = re.compile(r"^\s*#|<|\b(?:while|until)\b|\|\s*(?:\w+=\S*\s+)*(?:read|select)\b")
_DEBCONF = re.compile(r"^[^#\n]*\b(?:confmodule|db_get|db_input)\b", re.MULTILINE)
_NOBODY = "and nobody answers: its standard input is /dev/null"


def explained(what: str, found: Reason, script: str, environment: Mapping[str, str], ask: commands.Ask) -> str:
    """Return why a maintainer script has failed: `what`, with what its text tells, where it has printed too little."""
    if asks := of_script(script, found.words, environment):
        return f"the {found.script} of {found.package} {asks}"
    status = _NOT_RUN.search(what)
    is_named = any(_NAMED.search(word) for word in found.words)
    if status and not is_named and (clause := commands.lacking(ask, script, int(status[1]))):
        return f"{what.removesuffix(_SILENT)}{'; ' if found.words else ': '}{clause}"
    return what if found.words else what + last_test(script)


def of_script(script: str, words: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return what a script that failed was waiting for, as a clause that goes on from its name; or an empty string.

    `words` are the last that it has printed; `environment` is what it was told.
    """
    nobody = _NOBODY + "".join(f", and {name} is {value}" for name, value in environment.items())
    last = words[-1] if words else ""
    if _TERMINAL.search(last):
        return f"asks at a terminal ({last}), and there is none"
    if last and not _ASKS.search(last):
        return ""
    asked = f" ({last})" if last else ""
    for line in (line[:1000] for line in script.splitlines()):
        if (found := _READ.search(line)) and not _HAS_INPUT.search(line):
            return f"asks for input by `{found[1].strip()}`{asked}, {nobody}"
    if not last and _DEBCONF.search(script):
        return f"asks by debconf, {nobody}; a question needs a default in its templates, or a preseed"
    return ""


_TEST = re.compile(r"(?:\[\[? .*|test .*)&&.*")
_SHOWN = 120


def last_test(script: str) -> str:
    """Return a clause if the last command of a script is a test with `&&`: its status is that of the script."""
    lines = [line.strip() for line in script.splitlines() if line.strip() and not line.strip().startswith("#")]
    if not lines or not _TEST.match(lines[-1]) or "||" in lines[-1]:
        return ""
    return f": its last command, `{lines[-1][:_SHOWN]}`, fails if the test does; end it with `|| true`, or write `if`"
