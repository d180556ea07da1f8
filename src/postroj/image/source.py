"""Where an image comes from, as it is written: a kind, and what that kind is told."""

import os
import re
from typing import NamedTuple

from postroj.errors import UsageError

BOOTSTRAP, OCI, TARBALL, DIRECTORY = "bootstrap", "oci", "tarball", "directory"

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tar.bz2", ".tbz2")

# containers-transports(5); a transport that is not in it could reach for anything
_TRANSPORTS = ("docker://", "oci:", "oci-archive:", "docker-archive:")
_SUITE = re.compile(r"[a-z][a-z0-9.-]{0,40}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# Letters of host names, paths, tags and digests: nothing that a shell or an option could make more of.
_OCI = re.compile(r"[A-Za-z0-9\[/._~][A-Za-z0-9\[\]/._~:@+%,=-]{0,400}")


class Bootstrap(NamedTuple):
    """What mmdebstrap is told besides the suite."""

    components: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    keyring: str = ""
    mirror: str = ""


class Source(NamedTuple):
    """One place that an image can be had from."""

    kind: str
    location: str
    """A suite, an OCI reference with its transport, a path or URL of a tarball, the path of a directory."""
    bootstrap: Bootstrap = Bootstrap()

    def __str__(self) -> str:
        return f"{self.kind}:{self.location}" if self.kind == BOOTSTRAP else self.location


def parse(text: str, bootstrap: Bootstrap = Bootstrap()) -> Source:  # noqa: B008 (it cannot be changed)
    """A source as it is written in a catalogue or on a command line. Raises UsageError."""
    if text.startswith("bootstrap:"):
        suite = text.removeprefix("bootstrap:")
        if not _SUITE.fullmatch(suite):
            raise UsageError(f"'{suite[:80]}' cannot be a suite")
        return Source(BOOTSTRAP, suite, bootstrap)
    for transport in _TRANSPORTS:
        if text.startswith(transport):
            if not _OCI.fullmatch(text.removeprefix(transport)):
                raise UsageError(f"'{text[:200]}' is no image reference", hint=f"write {transport}…, as skopeo takes it")
            return Source(OCI, text)
    if text.startswith(("http://", "https://")):
        return Source(TARBALL, text)
    if text.startswith(("/", "./", "../", "~/")) or text in (".", ".."):
        path = os.path.abspath(os.path.expanduser(text))
        return Source(DIRECTORY if os.path.isdir(path) else TARBALL, path)
    raise UsageError(
        f"'{text[:200]}' is no source of an image",
        hint="write docker://…, oci:…, oci-archive:…, docker-archive:…, an https:// URL or a path, which begins with / or ./",
    )


def is_reference(text: str) -> bool:
    """Whether a text is written as a source, and not as an image's name."""
    return text.startswith((*_TRANSPORTS, "http://", "https://", "bootstrap:", "/", "./", "../", "~/")) or text in (".", "..")


def is_digest(text: str) -> bool:
    """Whether a text is a digest, as OCI writes it."""
    return _DIGEST.fullmatch(text) is not None
