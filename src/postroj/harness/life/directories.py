"""Directories that an upgrade should have made links, or the other way round, and that dpkg keeps as they were."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from postroj.harness.job import Job
from postroj.harness.life.rules import broken

if TYPE_CHECKING:
    from postroj.package.reference import Package

# Lines such as those of `tar tv`: drwxr-xr-x root/root 0 2026-01-02 03:04 ./usr/share/web/
_ENTRY = re.compile(r"(?P<kind>[dl])\S{9} \S+ +\d+ \S+ \S+ \.(?P<path>/.*?)/?(?: -> (?P<target>.*))?")
_MOST = 2000
# The list of a large package is longer than what is kept of an output.
_LIST = """"$@" | grep "^[dl]" """
_LOOK = r"""
for path; do
    if [ -L "$path" ]; then echo "l $path"; elif [ -d "$path" ]; then echo "d $path"; fi
done
"""


class Entries(NamedTuple):
    """The directories and links that packages ship."""

    directories: frozenset[str]
    links: Mapping[str, str]
    """What each leads to, by its path."""


def check(job: Job) -> None:
    """Find what the package manager has kept of the earlier release, for packages that are files."""
    old, new = _shipped(job, job.earlier), _shipped(job, job.packages)
    turned = [path for path in old.links if path in new.directories]
    kinds = _look(job, [*list(new.links)[:_MOST], *turned[:_MOST]])
    for path, target in new.links.items():
        if kinds.get(path) == "d":
            told = (
                f"it stays a directory, where the package ships a link to {target[:200]}: dpkg replaces none by a link"
            )
            _told(job, path, told, "dir_to_symlink")
    for path in turned:
        if kinds.get(path) == "l":
            told = "it stays a link, where the package ships a directory: dpkg does not replace it"
            _told(job, path, told, "symlink_to_dir")


def _told(job: Job, path: str, told: str, helper: str) -> None:
    what = f"{told}; {helper} of dpkg-maintscript-helper(1), in the maintainer scripts, does"
    broken(job, "directory-or-link", f"path {path[:200]}", what)


def _shipped(job: Job, packages: "Sequence[Package]") -> Entries:
    if not (job.family and packages):
        return Entries(frozenset(), {})
    first = job.number_of(packages)
    files = [one.guest_name(number) for number, one in enumerate(packages, first) if one.file]
    listed = [job.family.contents(file) for file in files]
    commands = [["sh", "-c", _LIST, "sh", *argv] for argv in listed if argv]
    return parse("".join(job.machine.command(argv, deadline=job.deadline).output for argv in commands))


def parse(output: str) -> Entries:
    """Return the directories and links of a list as dpkg-deb(1) prints it."""
    found = list(filter(None, map(_ENTRY.fullmatch, output.splitlines())))
    links = {one["path"]: one["target"] for one in found if one["kind"] == "l" and one["target"]}
    return Entries(frozenset(one["path"] for one in found if one["kind"] == "d"), links)


def _look(job: Job, paths: Sequence[str]) -> Mapping[str, str]:
    """Return whether each of these paths is a link (l) or a directory (d) in the machine."""
    if not paths:
        return {}
    output = job.machine.command(["sh", "-c", _LOOK, "sh", *paths], deadline=job.deadline).output
    return {path: kind for kind, _, path in (line.partition(" ") for line in output.splitlines())}
