"""What of zypper's downloads can be kept: the directories of each repository below /var/cache/zypp."""

import html
import re
from collections.abc import Collection, Mapping, Sequence

from postroj.family import repodata
from postroj.family.cache import UNKNOWN, Kept

_CACHE = "var/cache/zypp"

_UPDATE = """
"$@" >&2 || exit
exec zypper --non-interactive --xmlout repos
"""

_REPOSITORY = re.compile(r"<repo (?P<attributes>[^>]*)>(?P<within>.*?)</repo>", re.DOTALL)
_ATTRIBUTE = re.compile(r'(?P<name>[a-z_]+)="(?P<value>[^"]*)"')
_URL = re.compile(r"<url>(?P<url>[^<]+)</url>")


def kept(update: Sequence[str]) -> Kept:
    """Return the facts; `update` is the command that updates the lists."""
    return Kept(
        lists=tuple(f"{_CACHE}/{part}" for part in ("raw/*", "raw/*/repodata", "solv/*")),
        packages=tuple(f"{_CACHE}/packages/*{below}" for below in ("", "/*", "/*/*")),
        suffixes=(".rpm",),
        ignored=frozenset(),
        update=["sh", "-c", _UPDATE, "sh", *update],
        read_indexes=read_indexes,
        checksums=checksums,
        # Whether the signature of a repository was found to be valid: without, that of each package has to be.
        links=frozenset({"./true", "./false", "./indeterminate"}),
    )


def read_indexes(output: str, lists: Collection[str]) -> dict[str, str]:
    """Return the repomd.xml of each repository that is enabled, from what `repos` prints."""
    indexes = {}
    for repository in _REPOSITORY.finditer(output):
        words = dict(_ATTRIBUTE.findall(repository["attributes"]))
        alias = html.unescape(words.get("alias", ""))
        file = f"{_CACHE}/raw/{alias.replace('/', '_')}/repodata/repomd.xml"
        found = _URL.search(repository["within"])
        if words.get("enabled") != "1":
            continue
        if not found or file not in lists:
            indexes[UNKNOWN + alias] = ""
            continue
        url = html.unescape(found["url"])
        indexes[repodata.index_url(f"file:{url.removeprefix('dir:')}" if url.startswith("dir:") else url)] = file
    return indexes


def checksums(packages: Collection[str], lists: Mapping[str, str]) -> dict[str, set[str]]:
    """Return what the metadata of their repositories names."""
    return repodata.checksums(packages, lists, _directory_of)


def _directory_of(package: str) -> str:
    alias = package.removeprefix(f"{_CACHE}/packages/").partition("/")[0]
    return f"{_CACHE}/raw/{alias}/repodata"
