"""Where an image comes from, as it is written: a kind, and what that kind is told."""

import os
import re
from typing import NamedTuple

from postroj.errors import UsageError
from postroj.image import boxes

KINDS = BOOTSTRAP, OCI, TARBALL, DIRECTORY = "bootstrap", "oci", "tarball", "directory"

# containers-transports(5); a transport that is not in it could reach for anything
_REGISTRY = "docker://"
_TRANSPORTS = (_REGISTRY, "oci:", "oci-archive:", "docker-archive:")
_URLS = ("http://", "https://")
_PATHS = ("/", "./", "../", "~/")
_SUITE = re.compile(r"[a-z][a-z0-9.-]{0,40}(\+[0-9a-f]{8})?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# Letters of host names, paths, tags and digests: nothing that a shell or an option could make more of.
_OCI = re.compile(r"[A-Za-z0-9\[/._~][A-Za-z0-9\[\]/._~:@+%,=-]{0,400}")
_PLATFORM = re.compile(r"(?:linux/)?([a-z0-9_]{1,20})(?:/(v[0-9]{1,2}))?")
_CHECKSUM = re.compile(r"sha256=[0-9a-fA-F]{64}|sha256sums=.+")
_KNOWN = frozenset(
    "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x".split()  # noqa: SIM905
)
"""What registries call architectures: GOARCH, for Linux."""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


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
    platform: str = ""
    """As OCI writes it, without the system: amd64, arm/v7. Empty is the host's."""
    digest: str = ""
    """The required digest, sha256:…; empty: any."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.location}" if self.kind == BOOTSTRAP else self.location

    @property
    def reference(self) -> str:
        """The source as recorded: the options of a bootstrap, from the catalogue, are added as a hash."""
        if self.bootstrap == Bootstrap():
            return str(self)
        import hashlib

        return f"{self}+{hashlib.sha256(repr(self.bootstrap).encode()).hexdigest()[:8]}"

    @property
    def is_remote(self) -> bool:
        """Whether the network is needed for it."""
        return self.kind == BOOTSTRAP or self.location.startswith((_REGISTRY, *_URLS))

    @property
    def path(self) -> str:
        """The file or directory of this host that it is; empty for a remote one."""
        if self.is_remote:
            return ""
        if self.kind != OCI:
            return split_checksum(self.location)[0]
        return self.location.split(":")[1]  # TRANSPORT:PATH, or TRANSPORT:PATH:TAG, which may have more colons

    def stamp(self) -> str:
        """Return a cheap fingerprint of a local source (sizes and times), to notice changes; empty if it is remote."""
        if not self.path:
            return ""
        if not os.path.exists(self.path):
            return "missing"
        if self.kind == DIRECTORY and os.path.isdir(self.path):
            from postroj.image import fingerprint

            return fingerprint.of_directory(self.path)
        # An OCI layout is a directory, whose images are in its index.
        index = os.path.join(self.path, "index.json")
        status = os.stat(index if os.path.exists(index) else self.path)
        return f"{status.st_size}-{status.st_mtime_ns}"


def parse(text: str, bootstrap: Bootstrap = Bootstrap()) -> Source:  # noqa: B008 (it cannot be changed)
    """A source as it is written in a catalogue or on a command line. Raises UsageError."""
    if text.startswith("bootstrap:"):
        suite = text.removeprefix("bootstrap:")
        if not _SUITE.fullmatch(suite):
            raise UsageError(f"'{suite[:80]}' cannot be a suite")
        return Source(BOOTSTRAP, suite, bootstrap)
    if text.startswith(_TRANSPORTS):
        return _oci(text)
    if boxes.parse(text):
        raise boxes.needs_vm(text)
    plain, fragment = split_checksum(text)
    if fragment and not _CHECKSUM.fullmatch(fragment):  # an empty one as well: it must not mean that none is needed
        hint = "write #sha256= and 64 hexadecimal digits, or #sha256sums= and a file that lists it"
        raise UsageError(f"'#{fragment[:100]}' is not a checksum", hint=hint)
    if text.startswith(_URLS):
        from postroj import download

        download.check(plain)
        return Source(TARBALL, text)
    if _is_path(text):
        path = os.path.abspath(os.path.expanduser(plain))
        return Source(DIRECTORY if os.path.isdir(path) and not fragment else TARBALL, path + text[len(plain) :])
    raise UsageError(
        f"'{text[:200]}' is not a source of an image",
        hint="write docker://…, oci:…, oci-archive:…, docker-archive:…, an https:// URL, or a path: /… or ./…",
    )


def _oci(text: str) -> Source:
    transport = next(transport for transport in _TRANSPORTS if text.startswith(transport))
    name, at, digest = text.removeprefix(transport).partition("@")
    if at and not digest.startswith("sha256:"):
        hint = "write @sha256: and 64 hexadecimal digits; for a password there is `skopeo login`"
        raise UsageError("what follows the @ of an image reference is not a digest", hint=hint)
    if not _OCI.fullmatch(name) or (at and (transport != _REGISTRY or not is_digest(digest))):
        raise UsageError(f"'{text[:200]}' is not an image reference", hint=f"write {transport}…, as skopeo takes it")
    if transport != _REGISTRY:
        path, colon, tag = name.partition(":")
        name = os.path.abspath(os.path.expanduser(path)) + colon + tag
    return Source(OCI, transport + name, digest=digest)


def split_checksum(location: str) -> tuple[str, str]:
    """A tarball's location and what follows it: `sha256=HEX`, or `sha256sums=FILE`; empty where nothing does."""
    plain, _, fragment = location.rpartition("#")
    return (plain, fragment) if plain and fragment.startswith(("sha256=", "sha256sums=")) else (location, "")


def parse_platform(text: str) -> str:
    """A platform as it is written: linux/arm64, arm64, arm/v7. Raises UsageError."""
    match = _PLATFORM.fullmatch(text)
    if not match:
        raise UsageError(f"'{text[:80]}' is not a platform", hint="write linux/arm64 or arm/v7")
    if match[1] not in _KNOWN:
        meant = _ARCHITECTURES.get(match[1], "")
        hint = f"write {meant}" if meant else f"there is {', '.join(sorted(_KNOWN))}"
        raise UsageError(f"'{text[:80]}' is not a platform: there is no architecture {match[1]}", hint=hint)
    return "/".join(part for part in match.groups() if part)


def host_architecture() -> str:
    """The architecture of this host, as OCI calls it."""
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


def is_reference(text: str) -> bool:
    """Whether a text is written as a source, and not as an image's name."""
    return text.startswith((*_TRANSPORTS, *_URLS, "bootstrap:", boxes.SCHEME)) or _is_path(text)


def is_digest(text: str) -> bool:
    """Tell whether a text is a digest, as OCI writes it."""
    return _DIGEST.fullmatch(text) is not None


def _is_path(text: str) -> bool:
    return text.startswith(_PATHS) or text in (".", "..")
