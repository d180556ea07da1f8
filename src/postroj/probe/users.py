"""Users and groups of a service: those that do not exist, and why; files that they cannot read."""

import os
import re
from collections.abc import Sequence

from postroj.contract import Machine
from postroj.probe import evidence, paths, told
from postroj.probe.unitfile import UnitFile

NOBODY = "nobody"
_MOST = 200
_COMPLAINT = re.compile(r"/\S+:\d+: ")
_OF_NAMES = re.compile(r"Failed to (?:determine|get|look up|resolve) .*(?:credential|group|user)", re.IGNORECASE)
_LOGS = "/var/log"
_TOPS = {
    "StateDirectory": "/var/lib",
    "LogsDirectory": _LOGS,
    "CacheDirectory": "/var/cache",
    "RuntimeDirectory": "/run",
}
_PATH = re.compile(r"(?<![\w/.-])(/[^\s:'\",]+)")


def no_user(machine: Machine, user: str, complaint: str = "") -> str:
    """Return what is to be said of a service that ended with status 217.

    `complaint` is what systemd has said of it; it may be about another thing than the user.
    """
    if complaint and not _OF_NAMES.search(complaint):
        return f"status 217/USER: {complaint}"
    if not user:
        return "its user does not exist (217/USER)"
    if _known(machine, "passwd", [user]):
        return f"the user {user} did not exist when the unit was started (217/USER)"
    return f"the user {user} does not exist (217/USER){_not_applied(machine, user)}"


def no_group(machine: Machine, group: str, more: Sequence[str], *, is_dynamic: bool, complaint: str = "") -> str:
    """Return what is to be said of a service that ended with status 216.

    `group` is its Group=, which systemd makes itself if the user is a dynamic one; `more` is SupplementaryGroups=.
    """
    if complaint and not _OF_NAMES.search(complaint):
        return f"status 216/GROUP: {complaint}"
    own = [("Group", group)] if group and not is_dynamic else []
    asked = [(key, one) for key, one in [*own, *(("SupplementaryGroups", one) for one in more)] if not one.isdecimal()]
    known = _known(machine, "group", [one for _, one in asked])
    missing = [(key, one) for key, one in asked if one not in known]
    if missing:
        names = " and ".join(map(_shown, missing))
        verb = "group {} does" if len(missing) == 1 else "groups {} do"
        clause = next(filter(None, (_not_applied(machine, one) for _, one in missing)), "")
        return f"the {verb.format(names)} not exist (216/GROUP){clause}"
    if asked:
        names = " or ".join(map(_shown, asked))
        return f"the group {names} did not exist when the unit was started (216/GROUP)"
    return "a group of it does not exist (216/GROUP)"


def _shown(group: tuple[str, str]) -> str:
    key, name = group
    return name if key == "Group" else f"{name} ({key}=)"


def _known(machine: Machine, database: str, names: Sequence[str]) -> set[str]:
    """Return those of these users or groups that exist."""
    shown = evidence.ask(machine, ["getent", database, "--", *names]) if names else ""
    return {line.split(":")[0] for line in shown.splitlines()}.intersection(names)


def _not_applied(machine: Machine, name: str) -> str:
    """Return, as a clause, why a user or group was not made that a file in sysusers.d would make."""
    file = evidence.sysusers_of(machine, name) if name else ""
    if not file:
        return ""
    # It says the same as in a maintainer script, whose output may be lost; before systemd 250 it knows no such option.
    said = evidence.ask(machine, ["systemd-sysusers", "--dry-run", "--", file])
    lines = [line for line in said.splitlines() if _COMPLAINT.match(line) and line.startswith(f"{file}:")]
    if lines:
        return f"; systemd-sysusers refuses {lines[-1].rstrip('.')[:_MOST]}"
    return f"; {file} was never applied: let a maintainer script call systemd-sysusers"


def unreadable(machine: Machine, name: str, user: str, file: UnitFile) -> str:
    """Return, as a clause, a file in /etc that has the name of a unit and that its user cannot read; empty for none.

    `user` is empty for a dynamic one, who can read what everybody can. What systemd reads for it is left out.
    """
    by_systemd = " ".join(file.words("EnvironmentFile", "LoadCredential", "LoadCredentialEncrypted"))
    for one in evidence.files_of(machine, name):
        if one.path not in by_systemd and paths.is_refused(machine, user or NOBODY, ["test", "-r", one.path]):
            return f"{user or 'its dynamic user'} cannot read {one.shown}"[:_MOST]
    return ""


def barred(machine: Machine, name: str, user: str, line: str, file: UnitFile) -> str:
    """Return, as a clause, what the user of a unit may not do that an error is about.

    If the error names no path, that is a directory that has the name of the unit, or that its file names.
    """
    if named := _PATH.search(line):
        return _no_home(machine, user, named[1]) or paths.barred(machine, user, named[1])
    stem = evidence.stem(name)
    by_file = [word.lstrip("-~") for word in file.words("WorkingDirectory")]
    by_file += [f"{top}/{word}" for key, top in _TOPS.items() for word in file.words(key)]
    is_log = re.search(r"\blogs?\b", line, re.IGNORECASE)
    tops = sorted(_TOPS.values(), key=lambda top: top == _LOGS, reverse=bool(is_log))
    given = [path for path in (*by_file, *(f"{top}/{stem}" for top in tops)) if path.startswith("/") and path != "/"]
    places = list(dict.fromkeys(map(os.path.normpath, given)))
    clauses = [paths.unwritable(machine, user, path) for path in places]
    if told.READ_ONLY.search(line):  # files of others are no reason else: a program may only read them
        clauses.append(paths.unwritable_file(machine, user, places))
    return next(filter(None, clauses), "")


def _no_home(machine: Machine, user: str, path: str) -> str:
    """Return, as a clause, that a path is below the home directory of a user which does not exist; empty if not so."""
    fields = evidence.ask(machine, ["getent", "passwd", "--", user]).split(":")
    home = fields[5] if len(fields) == 7 else ""
    if home in ("", "/") or not (path == home or path.startswith(f"{home}/")):
        return ""
    if evidence.ask(machine, ["ls", "-d", "--", home]) == home:
        return ""
    return f"{home} is the home directory of {user}, and does not exist"
