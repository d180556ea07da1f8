"""What is on a guest's root file system, as its find(1) lists it, and what differs from an earlier list."""

import gzip
import os
from typing import NamedTuple

from postroj.contract import Change, Changes
from postroj.errors import HostError
from postroj.replacing import replacing

MOST_BYTES = 256 << 20
"""More than this of a list is not read."""
_MOST = 1_000_000
_MOST_CHANGES = 200_000
_KINDS = {
    "f": "file", "d": "directory", "l": "link", "p": "fifo", "s": "socket", "c": "character device",
    "b": "block device",
}  # fmt: skip
_FIELDS = 7
# Constant text. What is in /etc is read, as a program may write the same there once more; the rest of a file system is
# too much for it, and its times tell; they do also where a file could not be read. Its status is not 0 if files may be
# missing in the list, other than those that were removed meanwhile.
SCRIPT = r"""
LC_ALL=C find / -xdev -ignore_readdir_race ! -path / -printf '%y %m %U %G %s %T@ %l\0%p\0' || exit
echo
LC_ALL=C find /etc -xdev -type f -exec sha256sum --zero -- {} +
exit 0
"""


class Entry(NamedTuple):
    """A file, of any kind."""

    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    modified: int
    """In nanoseconds since 1970."""
    target: str
    """Where a symbolic link leads."""
    digest: str = ""
    """Of its bytes; empty if they were not read."""

    def is_like(self, other: "Entry") -> bool:
        """Return whether it is as another one is, for all that is known; a directory, whatever is in it."""
        if self[:4] != other[:4]:
            return False
        if self.kind == "file":
            same = self.digest == other.digest if self.digest and other.digest else self.modified == other.modified
            return self.size == other.size and same
        return self.target == other.target

    def as_change(self, what: str) -> Change:
        """Return it as what was changed."""
        return Change(what, *self[:7])


Listing = dict[str, Entry]
"""By absolute path."""


def parse(output: bytes) -> Listing:
    """Return what the script has printed; what is not understood is left out, as the guest is not trusted.

    Raises HostError if there are too many files: the rest would seem to be removed.
    """
    found: Listing = {}
    entries, _, sums = output.partition(b"\0\n")
    words = iter(entries.split(b"\0"))
    for told, path in zip(words, words, strict=False):
        if path.startswith(b"/") and (entry := _entry(os.fsdecode(told))):
            found[os.fsdecode(path)] = entry
        if len(found) > _MOST:
            raise HostError(f"the machine has more than {_MOST:,} files")
    for line in sums.split(b"\0"):
        digest, _, path = line.partition(b"  ")
        name = os.fsdecode(path)
        if name in found:
            found[name] = found[name]._replace(digest=os.fsdecode(digest)[:64])
    return found


def _entry(told: str) -> Entry | None:
    fields = told.split(" ", _FIELDS - 1)
    try:
        kind, mode, uid, gid, size, modified, target = fields
        seconds, _, fraction = modified.partition(".")
        time = int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0"))
        return Entry(_KINDS[kind], int(mode, 8), int(uid), int(gid), int(size), time, target)
    except (ValueError, KeyError):
        return None


def changes(before: Listing, now: Listing) -> Changes:
    """Return what differs; a directory that is gone stands for all that was in it."""
    found: dict[str, Change] = {}
    for path, entry in now.items():
        earlier = before.get(path)
        if not earlier or not entry.is_like(earlier):
            found[path] = entry.as_change("changed" if earlier else "added")
    for path, entry in before.items():
        above = os.path.dirname(path)
        if path not in now and (above == "/" or above in now):
            found[path] = entry.as_change("removed")
    kept = dict(list(found.items())[:_MOST_CHANGES])
    return Changes(kept, is_cut=len(kept) < len(found))


def save(path: str, key: bytes, output: bytes) -> None:
    """Keep what the script has printed; `key` tells what it was printed of. Raises OSError."""
    with replacing(path) as fd, open(fd, "wb", closefd=False) as file:
        file.write(key + b"\n" + gzip.compress(output, 1))


def is_of(path: str, key: bytes) -> bool:
    """Return whether a list is kept, of what has this key."""
    try:
        with open(path, "rb") as file:
            return file.readline(1000) == key + b"\n"
    except OSError:
        return False


def load(path: str) -> Listing:
    """Return what was kept. Raises OSError, EOFError, HostError."""
    with open(path, "rb") as file:
        file.readline(1000)
        with gzip.open(file) as unpacked:
            return parse(unpacked.read(MOST_BYTES))
