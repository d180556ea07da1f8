"""Why an installation failed, in one line: what apt-get and dpkg print puts the reason last, among much else."""

import re
from collections.abc import Sequence

_ERROR = re.compile(r"dpkg: error processing (?:package|archive) (\S+) \(--\S+\):")
# As dpkg 1.20 to 1.22 word it, with LANG=C.UTF-8: the maintainer script, and how it ended.
_SCRIPT = re.compile(
    r"(?:installed |new |old )?(\S+) package (\S+) (?:maintainer )?script subprocess .*?"
    r"(exit status \d+|killed by signal) ?\(?([^()]*)\)?"
)
_NAMES = {
    "pre-installation": "preinst",
    "post-installation": "postinst",
    "pre-removal": "prerm",
    "post-removal": "postrm",
}
_OVERWRITES = re.compile(r"trying to overwrite (?:shared )?'(.+)', which is also in package (\S+)")
_DEPENDS = re.compile(r"(\S+) : (Pre-Depends|Depends|Conflicts|Breaks): (.+)")
# Where a script's own words begin.
_BEGINS = ("Setting up ", "Preparing to unpack ", "Unpacking ", "Removing ", "Processing triggers for ")
_LONGEST = 200


def reason(output: str) -> str:
    """Return the reason as a clause, such as `the postinst of webfs failed (exit status 1): no such user`.

    An empty string is returned for what is not understood. All of it is text that a package chose: it is to be shown,
    and never to be trusted.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if (error := _ERROR.fullmatch(line)) and number + 1 < len(lines):
            return _explained(error[1], lines[number + 1], _last_words(lines[:number]))[:_LONGEST]
    for line in lines:
        if found := _DEPENDS.fullmatch(line):
            return _unmet(*found.groups())[:_LONGEST]
    return ""


def _explained(package: str, why: str, last_words: str) -> str:
    if found := _SCRIPT.fullmatch(why):
        script = (
            f"the {_NAMES.get(found[2], found[2])} of {found[1]} failed ({' '.join(filter(None, found.groups()[2:]))})"
        )
        return f"{script}: {last_words}" if last_words else f"{script} and printed nothing"
    name = package.rpartition("/")[2]
    if found := _OVERWRITES.match(why):
        return f"{found[1]} of {name} is also in the package {found[2]}"
    return f"{name}: {why}"


def _last_words(lines: Sequence[str]) -> str:
    """Return the last line that a maintainer script printed before it failed."""
    last = lines[-1] if lines else ""
    return "" if last.startswith(_BEGINS) or last.startswith("dpkg: ") else last


def _unmet(package: str, relation: str, rest: str) -> str:
    words = {"Pre-Depends": "depends on", "Depends": "depends on", "Conflicts": "conflicts with", "Breaks": "breaks"}
    return f"{package} {words[relation]} {rest}"
