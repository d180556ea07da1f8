"""What of pacman's downloads can be kept: databases, and packages with their signatures."""

import os
import re
from collections.abc import Collection, Mapping, Sequence

from postroj import tar
from postroj.family.cache import UNKNOWN, Kept

_LISTS, _PACKAGES = "var/lib/pacman/sync", "var/cache/pacman/pkg"

# The first server of each; a repository without one is told of as well.
_UPDATE = """
"$@" >&2 || exit
for repository in $(pacman-conf --repo-list); do
    echo "index $repository $(pacman-conf --repo="$repository" Server | head -n 1)"
done
"""
_INDEX = re.compile(r"index (?P<name>[^\s/]+) (?P<url>\S*)")
_FIELD = re.compile(r"^%(FILENAME|SHA256SUM)%\n(\S+)$", re.MULTILINE)
_MOST_FIELDS = 1 << 20
_MOST = 2 << 30
"""Bytes of a database: that of Arch Linux's `extra` has 60 MB."""


def kept(update: Sequence[str]) -> Kept:
    """Return the facts; `update` is the command that updates the databases."""
    return Kept(
        lists=(_LISTS,),
        packages=(_PACKAGES,),
        suffixes=tuple(f".pkg.tar{how}{of}" for how in (".zst", ".xz", ".gz", ".bz2", "") for of in ("", ".sig")),
        ignored=frozenset(),
        update=["sh", "-c", _UPDATE, "sh", *update],
        read_indexes=read_indexes,
        checksums=checksums,
        has_times=True,
        signatures=".sig",
    )


def read_indexes(output: str, lists: Collection[str]) -> dict[str, str]:
    """Return the database of each repository, at its first server."""
    indexes = {}
    for found in filter(None, map(_INDEX.fullmatch, output.splitlines())):
        file = f"{_LISTS}/{found['name']}.db"
        if found["url"] and file in lists:
            indexes[f"{found['url'].rstrip('/')}/{found['name']}.db"] = file
        else:
            indexes[UNKNOWN + found["name"]] = ""
    return indexes


def checksums(packages: Collection[str], lists: Mapping[str, str]) -> dict[str, set[str]]:
    """Return what the databases name for these packages."""
    own = {os.path.basename(package): package for package in packages}
    found: dict[str, set[str]] = {}
    for path in (file for name, file in lists.items() if name.endswith(".db")):
        with open(path, "rb") as file:
            kind = tar.compression(file.read(8))
            file.seek(0)
            source = tar.decompressed(file, kind)
            for _, data in tar.files(source, _is_description, "desc", largest=_MOST_FIELDS, within=_MOST):
                fields = dict(_FIELD.findall(data.decode(errors="replace")))
                if fields.get("FILENAME") in own and "SHA256SUM" in fields:
                    found.setdefault(own[fields["FILENAME"]], set()).add(f"sha256:{fields['SHA256SUM']}")
    return found


def _is_description(name: bytes) -> bool:
    return name.endswith(b"/desc")
