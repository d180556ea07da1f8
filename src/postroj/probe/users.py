"""Users and groups of a service: those that do not exist, and why; files that they cannot read."""

import os
import re

from postroj.contract import Machine
from postroj.probe import evidence
from postroj.probe.unitfile import UnitFile

_NOBODY = "nobody"
_MOST = 200
_COMPLAINT = re.compile(r"/\S+:\d+: ")


def no_user(machine: Machine, user: str) -> str:
    """Return what is to be said of a service whose user does not exist."""
    if not user:
        return "its user does not exist (217/USER)"
    return f"the user {user} does not exist (217/USER){_not_applied(machine, user)}"


def no_group(machine: Machine, groups: list[str]) -> str:
    """Return what is to be said of a service one of whose groups does not exist."""
    known = evidence.ask(machine, ["getent", "group", "--", *groups]) if groups else ""
    there = {line.split(":")[0] for line in known.splitlines()}
    group = next((group for group in groups if group not in there), "")
    return f"the group {group} does not exist (216/GROUP){_not_applied(machine, group)}"


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
    stem = name.rpartition(".")[0].partition("@")[0]
    own = ["(", "-path", f"/etc/{stem}/*", "-o", "-path", f"/etc/{stem}.*", "-o", "-path", f"/etc/default/{stem}", ")"]
    find = ["find", "/etc", "-xdev", "-maxdepth", "3", *own, "-type", "f", "-printf", "%p (mode %m, %u:%g)\\n"]
    all_files = [line for line in evidence.ask(machine, find).splitlines() if line.startswith("/etc/")]
    if not all_files:
        return ""
    readable = ["runuser", "-u", user or _NOBODY, "--", "test", "-r"]
    for line in all_files[:_FILES]:
        path = line.rpartition(" (mode ")[0]
        if path not in by_systemd and _is_refused(machine, [*readable, path]):
            return f"{user or 'its dynamic user'} cannot read {os.path.normpath(line)}"[:_MOST]
    return ""


_FILES = 5


def _is_refused(machine: Machine, argv: list[str]) -> bool:
    """Return whether a test as a user fails, and does so by itself: status 1, and no word of it."""
    script = '"$@"; echo "status $?"'
    return evidence.ask(machine, ["sh", "-c", script, "sh", *argv]) == "status 1"
