"""Why an installation failed, in one line: what apt-get and dpkg print puts the reason last, among much else.

All of it is text that a package chose: it is to be shown, and never to be trusted.
"""

import re
from collections.abc import Collection, Sequence

from postroj.family.reason import LONGEST, LONGEST_LINE, SAID, UNKNOWN, Reason, cut, words_of
from postroj.lastwords import telling

_ERROR = re.compile(r"dpkg: error processing (?:package|archive) (\S+) \(--\S+\):$")
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
_OLD = re.compile(r"dpkg: warning: old \S+ package \S+ script subprocess .*?(exit status \d+|killed by signal.*)")
_NOT_RUN = re.compile(r"dpkg \(subprocess\): unable to execute .*: ([^:]+)")
_OVERWRITES = re.compile(r"trying to overwrite (?:shared )?'(.+)', which is also in package (\S+)")
_DPKG_DEB = re.compile(r"dpkg-deb(?: \(subprocess\)|: error)?: (.+)")
_FIRST_UNMET = "The following packages have unmet dependencies:"
_UNMET = re.compile(r" (\S*)\s*:? ?(PreDepends|Pre-Depends|Depends|Conflicts|Breaks): (.+)")
_VERBS = {"Conflicts": "conflicts with", "Breaks": "breaks"}
_NOT_GOING = "but it is not going to be installed"
# The line before a script's own words, and the package that it is of; deluser prints `Removing user ...`.
_BEGINS = re.compile(
    r"(Setting up|Preparing to unpack|Unpacking|Removing|Purging configuration files for|Processing triggers for) (\S+)"
    r"(?: \(.*)? \.\.\.$"
)
# The scripts that dpkg runs after that line, and which of them it is if no process tells; before it unpacks a package,
# the prerm of the version that was there, and after that its postrm.
_SCRIPTS = {
    "Setting up": (("postinst",), "postinst"),
    "Processing triggers for": (("postinst",), "postinst"),
    "Preparing to unpack": (("preinst", "prerm"), "preinst"),
    "Unpacking": (("postrm",), ""),
    "Removing": (("prerm", "postrm"), "prerm or postrm"),
    "Purging configuration files for": (("postrm",), "postrm"),
}
_LONGEST_NAME = 15
"""Characters of a process's name."""
_APT = re.compile(r"(?:E|Error): (.+)")
_EMPTY_APT = re.compile(
    r"Unable to correct problems|Sub-process \S+ returned an error code|Error, pkgProblemResolver"
    r"|The following information from"
)
_CUT_OFF = re.compile(r"Sub-process \S*dpkg (exited unexpectedly|received .*)")
# What apt-get and dpkg say to a maintainer script: another one of them has the lock.
_LOCKED = re.compile(r"dpkg frontend lock|frontend lock was locked by another process|status database is locked")
_LEFT = "dependency problems - leaving"
_SIGNALLED = 128


def running(output: str, processes: Collection[str] = ()) -> str:
    """Return the maintainer script that dpkg ran last: `the postinst of webfs`; empty if it has begun none.

    `processes` are the names of those that run: that of a script is the name of its file, cut.
    """
    if not (begin := _begin(output.splitlines())):
        return ""
    package = begin[2].rpartition("/")[2].partition("_")[0]
    scripts, usual = _SCRIPTS[begin[1]]
    seen = [script for script in scripts if f"{package}.{script}"[:_LONGEST_NAME] in processes]
    script = seen[0] if len(seen) == 1 else usual
    return f"the {script} of {package}" if script else ""


def by_scripts(output: str, names: Collection[str]) -> list[str]:
    """Return the lines that were printed while dpkg ran the scripts of these packages."""
    found: list[str] = []
    is_theirs = False
    for line in cut(output):
        if begin := _BEGINS.match(line):
            is_theirs = begin[1] in _SCRIPTS and begin[2].partition(":")[0] in names
        elif is_theirs:
            found.append(line)
    return found


def find(output: str, status: int = 0) -> Reason:
    """Return the reason of a failure from what apt-get, which ended with `status`, has printed."""
    # Patterns that take time for each place in a line must not meet lines without end.
    lines = cut(output)
    found = _of_dpkg(lines) or _of_dependencies(lines) or _of_end(lines, status) or _of_apt(lines) or UNKNOWN
    return found._replace(what=found.what[:LONGEST])


_UNKNOWN_COMPRESSION = re.compile(r"unknown compression for member '([^']{1,80})'")


def _of_dpkg(lines: Sequence[str]) -> Reason | None:
    """Return the first error of dpkg's that is no consequence of another one."""
    errors = [number for number, line in enumerate(lines[:-1]) if _ERROR.search(line)]
    reasons = [_explained(lines, number) for number in errors]
    return next((one for one in reasons if not one.what.endswith(_LEFT)), reasons[0] if reasons else None)


def _explained(lines: Sequence[str], number: int) -> Reason:
    error = _ERROR.search(lines[number])
    assert error
    end = number + 2
    while end < len(lines) and lines[end].startswith(" ") and lines[number + 1].endswith(":"):
        end += 1  # dpkg's own words may take several lines
    why = " ".join(line.strip() for line in lines[number + 1 : end])[:LONGEST_LINE]
    # What was printed without a line break, such as a prompt, is on the line of the error.
    said = _said(lines[:number], lines[number][: error.start()])
    words = words_of(said)
    if found := _SCRIPT.fullmatch(why):
        return _of_script(found, said, lines, number)
    name = error[1].rpartition("/")[2]
    archive = error[1] if "/" in error[1] else ""
    if found := _OVERWRITES.match(why):
        what = f"{found[1]} of {name} is also in the package {found[2]}"
    elif why.startswith("dpkg-deb ") and (told := next(filter(None, map(_DPKG_DEB.match, words)), None)):
        packed = _UNKNOWN_COMPRESSION.search(told[1])
        what = f"{name} is damaged: {told[1]}"
        if packed:
            what = f"the dpkg of this image does not know the compression of {packed[1]} in {name}: build it with xz"
    else:
        what = f"{name}: {why}"
    return Reason(what, [*words, why], archive=archive, line=number)


def _of_script(found: re.Match[str], said: Sequence[str], lines: Sequence[str], number: int) -> Reason:
    package, kind, how, signal = found.groups()
    words = words_of(said)
    script = _NAMES.get(kind, kind)
    what = f"the {script} of {package} failed ({' '.join(filter(None, (how, signal)))})"
    error = _ERROR.search(lines[number])
    archive = error[1] if error and "/" in error[1] else ""
    begin = _begin(lines[:number])
    if begin and begin[1] == "Processing triggers for":
        what += " when it was run for a trigger"
    reason = Reason(what, words, script, package, archive, line=number)
    if not words:
        return reason._replace(what=f"{what} and printed nothing")
    if not_run := _NOT_RUN.fullmatch(words[-1]):
        return reason._replace(what=f"the {script} of {package} cannot be run: {_of_interpreter(not_run[1])}")
    olds = [place for place, word in enumerate(words) if _OLD.match(word)]
    if olds and olds[0] > 0:
        what = f"the {script} of the {package} that was there failed, and so did the new one for it"
        return reason._replace(what=f"{what}: {words[olds[0] - 1]}")
    if any(_LOCKED.search(word) for word in words):
        return reason._replace(what=f"{what}: it calls apt-get or dpkg, which wait for the one that runs it")
    return reason._replace(what=f"{what}: {telling(said) or words[-1]}")


def _of_interpreter(why: str) -> str:
    if why == "No such file or directory":
        return "the interpreter in its first line does not exist (or the line ends with a carriage return)"
    if why == "Exec format error":
        return "its first line names no interpreter (#!)"
    return why


def _said(lines: Sequence[str], last: str) -> list[str]:
    """Return what was printed last, since dpkg has begun something."""
    found = [last] if last.strip() else []
    for line in reversed(lines[-SAID:]):
        if _BEGINS.match(line) or _ERROR.search(line):
            break
        if line.strip():
            found.insert(0, line)
    return found


def _begin(lines: Sequence[str]) -> re.Match[str] | None:
    """Return what dpkg has begun last."""
    return next((found for line in reversed(lines) if (found := _BEGINS.match(line))), None)


def _of_dependencies(lines: Sequence[str]) -> Reason | None:
    """Return the innermost of the dependencies that are not met."""
    if _FIRST_UNMET not in lines:
        return None
    unmet: dict[str, tuple[str, str, int]] = {}
    package = ""
    begin = lines.index(_FIRST_UNMET) + 1
    for number, line in enumerate(lines[begin:], begin):
        if not (found := _UNMET.fullmatch(line)):
            if not line.startswith(" "):
                break
            continue
        package = found[1] or package
        unmet.setdefault(package, (found[2], found[3], number))
    if not unmet:
        return None
    package = next(iter(unmet))
    clauses, seen, place, missing = "", set[str](), begin, ""
    while package in unmet and package not in seen:
        relation, rest, place = unmet[package]
        verb = _VERBS.get(relation, "depends on")
        clauses += f", and that {verb} {rest}" if clauses else f"{package} {verb} {rest}"
        seen.add(package)
        package = rest.split()[0]
        missing = package if rest.endswith(_NOT_GOING) and relation not in _VERBS else ""
    return Reason(
        clauses.replace(f" {_NOT_GOING}, and", ", and"), line=place, missing="" if missing in seen else missing
    )


def _of_end(lines: Sequence[str], status: int) -> Reason | None:
    """Return the reason if apt-get or dpkg itself was killed, or has crashed."""
    script = running("\n".join(lines))
    where = f" in {script}" if script else ""
    for number, line in enumerate(lines):
        if (found := _APT.match(line)) and (how := _CUT_OFF.match(found[1])):
            return Reason(f"dpkg {how[1]}{where}: something killed it, or it crashed", line=number)
    if status > _SIGNALLED:
        return Reason(f"apt-get was killed (signal {status - _SIGNALLED}){where}", line=len(lines) - 1)
    return None


def _of_apt(lines: Sequence[str]) -> Reason | None:
    for number, line in enumerate(lines):
        if (found := _APT.match(line)) and not _EMPTY_APT.match(found[1]):
            return Reason(found[1].strip(), line=number)
    return None
