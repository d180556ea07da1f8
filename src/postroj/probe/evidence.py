"""What is shown of a unit that is not as it should be.

The guest may be broken: only its loss, and the end of the time, are errors.
"""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

from postroj.colours import without_colours
from postroj.contract import Machine
from postroj.errors import DeadlineError, MachineLostError, PostrojError
from postroj.events import Debug, emit
from postroj.family.reason import cut
from postroj.package.shipped import INIT_SCRIPTS, UNIT_DIRECTORIES

_SECONDS = 30.0
"""How long one question may take, on a busy host too: without its answer a report says less."""
_FILES = 5
_CHOSEN_LINES, _HEAD_LINES = 10, 3
_LONGEST = 300
"""How much of a line is searched for words of systemd: a journal has lines of 48 KiB, and patterns take the square."""
_NEAR, _LIKE = 3, 0.75
"""How many names of units are shown, and how like the one that was asked for they are: difflib's ratio."""
_MOST_ELSEWHERE = 100
_ACTIVE = re.compile(r"^ *Active: (?P<active>\S+).*$", re.MULTILINE)
_OF_EACH_START = re.compile(
    r" systemd\[1\]: .*(?:Scheduled restart job|Start(?:ed|ing) |Stopp(?:ed|ing) |Deactivated |Consumed "
    r"|Failed to start |Main process exited|Failed with result)"
)


def of_unit(machine: Machine, name: str, active: str = "") -> str:
    """Return the unit's status and the end of its journal.

    `active` is the ActiveState by which it was judged: if that is another one by now, it is told.
    """
    if not machine.capabilities.systemd:
        return machine.system.shown(name)
    status = ask(machine, ["systemctl", "status", "--no-pager", "--full", "--lines=0", "--", name])
    if active:
        status = _ACTIVE.sub(lambda found: _as_judged(found, active), status, count=1)
    logged = ask(machine, ["journalctl", "--no-pager", "--lines=50", "--output=short", f"--unit={name}"])
    return f"{status or '(no answer from systemctl)'}\n\n{logged or '(no answer from journalctl)'}"


def _as_judged(found: "re.Match[str]", judged: str) -> str:
    return found[0] if found["active"] == judged else f"{found[0]}; it was {judged} when it was judged"


def chosen(shown: str) -> str:
    """Return ten lines of what of_unit returned: how the unit is, and its journal without what that tells already."""
    status, _, journal = shown.partition("\n\n")
    if not status:
        return ""
    first, *rest = status.splitlines()
    head = [first, *(line for line in rest if line.strip().startswith(("Active:", "Process:")))][:_HEAD_LINES]
    lines = [line for line in journal.splitlines() if not _OF_EACH_START.search(line[:_LONGEST])]
    return "\n".join([*head, *lines[len(head) - _CHOSEN_LINES :]])


def journal(machine: Machine, lines: int, *matches: str) -> list[str]:
    """Return the last lines of the journal that match, long ones cut: journalctl(1).

    An option such as --since= may be among `matches`.
    """
    argv = ["journalctl", "--no-pager", "--quiet", f"--lines={lines}", "--output=cat", *matches]
    return cut(ask(machine, argv))


def last_words(machine: Machine, name: str) -> str:
    """Return the last lines that the unit's own processes have printed, once the journal has them."""
    ask(machine, ["journalctl", "--sync"])
    return "\n".join(line for line in journal(machine, 200, f"_SYSTEMD_UNIT={name}") if line.strip())


def stem(name: str) -> str:
    """Return what the files of a unit are called after: its name without its type and its instance."""
    return name.rpartition(".")[0].partition("@")[0]


def last_of_log(machine: Machine, name: str) -> str:
    """Return the last line of a log file that has the name of a unit, or is in a directory of it; empty for none."""
    own = ["(", "-ipath", f"/var/log/{stem(name)}/*", "-o", "-ipath", f"/var/log/{stem(name)}.*", ")"]
    found = ask(machine, ["find", "/var/log", "-xdev", *own, "-type", "f", "-size", "-100000k", "-mmin", "-60"])
    files = [line for line in found.splitlines() if line.startswith("/var/log/")][:_FILES]
    for file in files:
        lines = [line for line in ask(machine, ["tail", "-n", "5", "--", file]).splitlines() if line.strip()]
        if lines:
            return f"{file}: {lines[-1].strip()}"
    return ""


class File(NamedTuple):
    """A file in /etc."""

    path: str
    shown: str
    """With its mode and owner: `/etc/x.conf (mode 600, root:root)`."""


def files_of(machine: Machine, name: str) -> list[File]:
    """Return the files in /etc that have the name of a unit, or are below it."""
    own = stem(name)
    tests = ["(", "-path", f"/etc/{own}/*", "-o", "-path", f"/etc/{own}.*", "-o", "-path", f"/etc/default/{own}", ")"]
    find = ["find", "/etc", "-xdev", "-maxdepth", "3", *tests, "-type", "f", "-printf", "%p (mode %m, %u:%g)\\n"]
    lines = [line for line in ask(machine, find).splitlines() if line.startswith("/etc/")][:_FILES]
    return [File(line.rpartition(" (mode ")[0], line) for line in lines]


def configuration(machine: Machine, name: str) -> str:
    """Return the begin of the files in /etc that have the name of a unit."""
    files = [file.path for file in files_of(machine, name)]
    return ask(machine, ["head", "--quiet", "--bytes=16384", "--", *files]) if files else ""


_SINCE_BOOT = ["-newercm", "/run/systemd/private"]
"""Of find(1): what came after PID 1 has made its socket; the files of a package have the time of their unpacking."""


def brought(machine: Machine, paths: Sequence[str]) -> list[str]:
    """Return those of these files that are not the image's: an installation has brought or made them.

    A machine that knows what it has changed is asked for that: of files of an image the host may change ctime at any
    time, as by a hard link to one.
    """
    changes = machine.changes() if paths and machine.capabilities.changes else None
    if changes and not changes.is_cut:
        tops = list(dict.fromkeys(map(os.path.dirname, paths)))  # which symbolic links may lead to, as /lib
        real = dict(zip(tops, ask(machine, ["readlink", "-m", "--", *tops]).splitlines(), strict=False))
        named = {one: os.path.split(one) for one in paths}
        return [one for one, (top, name) in named.items() if os.path.join(real.get(top, top), name) in changes.files]
    since = ask(machine, ["find", *paths, "-maxdepth", "0", *_SINCE_BOOT]).splitlines() if paths else []
    return [one for one in paths if one in since]


def elsewhere(machine: Machine, name: str, *tests: str) -> list[str]:
    """Return the paths of files of a name, wherever they are on the root file system; `tests` are more of find(1)."""
    pattern = re.sub(r"([\[*?\\])", r"\\\1", name)
    found = ask(machine, ["find", "/", "-xdev", "-name", pattern, "!", "-type", "d", *tests])
    return sorted(line for line in found.splitlines() if line.endswith(f"/{name}"))[:_MOST_ELSEWHERE]


def like(machine: Machine, path: str) -> str:
    """Return a file that an installation has brought and that may be meant by a path that does not exist.

    It has a similar name and is in the same directory, or has the same and is elsewhere, and is not a program. Empty
    for none.
    """
    import difflib

    directory, name = os.path.split(path)
    if not name or not directory.startswith("/"):
        return ""
    listed = ask(machine, ["find", directory, "-maxdepth", "1", "-type", "f"])
    names = [os.path.basename(line) for line in listed.splitlines() if line.startswith(f"{directory}/")]
    if name in names:  # it is there: what does not exist is something else
        return ""
    close = difflib.get_close_matches(name, [one for one in names if one != name], n=_MOST_ELSEWHERE, cutoff=_LIKE)
    if near := brought(machine, [f"{directory}/{one}" for one in close]):
        return near[0]
    same = [one for one in elsewhere(machine, name, "!", "-perm", "/111") if one != path]
    return next(iter(brought(machine, same)), "")


def misplaced(machine: Machine, name: str) -> str:
    """Return, as a clause, where the file of a unit is that systemd does not find; empty if there is none."""
    found = [path for path in elsewhere(machine, name) if os.path.dirname(path) not in UNIT_DIRECTORIES]
    if not found:
        return ""
    if "/systemd/user/" in found[0]:
        return f"{found[0]} is a unit of users, and not of the system"
    return f"{found[0]} is not where systemd looks for units, which is /usr/lib/systemd/system"


def near(machine: Machine, name: str) -> list[str]:
    """Return the units of the guest whose names are like this one, those of its own type first."""
    listed = ask(machine, ["systemctl", "list-unit-files", "--no-pager", "--no-legend", "--plain"])
    return nearest(name, [line.split()[0] for line in listed.splitlines() if line.split()])


def nearest(name: str, units: Sequence[str]) -> list[str]:
    """Return up to three of these units whose names are like this one: of its own type, or else of any."""
    import difflib

    stem, _, kind = name.rpartition(".")
    there = [unit for unit in units if "@." not in unit]
    same = {unit.rpartition(".")[0]: unit for unit in there if unit.endswith(f".{kind}")}
    others = {unit.rpartition(".")[0]: unit for unit in there if not unit.endswith(f".{kind}")}
    for stems in (same, others):
        if found := difflib.get_close_matches(stem, stems, n=_NEAR, cutoff=_LIKE):
            return [stems[one] for one in found]
    return []


def file_of(machine: Machine, name: str) -> str:
    """Return the unit file that counts; empty if none is found. Before systemd 250 FragmentPath may be /dev/null."""
    files = [f"{directory}/{name}" for directory in UNIT_DIRECTORIES]
    found = ask(machine, ["ls", "-1dU", "--", *files])
    return next((line for line in found.splitlines() if line in files), "")


def sysusers_of(machine: Machine, user: str) -> str:
    """Return the sysusers.d(5) file that would make a user; empty if there is none."""
    found = ask(machine, ["grep", "-rlwFe", user, "/usr/lib/sysusers.d", "/etc/sysusers.d"])
    return next((line for line in found.splitlines() if line.startswith("/") and line.endswith(".conf")), "")


_SYSV_UNTIL = 260
"""The first systemd without systemd-sysv-generator(8): what has an init script only, has no unit there."""
_VERSION = re.compile(r"systemd (\d{1,9})")


def unread_init_script(machine: Machine, name: str) -> str:
    """Return why a unit does not exist, as a clause, if there is an init script for it that systemd does not read."""
    script = f"{INIT_SCRIPTS}/{name.removesuffix('.service')}"
    shown = ask(machine, ["sh", "-c", 'test -f "$1" && systemctl --version', "sh", script])
    return of_version(shown, script)


def of_version(shown: str, script: str) -> str:
    """Return the clause from what `systemctl --version` prints."""
    found = _VERSION.match(shown)
    if not found or int(found[1]) < _SYSV_UNTIL:
        return ""
    return f"there is only {script}, and systemd {found[1]} reads no init scripts (the last that did was 259)"


def ask(machine: Machine, argv: Sequence[str]) -> str:
    """Return what a command prints, without colours; nothing if it cannot be run.

    Raises MachineLostError, and DeadlineError if the machine's time is up: what is not known then might make a limit of
    the machine out of a failure.
    """
    try:
        done = machine.command(argv, deadline=machine.deadline.sooner(_SECONDS))
        return without_colours(done.output).strip()
    except MachineLostError:
        raise
    except PostrojError as error:
        if machine.deadline.expired():
            what = "--timeout expired while the machine was asked why a unit is not as it should be"
            raise DeadlineError(what, hint="see --timeout") from error
        emit(Debug(f"could not run {argv[0]}: {error}"))
        return ""
