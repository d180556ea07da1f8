"""What is left of packages after their removal, against the state before their installation."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from postroj.harness.job import Job
from postroj.harness.life import accounts, diverted
from postroj.harness.life.rules import broken

if TYPE_CHECKING:
    from postroj.contract import Change

NOISE: tuple[tuple[str, str], ...] = (
    (r"/etc/(passwd|group|shadow|gshadow|subuid|subgid)-?", "accounts: users and groups stay, and are told"),
    (r"/etc/\.pwd\.lock", "accounts"),
    (r"/etc/ld\.so\.cache|/var/cache/ldconfig(/.*)?", "ldconfig"),
    (r"/etc/(machine-id|mtab|resolv\.conf|hostname|hosts|timezone|\.updated)|/var/\.updated", "the machine's own"),
    (r"/var/log/(journal|apt|dnf|zypp)(/.*)?", "logs"),
    (r"/var/log/(hawkey|dpkg|alternatives|dnf.*|yum|pacman)\.log", "logs"),
    (r"/var/log/(wtmp|btmp|lastlog|faillog|README)(\.db)?", "logs"),
    (r"/var/lib/(dpkg|apt|rpm|dnf|yum|zypp|pacman|ucf|PackageKit|alternatives)(/.*)?", "the package manager"),
    (r"/usr/lib/sysimage(/.*)?|/etc/(dnf|zypp|pacman\.d|pki)/.*", "the package manager"),
    (r"/var/cache/(apt|dnf|yum|zypp|pacman|debconf|man|fontconfig|PackageKit|libdnf5?)(/.*)?", "caches"),
    (r"/etc/alternatives/README|/usr/share/info/dir(\.old)?|/usr/share/mime/.*", "indexes that triggers write"),
    (r"/var/lib/systemd(/.*)?", "systemd"),
    (r"/(dev|proc|sys|run|tmp|var/tmp|var/run|var/lock)(/.*)?", "not in the file system of the machine's own"),
    (r"/root/\.(gnupg|lesshst|bash_history)(/.*)?", "root's own"),
)
"""Paths that change although nobody has left anything, and why: docs/lifecycle.md has the same table."""

_NOISE = re.compile("|".join(pattern for pattern, _ in NOISE))
_DATA = re.compile(r"/(etc|var|home|srv|root)(/.*)?")
"""Where configuration, data and logs are: a removal leaves them, a purge does not."""
_STARTED = re.compile(
    r"/etc/systemd/system/.*|/etc/cron(tab|\.[a-z]+)(/.*)?|/var/spool/cron/.*|/etc/(tmpfiles|sysusers)\.d/.*"
    r"|/etc/xinetd\.d/.*|/etc/rc.\.d/.*"
)
"""What makes systemd and others start or do something, or try to."""
_WHAT = {"left-after-remove": "removal", "left-after-purge": "purge"}
"""What was done, by the rule that is about what it leaves."""
_SHOWN = 3
_REMOVED = 1000
"""How many directories are removed as an administrator may."""


def note_outside(job: Job) -> None:
    """Note what the installation has changed outside the packages' own files."""
    if not job.family or not job.passed:
        return
    own = set(job.files())
    own |= {f"/usr{path}" for path in own if path.startswith(("/bin/", "/lib", "/sbin/"))}  # links into /usr
    found = {path: change for path, change in new(job).items() if path not in own and not _is_own_link(path)}
    if tops := _tops(path for path, change in found.items() if change.what == "added"):
        job.phase_notes.append(f"made outside the packages' own files: {_some(tops)}")
    if others := [f"{path} ({one.what})" for path, one in sorted(found.items()) if one.what != "added"]:
        job.phase_notes.append(f"files of others: {_some(others)}")


def _is_own_link(path: str) -> bool:
    """Return whether a path is a link by which a unit is enabled, which postroj may have made."""
    return path.startswith("/etc/systemd/system/")


def check_removed(job: Job) -> None:
    """Find what a removal has left that is neither configuration nor data."""
    found = new(job)
    kept = [path for path in found if _DATA.fullmatch(path)]
    if not (job.family and job.family.purges_removed):
        kept = [path for path in kept if not _STARTED.fullmatch(path)]
    _judge_diverted(job, "left-after-remove", diverted.diversions(job))  # first: it tells why files are left
    _judge(job, "left-after-remove", {path: change for path, change in found.items() if path not in kept})
    if tops := _tops(kept):
        job.phase_notes.append(f"configuration and data that stay: {_some(tops)}")
    _note_accounts(job)


def check_purged(job: Job) -> None:
    """Find what a purge has left."""
    _judge_diverted(job, "left-after-purge", [*diverted.diversions(job), *diverted.overrides(job)])
    _judge(job, "left-after-purge", new(job))
    _note_accounts(job)


def new(job: Job) -> "Mapping[str, Change]":
    """Return what has changed in the file system since before the first installation, without noise."""
    if not job.machine.capabilities.changes:
        job.phase_notes.append("not looked at: files that are left behind; this kind of machine does not tell them")
        return {}
    if not job.before:
        return {}
    before = job.before.changes
    now = job.machine.changes().files
    return {
        path: change
        for path, change in now.items()
        if before.get(path) != change
        and not _NOISE.fullmatch(path)
        and not _is_of_others(path, change, before)
        and not _is_made_by_us(path, job)
    }


def _is_made_by_us(path: str, job: Job) -> bool:
    """Return whether a path is a link by which postroj has enabled a unit that the package leaves disabled.

    Or the directory of one.
    """
    return path in job.links or any(link.startswith(f"{path}/") for link in job.links)


def _is_of_others(path: str, change: "Change", before: "Mapping[str, Change]") -> bool:
    """Return whether a path is in a directory, or is a file, that a dependency has brought, and may change."""
    if change.what == "added" and path in before:
        return True
    above = os.path.dirname(path)
    while above not in ("/", ""):
        if above in before:
            return before[above].what == "added"
        above = os.path.dirname(above)
    return False


def remove_directories(job: Job) -> list[str]:
    """Remove the directories of data that a removal has left, as an administrator may; returns what was removed."""
    tops = [path for path, change in new(job).items() if change.kind == "directory" and path.startswith("/var/")]
    tops = _tops(tops)[:_REMOVED]
    if tops:
        job.machine.command(["rm", "-rf", "--", *tops], deadline=job.deadline)
    return [f"the directory {path}" for path in tops]


def _judge(job: Job, rule: str, found: "Mapping[str, Change]") -> None:
    """Keep the findings of what is left: files that were added, and files of others that are not as they were."""
    added = [path for path, change in found.items() if change.what == "added"]
    others = {path: change.what for path, change in found.items() if change.what != "added"}
    what = _WHAT[rule]
    if tops := _tops(added):
        broken(job, rule, "left behind", f"the {what} leaves {_some(tops)}", "\n".join(sorted(added)))
    if others:
        told = _some([f"{path} ({how})" for path, how in sorted(others.items())])
        broken(job, rule, "files of others", f"after the {what} these are not as they were before: {told}")


def _judge_diverted(job: Job, rule: str, found: Iterable[str]) -> None:
    """Keep the finding of what is diverted or overridden that was not before."""
    if job.before and (left := [one for one in found if one not in job.before.diverted]):
        broken(job, rule, "diversions and overrides", f"the {_WHAT[rule]} leaves the {_some(left)}", "\n".join(left))


def _note_accounts(job: Job) -> None:
    for kind, names in accounts.made(job).items():
        if names:
            what = "users" if kind == "passwd" else "groups"
            job.phase_notes.append(f"{what} that stay: {', '.join(names)}")


def _tops(paths: Iterable[str]) -> list[str]:
    """Return paths without those that are below another one of them."""
    tops: list[str] = []
    for path in sorted(paths):
        if not tops or not path.startswith(tops[-1].rstrip("/") + "/"):
            tops.append(path)
    return tops


def _some(paths: list[str]) -> str:
    shown = ", ".join(paths[:_SHOWN])
    return shown + (f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else "")
