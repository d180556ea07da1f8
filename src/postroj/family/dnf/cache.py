"""What of the downloads of dnf 4 and 5 can be kept: the directory of each repository below /var/cache."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from postroj.family import repodata
from postroj.family.cache import METALINK, UNKNOWN, Kept

_CACHES = ("var/cache/dnf", "var/cache/libdnf5")

_UPDATE = """
"$@" >&2 || exit
exec "$1" --cacheonly repoinfo --enabled
"""

_FIELD = re.compile(r"\s*(?P<key>Repo-id|Repo ID|Repo-metalink|Metalink|Repo-baseurl|Base URL)\s*: (?P<value>\S+)")
"""Of dnf 4 and 5. One with several URLs has the first one here."""
_KEYS = {
    "Repo-id": "id",
    "Repo ID": "id",
    "Repo-metalink": "metalink",
    "Metalink": "metalink",
    "Repo-baseurl": "base",
    "Base URL": "base",
}
_INDEX = re.compile(r"(?P<directory>var/cache/(?:lib)?dnf5?/(?P<id>[^/]+)-[0-9a-f]{16})/repodata/repomd\.xml")


def kept(update: Sequence[str]) -> Kept:
    """Return the facts; `update` is the command that updates the lists."""
    return Kept(
        lists=("var/cache/dnf", *(f"{cache}/*{part}" for cache in _CACHES for part in ("", "/repodata", "/solv"))),
        packages=tuple(f"{cache}/*/packages" for cache in _CACHES),
        suffixes=(".rpm",),
        # What it has noted of its own runs
        ignored=frozenset(
            {"tempfiles.json", "expired_repos.json", "last_makecache", "packages.db", "download_lock.pid"}
            | {"metadata_lock.pid", "expired", "log_lock.pid"}
        ),
        update=["sh", "-c", _UPDATE, "sh", *update],
        read_indexes=read_indexes,
        checksums=checksums,
        # yum 3, which has another cache
        unless=("usr/share/yum-cli",),
    )


def read_indexes(output: str, lists: Collection[str]) -> dict[str, str]:
    """Return the metalink or the repomd.xml of each repository that is enabled, from what `repoinfo` prints."""
    files = {found["id"]: found[0] for found in map(_INDEX.fullmatch, lists) if found}
    indexes = {}
    for one in _repositories(output):
        url = UNKNOWN + one["id"]
        if one.get("metalink", "").startswith(("http://", "https://")):
            url = METALINK + one["metalink"]
        elif "base" in one:
            url = repodata.index_url(one["base"].rstrip(","))
        indexes[url if one["id"] in files else UNKNOWN + one["id"]] = files.get(one["id"], "")
    return indexes


def checksums(packages: Collection[str], lists: Mapping[str, str]) -> dict[str, set[str]]:
    """Return what the metadata beside the packages names."""
    return repodata.checksums(packages, lists, _directory_of)


def _directory_of(package: str) -> str:
    return f"{package.rpartition('/packages/')[0]}/repodata"


def _repositories(output: str) -> Iterator[dict[str, str]]:
    one: dict[str, str] = {}
    for found in filter(None, map(_FIELD.match, output.splitlines())):
        key = _KEYS[found["key"]]
        if key == "id":
            if one:
                yield one
            one = {}
        one.setdefault(key, found["value"])
    if one.get("id"):
        yield one
