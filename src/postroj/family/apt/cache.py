"""What of apt's downloads can be kept: /var/lib/apt/lists and /var/cache/apt."""

import email.utils
import mmap
import re
import urllib.parse
from collections.abc import Sequence
from contextlib import suppress

from postroj.family.cache import Kept

_UPDATE = """
"$@" >&2 || exit
exec apt-get indextargets --format 'index $(URI) $(METAKEY) $(FILENAME)'
"""
_INDEX = re.compile(r"^index (?P<url>https?://\S+) (?P<key>\S+) (?P<file>/\S+)$", re.MULTILINE)
_FIELD = re.compile(rb"^(Package|Version|Architecture): (\S+)$", re.MULTILINE)
_UNTIL = re.compile(r"^Valid-Until: (.+)$", re.MULTILINE)
_MOST = 100
"""So many repositories are asked."""


def kept(update: Sequence[str]) -> Kept:
    """Return the facts; `update` is the command that updates the lists."""
    return Kept(
        lists=("var/lib/apt/lists", "var/cache/apt"),
        packages="var/cache/apt/archives",
        suffix=".deb",
        ignored=frozenset({"lock"}),
        update=["sh", "-c", _UPDATE, "sh", *update],
        read_indexes=read_indexes,
        is_listed=is_listed,
        valid_until=valid_until,
    )


def read_indexes(output: str) -> dict[str, str]:
    """Return the InRelease of each repository, from what apt-get indextargets prints of its lists."""
    found = {}
    for match in _INDEX.finditer(output):
        key, name = match["key"], match["key"].replace("/", "_")
        if match["url"].endswith(key) and match["file"].endswith(name):
            found[f"{match['url'].removesuffix(key)}InRelease"] = f"{match['file'].removesuffix(name)}InRelease".lstrip(
                "/"
            )
    return dict(list(found.items())[:_MOST])


def is_listed(name: str, sha256: str, lists: Sequence[str]) -> bool:
    """Return whether one of the files Packages among the lists has a paragraph of this package with this checksum."""
    wanted = f"\nSHA256: {sha256}\n".encode()
    for path in lists:
        with suppress(ValueError), open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as text:
            at = text.find(wanted)  # ValueError: it is empty
            while at >= 0:
                begin, end = text.rfind(b"\n\n", 0, at) + 1, text.find(b"\n\n", at)
                fields = dict(_FIELD.findall(text[begin : end if end > 0 else len(text)]))
                words = [fields.get(one, b"").decode() for one in (b"Package", b"Version", b"Architecture")]
                if "_".join(words) + ".deb" == urllib.parse.unquote(name):
                    return True
                at = text.find(wanted, at + 1)
    return False


def valid_until(text: str) -> float:
    """Return the time of the field Valid-Until of a Release file."""
    if match := _UNTIL.search(text):
        with suppress(ValueError, OverflowError):
            return email.utils.parsedate_to_datetime(match[1]).timestamp()
    return 0.0
