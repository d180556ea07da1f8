"""What a service has stored, and whether it is still there after a package was replaced or removed."""

import os
import re
from collections.abc import Sequence

from postroj.harness.job import Job
from postroj.harness.life import left
from postroj.harness.life.rules import broken

_PLACES = re.compile(r"/var/(lib|spool|opt)/[^/]+|/srv/[^/]+")
"""Directories of a package's own, where hier(7) and the FHS have data."""
_MARK = ".postroj-was-here"
_MOST = 50
# What is stored in a tmpfs is not there to stay.
_PUT = """
for one; do
    [ -L "${one%/*}" ] || [ "$(stat -f -c %T -- "${one%/*}")" = tmpfs ] && continue
    printf '' >"$one" && printf '%s\\n' "$one"
done
"""
# A directory may be seen at two places, by a bind mount: first all are looked at, then they are removed.
_TAKE = """
for one; do [ ! -f "$one" ] || printf '%s\\n' "$one"; done
rm -f -- "$@"
"""


def mark(job: Job, *, with_shipped: bool = True) -> list[str]:
    """Put a file into each directory for data that was made since before the first installation; returns these.

    `with_shipped`: also into those that the packages ship themselves.
    """
    if not job.family:
        return []
    made = [
        path
        for path, change in left.new(job).items()
        if change.kind == "directory" and change.what == "added" and _PLACES.fullmatch(path)
    ]
    if made and not with_shipped:
        shipped = job.files()
        made = [path for path in made if path not in shipped]
    return [os.path.dirname(file) for file in _run(job, _PUT, made[:_MOST])]


def check_kept(job: Job, marked: Sequence[str], when: str) -> None:
    """Find the directories of which what was in them is gone; `when` says by what: `the upgrade`."""
    there = _run(job, _TAKE, marked)
    for directory in marked:
        if os.path.join(directory, _MARK) not in there:
            told = f"was deleted by {when}, with all that a service has stored there"
            broken(job, "deletes-data", f"data in {directory}", told)


def _run(job: Job, script: str, directories: Sequence[str]) -> list[str]:
    if not directories:
        return []
    files = [os.path.join(one, _MARK) for one in directories]
    said = job.machine.command(["sh", "-c", script, "sh", *files], deadline=job.deadline).output.splitlines()
    return [file for file in files if file in said]
