"""Why an installation failed, in one line.

All of it is text that a package chose: it is to be shown, and never to be trusted.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from postroj.colours import without_colours

LONGEST = 200
"""Characters of a reason."""
LONGEST_LINE = 2000
"""Characters of a line that are looked at."""
_EXCERPT = 10
SAID = 200
"""Lines of a maintainer script that are looked at for the one that tells why it failed: a text on its usage is long."""
_WORDS = 12


class Reason(NamedTuple):
    """Why an installation failed."""

    what: str = ""
    """A clause, such as `the postinst of webfs failed (exit status 1): no such user`; empty if it is not understood."""
    words: Sequence[str] = ()
    """What was printed last before it failed, by a maintainer script or the package manager, oldest first."""
    script: str = ""
    """The maintainer script that failed: `postinst`; empty if none has."""
    package: str = ""
    """The package of the maintainer script."""
    archive: str = ""
    """The file that could not be unpacked."""
    missing: str = ""
    """The package that the package manager says is not going to be installed, without a reason."""
    line: int = 0
    """The number of the line that says it, counted from 0."""

    def excerpt(self, output: str) -> str:
        """Return the lines of the output around the reason."""
        lines = output.splitlines()
        end = min(len(lines), self.line + 2) if self.what else len(lines)
        return "\n".join(lines[max(0, end - _EXCERPT) : end])


UNKNOWN = Reason()

# A shell that reads a script says its file and line before the error: dash, bash, and busybox's.
_OF_SHELL = re.compile(r"(?:[\w./%-]*/)?[\w.%:()-]+: (?:line )?\d+: .+")
_OF_COMMAND = re.compile(r"[\w./-]+: .*: (?:No such file or directory|Permission denied|(?:command )?not found)$")
_MOST_COMPLAINTS = 3


def complaints(lines: Sequence[str], *, of_shell: bool = False) -> list[str]:
    """Return which lines of a maintainer script that has succeeded tell of a command that has failed.

    With `of_shell`, those only that a shell prints with the number of the line: others may be of any program.
    """
    found = [line.strip() for line in lines if _OF_SHELL.fullmatch(line.strip())]
    if not of_shell:
        found += [line.strip() for line in lines if line.strip() not in found and _OF_COMMAND.match(line.strip())]
    return [line[:LONGEST] for line in dict.fromkeys(found)][:_MOST_COMPLAINTS]


def words_of(said: Sequence[str]) -> list[str]:
    """Return the last of the lines that a maintainer script has printed."""
    return [line.strip() for line in said[-_WORDS:]]


def cut(output: str) -> list[str]:
    """Return the lines of an output, without colours; of those without end the begin and the end.

    Patterns must not meet endless lines, and package managers write behind the words of a script.
    """
    half = LONGEST_LINE // 2
    lines = without_colours(output).splitlines()
    return [line if len(line) <= LONGEST_LINE else line[:half] + line[-half:] for line in lines]
