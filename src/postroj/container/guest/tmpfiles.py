"""What the systemd-tmpfiles of an image deletes as a machine boots and while it runs: tmpfiles.d(5)."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from postroj.container.guest.imagefiles import Tree

_DIRECTORIES = ("/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d")
"""A file in one of them replaces those of the same name in later ones."""
_MOST_FILES = 1000
_REMOVED = "rRD"
_REPLACED = re.compile(r"[fLpbcC][!=~^-]*\+")
_AGED = "devqQC"
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


def deleted(tree: Tree) -> list[str]:
    """Return the paths, as globs, that the rules of an image delete, or what is in them: when it boots, or by age."""
    files: dict[str, str] = {}
    for directory in _DIRECTORIES:
        for name in tree.names(directory)[:_MOST_FILES]:
            if name.endswith(".conf"):
                files.setdefault(name, f"{directory}/{name}")
    return [found for path in files.values() for line in tree.text(path).splitlines() if (found := _deleted(line))]


def first_within(globs: Sequence[str], path: str) -> str:
    """Return the glob that is the path, or the first that may be something below it; empty if none is.

    What is mounted below a directory that is cleaned is left alone: systemd-tmpfiles stops at mount points.
    """
    parts = path.strip("/").split("/")
    for found in sorted(globs, key=lambda glob: glob != path):
        patterns = found.strip("/").split("/")
        if len(patterns) >= len(parts) and all(map(fnmatchcase, parts, patterns)):
            return found
    return ""


def _deleted(line: str) -> str:
    """Return the path of a rule that deletes; empty for another one."""
    words = [quoted or plain for quoted, plain in _WORD.findall(line)]
    if len(words) < 2 or words[0].startswith("#"):
        return ""
    kind, path, age = words[0], words[1], words[5] if len(words) > 5 else "-"
    deletes = kind[0] in _REMOVED or _REPLACED.match(kind) or (kind[0] in _AGED and age != "-")
    # A specifier, such as that of the boot ID, may be anything.
    return re.sub("%.", "*", path) if deletes and path.startswith("/") else ""
