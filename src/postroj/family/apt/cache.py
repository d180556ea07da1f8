"""What of apt's downloads can be kept: /var/lib/apt/lists and /var/cache/apt."""

import email.utils
import mmap
import os
import re
import urllib.parse
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from postroj.family.cache import Kept

_UPDATE = """
"$@" >&2 || exit
exec apt-get indextargets --format 'index $(URI) $(METAKEY) $(FILENAME)'
"""
_INDEX = re.compile(r"^index (?P<url>https?://\S+) (?P<key>\S+) (?P<file>/\S+)$", re.MULTILINE)
_FIELD = re.compile(rb"^(Package|Version|Architecture|SHA256): (\S+)$", re.MULTILINE)
_UNTIL = re.compile(r"^Valid-Until: (.+)$", re.MULTILINE)


def kept(update: Sequence[str]) -> Kept:
    """Return the facts; `update` is the command that updates the lists."""
    return Kept(
        lists=("var/lib/apt/lists", "var/cache/apt"),
        packages=("var/cache/apt/archives",),
        suffixes=(".deb",),
        ignored=frozenset({"lock"}),
        update=["sh", "-c", _UPDATE, "sh", *update],
        read_indexes=read_indexes,
        checksums=checksums,
        valid_until=valid_until,
        has_times=True,
    )


def read_indexes(output: str, lists: Collection[str]) -> dict[str, str]:
    """Return the InRelease of each repository, from what apt-get indextargets prints of its lists."""
    found = {}
    for match in _INDEX.finditer(output):
        key, name = match["key"], match["key"].replace("/", "_")
        if match["url"].endswith(key) and match["file"].endswith(name):
            file = f"{match['file'].removesuffix(name)}InRelease".lstrip("/")
            if file in lists:
                found[f"{match['url'].removesuffix(key)}InRelease"] = file
    return found


def checksums(packages: Collection[str], lists: Mapping[str, str]) -> dict[str, set[str]]:
    """Return what the files Packages among the lists have in their paragraphs of these packages."""
    found: dict[str, set[str]] = {}
    for path in lists.values():
        with (
            suppress(ValueError),  # it is empty
            open(path, "rb") as file,
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as text,
        ):
            for package in packages:
                found.setdefault(package, set()).update(_named(text, urllib.parse.unquote(os.path.basename(package))))
    return {package: sums for package, sums in found.items() if sums}


def _named(text: mmap.mmap, name: str) -> set[str]:
    """Return the checksums of the paragraphs of a package, by the name of its file."""
    field = f"Package: {name.partition('_')[0]}\n".encode()
    found = set()
    at = 0 if text[: len(field)] == field else text.find(b"\n" + field)
    while at >= 0:
        begin, end = text.rfind(b"\n\n", 0, at + 1) + 1, text.find(b"\n\n", at)
        fields = dict(_FIELD.findall(text[begin : end if end > 0 else len(text)]))
        words = [fields.get(one, b"").decode(errors="replace") for one in (b"Package", b"Version", b"Architecture")]
        if f"{'_'.join(words)}.deb" == name and b"SHA256" in fields:
            found.add(f"sha256:{fields[b'SHA256'].decode(errors='replace')}")
        at = text.find(b"\n" + field, at + 1)
    return found


def valid_until(text: str) -> float:
    """Return the time of the field Valid-Until of a Release file."""
    if match := _UNTIL.search(text):
        with suppress(ValueError, OverflowError):
            return email.utils.parsedate_to_datetime(match[1]).timestamp()
    return 0.0
