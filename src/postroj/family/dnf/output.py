"""What dnf 4 and 5 and yum print: the table of a transaction, and why there is none."""

import re
from collections.abc import Sequence
from itertools import takewhile

from postroj.family import rpm, solver
from postroj.family.plan import Plan, Step
from postroj.family.reason import LONGEST, UNKNOWN, Reason, cut

_ASKED = re.compile(r"Operation aborted(?: by the user)?\.$|Exiting on user command")
_LOCAL = "@commandline"
"""The repository of a package that comes from a file."""
_INSTALLING = ("Installing", "Upgrading", "Downgrading", "Reinstalling")
_SECTION = re.compile(r"(?P<verb>[A-Z][a-z]+)[a-z ]*:$")
_ROW = re.compile(r" (?P<name>[^\s:]+)\s+(?P<architecture>\w+)\s+(?P<version>[^\s]+)\s+(?P<repository>\S+)\s+[\d.,]+")
_UNCHANGED = re.compile(r"Package \"?(?P<package>[^\s\"]+)-[^\s-]+-[^\s-]+\"? is already installed")

# In lines of their own, dnf 4, dnf 5 and yum 3, which names the package with its version
_SCRIPTLET = re.compile(
    r"(?:(?:>>> )?(?:Non-critical error|Error) in (?P<script>\S+) scriptlet(?: in rpm package|:) "
    r"|Non-fatal (?P<harmless>\S+) scriptlet failure in rpm package )(?P<package>\S+)"
)
_TRIGGER = re.compile(r"<?unknown>?|%?trigger.*")
_SCRIPTS = {"PREIN": "pre", "POSTIN": "post", "pre-install": "pre", "post-install": "post"}
_OF_DNF5 = ">>> "
"""Before what dnf 5 has to say of a scriptlet: that it runs, that it has failed, and then what it has printed."""
_UNKNOWN_NAME = re.compile(r"(?:No match for argument|Unable to find a match): (?P<what>.+)")
_ERROR = re.compile(r"Error: (?P<what>.+)")
_PREPARED = re.compile(r"\[\d+/\d+\] Prepare transaction ")
_BEGUN = re.compile(r"Running transaction$", re.MULTILINE)
_REFUSED = re.compile(r"Transaction failed: (?P<what>.+)")
_DETAIL = re.compile(r"  - (?P<what>.+)")
_EMPTY_ERROR = re.compile(r"Transaction (?:test error|failed)|Unable to find a match")
_SIGNALLED = 128

# As dnf 4 and yum word it, and dnf 5
UNKNOWN_KEY = re.compile(
    r"Public key (?:for \S+ )?is not installed|Import of (?:the )?key\(?s?\)? didn't help"
    r"|No corresponding key was found|repository does not have any OpenPGP keys configured|Public key import failed"
    r"|signature is valid, but the key is not trusted"
)
UNSIGNED = re.compile(r"[Pp]ackage (?:\S+ )?is not signed|has failed: The package is not signed")


def has_asked(output: str) -> bool:
    """Return whether it ended where it would have asked whether to go on."""
    return any(map(_ASKED.match, output.splitlines()))


def has_begun(output: str) -> bool:
    """Return whether packages were about to be changed."""
    return bool(_BEGUN.search(output))


def plan(output: str) -> Plan:
    """Return the plan in the table of a transaction."""
    installed, removed, unchanged = [], [], []
    verb = ""
    pending = ""
    lines = cut(output)
    for line in lines:
        if section := _SECTION.match(line):
            verb = section["verb"]
        elif found := _UNCHANGED.match(line):
            unchanged.append(found["package"])
        # A long name has a line of its own.
        elif found := _ROW.match(pending + line):
            if verb in _INSTALLING:
                is_local = found["repository"] == _LOCAL
                # dnf 5 shows an epoch where there is none.
                installed.append(Step(found["name"], found["version"].removeprefix("0:"), "", is_local))
            elif verb == "Removing":
                removed.append(found["name"])
        pending = line if re.fullmatch(r" \S+\s*", line) else ""
    # It says so of one that it upgrades, too.
    kept = [name for name in unchanged if all(step.name != name for step in installed)]
    return Plan(tuple(installed), tuple(removed), rpm.recommended(lines), tuple(kept))


def reason(output: str, status: int) -> Reason:
    """Return why it has failed."""
    lines = cut(output)
    found = broken(lines) or rpm.transaction(lines) or solver.unmet(lines) or rpm.scriptlet(lines)
    found = found or _of_end(lines, status)
    return found._replace(what=found.what[:LONGEST])


def running(lines: Sequence[str]) -> str:
    """Return what dnf 5 is at if it has begun to install."""
    return "rpm's transaction" if any(map(_PREPARED.match, lines)) else ""


def broken(lines: Sequence[str]) -> Reason | None:
    """Return the scriptlet that has failed, as dnf tells it in a line of its own.

    That of rpm, which has its exit status, is among the words of scripts: any of them may print one like it.
    """
    for number, line in enumerate(lines):
        if (found := _SCRIPTLET.match(line)) and _is_own(lines, number):
            word = found["script"] or found["harmless"]
            words = _printed(lines[number + 1 :]) if line.startswith(_OF_DNF5) else lines[:number]
            told = [one for one in rpm.scriptlets(words) if _is_told(one, word, found["package"])]
            if told:
                return told[-1]._replace(line=number)
            script = f"%{_SCRIPTS.get(word, word.lower().lstrip('%'))}"
            return rpm.failure(script, found["package"], "exit status unknown", words[-1:], number)
    return None


def _is_own(lines: Sequence[str], number: int) -> bool:
    """Return whether a line is not among what a scriptlet has printed: before its own, dnf 5 says what runs."""
    before = lines[number - 1] if number else ""
    return not lines[number].startswith(_OF_DNF5) or before.startswith(f"{_OF_DNF5}Running ")


def _printed(lines: Sequence[str]) -> list[str]:
    """Return what a scriptlet has printed that has failed, and what rpm has said of it."""
    block = takewhile(lambda line: line.startswith(_OF_DNF5.rstrip()), lines)
    return [line[len(_OF_DNF5) :] for line in block if line != f"{_OF_DNF5}Scriptlet output:"]


def _is_told(one: Reason, word: str, package: str) -> bool:
    """Return whether it is this scriptlet that dnf tells of, by a word for it and a package.

    That may have its epoch, version and architecture too. Of a trigger it is the one that sets it off; dnf 4 has no
    word for triggers.
    """
    if _TRIGGER.fullmatch(word):
        return "trigger" in one.script
    return package == one.package or package.startswith(f"{one.package}-")


def _of_end(lines: Sequence[str], status: int) -> Reason:
    for number, line in enumerate(lines):
        if found := _UNKNOWN_NAME.match(line):
            return Reason(f"there is no package {found['what']} in the repositories", line=number)
        if (found := _ERROR.match(line)) and not _EMPTY_ERROR.match(found["what"]):
            return Reason(found["what"], line=number)
    if told := _refused(lines):
        return told
    if status > _SIGNALLED:
        script = rpm.running("\n".join(lines))
        where = f" in {script}" if script else ""
        return Reason(f"the package manager was killed (signal {status - _SIGNALLED}){where}", line=len(lines) - 1)
    return UNKNOWN


def _refused(lines: Sequence[str]) -> Reason | None:
    """Return why rpm has refused a transaction, as dnf 5 prints it: behind that it has."""
    for number, line in enumerate(lines):
        if refused := _REFUSED.match(line):
            details = filter(None, map(_DETAIL.match, lines[number + 1 :]))
            return Reason(next(details, refused)["what"], line=number)
    return None
