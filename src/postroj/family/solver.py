"""What libsolv says of requirements that cannot be met: dnf and zypper ask it, and print its sentences."""

import re
from collections.abc import Sequence

from postroj.family.reason import Reason

# NAME-VERSION-RELEASE.ARCH, and where it would come from.
_PACKAGE = r"(?:package )?(?P<package>[^\s'\"]+)-[^\s-]+-[^\s-]+(?: from \S+)?"
_BEGINS = r"\s*(?:- |Problem: |Problem \d+: )"
_NOTHING = re.compile(rf"{_BEGINS}nothing provides '?(?P<what>.+?)'? needed by (?:the to be installed )?{_PACKAGE}")
_REQUIRES = re.compile(rf"{_BEGINS}(?:the to be installed )?{_PACKAGE} requires '?(?P<what>.+?)'?, but")
_CONFLICTS = re.compile(
    rf"{_BEGINS}(?:the to be installed |installed )?{_PACKAGE} conflicts with '?(?P<what>.+?)'? provided by "
    r"(?:the installed )?(?:package )?(?P<other>\S+)-[^\s-]+-[^\s-]+"
)
_ARCHITECTURE = re.compile(rf"{_BEGINS}{_PACKAGE} does not have a compatible architecture")


def unmet(lines: Sequence[str]) -> Reason | None:
    """Return the innermost of the requirements that are not met, and what requires it."""
    if found := _first(_NOTHING, lines):
        number, words = found
        return Reason(f"{words['package']} requires {words['what']}, which nothing provides", line=number)
    if found := _first(_CONFLICTS, lines):
        number, words = found
        if words["package"] == words["what"]:
            # None conflicts with its own name: of one that is installed, dnf 5 tells it the other way round.
            words["package"], words["other"] = words["other"], words["package"]
        other = "" if words["other"] == words["what"] else f", which {words['other']} provides"
        needs = _first(_REQUIRES, lines)
        by = f"{needs[1]['package']} requires " if needs and needs[1]["what"] == words["package"] else ""
        which = ", which" if by else ""
        return Reason(f"{by}{words['package']}{which} conflicts with {words['what']}{other}", line=number)
    if found := _first(_REQUIRES, lines):
        number, words = found
        return Reason(f"{words['package']} requires {words['what']}, which cannot be installed", line=number)
    if found := _first(_ARCHITECTURE, lines):
        number, words = found
        return Reason(f"{words['package']} is not for the architecture of this machine", line=number)
    return None


def _first(pattern: re.Pattern[str], lines: Sequence[str]) -> tuple[int, dict[str, str]] | None:
    for number, line in enumerate(lines):
        if found := pattern.match(line):
            return number, found.groupdict()
    return None
