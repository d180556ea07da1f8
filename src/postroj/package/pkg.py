"""What a package of FreeBSD says of itself in its +COMPACT_MANIFEST: pkg-create(8). The file is hostile input."""

import json
import re
from fnmatch import fnmatchcase

from postroj import tar
from postroj.errors import UsageError
from postroj.package.facts import Facts

_MANIFEST = b"+COMPACT_MANIFEST"
_LARGEST = 1024 * 1024
_WITHIN = 64 * 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")
_VERSION = re.compile(r"[A-Za-z0-9._+,~-]{1,127}")
_ABI = re.compile(r"[A-Za-z]{1,20}:[0-9*]{1,5}:[a-z0-9_*]{1,20}")
_WORDS = {"386": "i386", "arm64": "aarch64", "arm": "armv7"}


def read(path: str) -> Facts:
    """Read a package's manifest. Raises UsageError for what is no package of FreeBSD, or damaged; OSError."""
    try:
        with open(path, "rb") as file:
            kind = tar.compression(file.read(8))
            file.seek(0)
            source = tar.decompressed(file, kind)
            data = tar.find(source, [_MANIFEST], "+COMPACT_MANIFEST", largest=_LARGEST, within=_WITHIN)
        if data is None:
            raise ValueError("it has no +COMPACT_MANIFEST")
        fields = json.loads(data)
        found = [fields.get(key) for key in ("name", "version", "abi")] if isinstance(fields, dict) else [None] * 3
        for value, pattern in zip(found, (_NAME, _VERSION, _ABI), strict=True):
            if not isinstance(value, str) or not pattern.fullmatch(value):
                raise ValueError("its +COMPACT_MANIFEST names no package, version and ABI")
        return Facts(*found)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a package of FreeBSD", why=str(error)) from error


def architecture_fault(word: str) -> str:
    """Return what is wrong with an ABI; empty for nothing."""
    return ""


def architecture_word(architecture: str) -> str:
    """Return how FreeBSD calls an architecture of a registry: i386 for 386."""
    return _WORDS.get(architecture, architecture)


def runs_on(word: str, machine: str) -> bool:
    """Return whether a package for one ABI can be installed on a machine of another: `FreeBSD:14:*`."""
    return fnmatchcase(machine, word)


def is_newer(version: str, other: str) -> bool:
    """Return whether a version is newer: pkg-version(8), as far as numbers tell; an epoch is behind a comma."""
    return _key(version) > _key(other)


def _key(version: str) -> tuple[int, list[int]]:
    plain, _, epoch = version.partition(",")
    return int(epoch) if epoch.isdecimal() else 0, [int(number) for number in re.findall("[0-9]+", plain)]
