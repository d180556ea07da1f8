"""A first plan, with comments, for the packages that are here."""

import glob
import json
import os
import sys

from msgspec import UNSET

from postroj.errors import UsageError
from postroj.package.formats import SUFFIXES
from postroj.package.reference import is_url, looks_like_path
from postroj.plan.cells import Cell, Cells
from postroj.plan.file import TOOLS
from postroj.plan.images import SUPPORTED
from postroj.plan.model import Plan
from postroj.plan.packages import opened
from postroj.replacing import check_place, replacing

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
images = [{images}]

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


def write(path: str, command: Plan) -> list[Cell]:
    """Write a plan for packages and images that were named, or packages that are found, and return its cells.

    There are none on a host that can run none. Raises UsageError if there is a file already, or what the plan would say
    cannot be; DownloadError.
    """
    if os.path.lexists(path):
        raise UsageError(f"there is a {path} already", hint="remove it, or change it")
    if os.path.basename(path) == TOOLS:
        raise UsageError(f"{TOOLS} is not written", hint="give another name: --plan=postroj.toml")
    check_place(os.path.abspath(path))
    packages = command.packages if command.packages is not UNSET else tuple(_found())
    if not packages:
        raise UsageError("there are no packages here", hint="name them: postroj test --init dist/")
    images = command.images if command.images is not UNSET else (SUPPORTED,)
    directory = os.path.dirname(path)
    told = {
        "packages": [_relative(one, directory) if _is_path(one) else one for one in packages],
        "images": [_relative(one, directory) if one.startswith(("./", "../")) else one for one in images],
    }
    text = _TEXT.format(**{key: ", ".join(map(_quoted, words)) for key, words in told.items()})
    opened(packages, ".", offline=command.offline is True)
    # A plan that is written elsewhere, as on macOS, is for other hosts, and other architectures.
    is_of_here = sys.platform == "linux"
    cells = Cells([], Plan(packages=packages, images=images, offline=command.offline), Plan()).all if is_of_here else []
    with replacing(os.path.abspath(path)) as fd, open(fd, "w", closefd=False) as file:
        file.write(text)
    return cells


def _is_path(text: str) -> bool:
    return looks_like_path(text) or (os.path.exists(text) and not is_url(text))


def _relative(path: str, directory: str) -> str:
    """Return a path as it is written in a plan of a directory: an absolute one stays as it is."""
    if not directory or path.startswith(("/", "~")):
        return path
    relative = os.path.relpath(path, directory)
    return relative if relative.startswith("../") else f"./{relative}"


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
