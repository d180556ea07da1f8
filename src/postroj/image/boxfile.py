"""What a .box file says of itself: the file is hostile input, and read within bounds.

Source: "Box File Format" (Vagrant's documentation): a tar archive with a metadata.json, mostly compressed by gzip.
"""

import json
from typing import NamedTuple

from postroj import tar
from postroj.errors import UsageError

_METADATA = (b"metadata.json", b"./metadata.json")
_MOST_BYTES = 256 << 30
"""How far into the archive the metadata is looked for: Packer writes the disks before it."""
_LARGEST = 256 * 1024
_LONGEST = 64


class BoxFile(NamedTuple):
    """A box that is a file of the host."""

    path: str
    provider: str
    """The provider that it was made for: libvirt, virtualbox."""
    architecture: str
    """As its maker calls it; empty if the box does not say."""


def read(path: str) -> BoxFile:
    """Read what it is for. Raises UsageError if it is not a box."""
    try:
        with open(path, "rb") as file:
            kind = tar.compression(file.read(8))
            file.seek(0)
            found = tar.find(
                tar.decompressed(file, kind), _METADATA, "metadata.json", largest=_LARGEST, within=_MOST_BYTES
            )
        return _of(path, found)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a box of Vagrant", why=str(error)) from error


def _of(path: str, metadata: bytes | None) -> BoxFile:
    if metadata is None:
        raise ValueError("it has no metadata.json")
    fields = json.loads(metadata.decode())
    if not isinstance(fields, dict):
        raise ValueError("its metadata.json is not an object")
    provider, architecture = fields.get("provider"), fields.get("architecture", "")
    if not isinstance(provider, str) or not _is_word(provider):
        raise ValueError("its metadata.json names no provider")
    if not isinstance(architecture, str) or (architecture and not _is_word(architecture)):
        raise ValueError("its metadata.json has no architecture that could be one")
    return BoxFile(path, provider, architecture)


def _is_word(text: str) -> bool:
    return len(text) <= _LONGEST and text.isascii() and text.replace("_", "").replace("-", "").isalnum()
