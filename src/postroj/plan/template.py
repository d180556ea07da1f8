"""A first plan, with comments, for the packages that are here."""

import glob
import json
import os

from msgspec import UNSET

from postroj.errors import UsageError
from postroj.package.formats import SUFFIXES
from postroj.plan.model import Plan
from postroj.replacing import replacing

_PLACES = (".", "dist", "build", "packages", "out", "target", "..")
"""Where goreleaser, nfpm, debuild, cargo-deb and others leave packages."""

_TEXT = """\
# What `postroj test` does here; see docs/plan.md. `postroj test --list` shows the cells, `postroj test --check` finds
# mistakes in this file.

# The packages: files, globs, directories (the newest version of each package in it), URLs, or names of the images'
# repositories.
packages = [{packages}]

# Where: names or aliases (`postroj list-images`), globs of these, families such as "apt" or "dnf", references such as
# "fedora:43", or "supported": all supported images that install the packages.
images = ["supported"]

# The release before this one, for upgrades: files, globs, directories, URLs, or names with a version.
#upgrade-from = ["previous/"]

# The phases of the package's life; "lifecycle" stands for all of them (docs/lifecycle.md).
#phases = ["install", "check", "reboot", "purge"]

# The units to judge; by default those that the packages ship.
#units = ["agent.service"]

# Seconds for each cell.
#timeout = 1800

# Reports, and logs of each cell.
#report = ["junit=postroj.xml"]
#artifacts = "postroj-logs"

# What has to be so while the package is installed (docs/checks.md).
#[[check]]
#http = "http://localhost:3000/api/health"
#status = 200
#body = {{ matches = "ok" }}

# Other options for some cells: IMAGE:PACKAGE, each a glob.
#[[override]]
#select = "debian-12:*"
#timeout = 3600

# Cells that may fail; the report repeats why.
#[[allow-failure]]
#select = "debian-sid:*"
#reason = "not released yet"
"""


def write(path: str, command: Plan) -> None:
    """Write a plan for packages that were named, or are found. Raises UsageError if there is a file already."""
    if os.path.lexists(path):
        raise UsageError(f"there is a {path} already", hint="remove it, or change it")
    packages = list(command.packages) if command.packages is not UNSET else _found()
    if not packages:
        raise UsageError("there are no packages here", hint="name them: postroj test --init dist/")
    with replacing(os.path.abspath(path)) as fd, open(fd, "w", closefd=False) as file:
        file.write(_TEXT.format(packages=", ".join(map(_quoted, packages))))


def _found() -> list[str]:
    """Return globs for the packages in the places where tools leave them."""
    found = []
    for place in _PLACES:
        for suffix in SUFFIXES:
            pattern = os.path.join(place, f"*{suffix}") if place != "." else f"*{suffix}"
            if glob.glob(pattern):
                found.append(pattern)
        if found:
            break
    return found


def _quoted(text: str) -> str:
    """Return a text as a basic string of TOML: its escapes are those of JSON, and one for DEL. Raises UsageError."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"the name {text} is not UTF-8, and cannot be in a plan", hint="name a glob for it") from error
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
