"""What bars the way to a file: a directory that a user cannot enter, a symbolic link that leads to nothing."""

import os

from postroj.contract import Machine
from postroj.probe import evidence

_MOST = 200
_DANGLING = """
for one; do
    if test -L "$one" && ! test -e "$one"; then
        printf '%s\\t%s\\t%s' "$one" "$(readlink -- "$one")" "$(readlink -m -- "$one")"; exit
    fi
done
"""
_BARRED = """
for one; do
    test -e "$one" || exit 0
    if test -d "$one"; then test -x "$one" || { echo "$one"; exit; }; fi
done
"""


def dangling(machine: Machine, path: str) -> str:
    """Return, as a clause, the symbolic link on the way to a file that leads to nothing; empty for none."""
    shown = evidence.ask(machine, ["sh", "-c", _DANGLING, "sh", *on_the_way(path)])
    link, _, targets = shown.partition("\t")
    target, _, end = targets.partition("\t")
    if not target or link not in on_the_way(path):
        return ""
    subject = "it" if link == path else link
    is_chain = end and end != os.path.normpath(os.path.join(os.path.dirname(link), target))
    through = f", and leads to {end[:_MOST]}" if is_chain else ""
    return f"{subject} is a symbolic link to {target[:_MOST]}{through}, which does not exist"


def not_executable(machine: Machine, user: str, path: str) -> str:
    """Return, as a clause, what keeps a user from executing a program; empty for nothing."""
    way = on_the_way(path)
    if not user or not way:
        return ""
    return _entered(machine, user, way) or _unless(machine, user, "execute", "-x", path)


def barred(machine: Machine, user: str, path: str) -> str:
    """Return, as a clause, what keeps a user from reading and writing a file, or from making it; empty for nothing."""
    way = on_the_way(path)
    if not user or not way:
        return ""
    if clause := _entered(machine, user, way):
        return clause
    if evidence.ask(machine, ["ls", "-d", "--", path]) != path:
        return _unless(machine, user, "write to", "-w", way[-2] if len(way) > 1 else "/")
    return _unless(machine, user, "read", "-r", path) or _unless(machine, user, "write to", "-w", path)


def _entered(machine: Machine, user: str, way: list[str]) -> str:
    """Return, as a clause, the first directory on a way that a user cannot enter."""
    closed = evidence.ask(machine, _as(user, ["sh", "-c", _BARRED, "sh", *way[:-1]]))
    return _told(machine, user, "enter", closed) if closed in way else ""


def unwritable(machine: Machine, user: str, directory: str) -> str:
    """Return, as a clause, that a user cannot write to a directory that is there; empty if that is not so."""
    return _unless(machine, user, "write to", "-w", directory)


def unwritable_file(machine: Machine, user: str, directories: list[str]) -> str:
    """Return, as a clause, a file in one of these directories that a user cannot write to; empty if there is none."""
    words = ["find", "-L", *directories, "-maxdepth", "2", "-type", "f", "!", "-writable", "-print", "-quit"]
    found = evidence.ask(machine, _as(user, words))
    lines = [line for line in found.splitlines() if line.startswith("/")]
    return _told(machine, user, "write to", lines[-1]) if lines else ""


def on_the_way(path: str) -> list[str]:
    """Return a path, and before it the directories that lead to it, without the root."""
    parts = [part for part in os.path.normpath(path).split("/") if part]
    return ["/" + "/".join(parts[: count + 1]) for count in range(len(parts))] if path.startswith("/") else []


def is_refused(machine: Machine, user: str, test: list[str]) -> bool:
    """Return whether a test as a user fails, and does so by itself: status 1, and no word of it."""
    script = '"$@"; echo "status $?"'
    return evidence.ask(machine, ["sh", "-c", script, "sh", *_as(user, test)]) == "status 1"


def _unless(machine: Machine, user: str, verb: str, test: str, path: str) -> str:
    return _told(machine, user, verb, path) if is_refused(machine, user, ["test", test, path]) else ""


def _told(machine: Machine, user: str, verb: str, path: str) -> str:
    """Return the clause; empty if the path is not there."""
    shown = evidence.ask(machine, ["stat", "--dereference", "--format=%n (mode %a, %U:%G)", "--", path])
    return f"{user} cannot {verb} {shown}"[:_MOST] if shown.startswith(f"{path} (mode ") else ""


def _as(user: str, argv: list[str]) -> list[str]:
    return ["runuser", "-u", user, "--", *argv]
