"""Source tarball: a root file system in a tar archive, by URL or path, plain or compressed by gzip, xz, zstd or bzip2.

It is read through before anything of it is unpacked: what a root file system has no use for is refused.
"""

import gzip
import hashlib
import lzma
import os
import re
import subprocess
import tarfile
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from postroj import download, process
from postroj.deadline import NEVER
from postroj.errors import ImageError
from postroj.events import Phase, emit
from postroj.image.source import Source, split_checksum
from postroj.settings import downloads_dir

MOST_MEMBERS = 500_000
"""More than a whole desktop system has."""
_DEV = ("./dev/", "dev/")
"""What is below it is left out: device nodes, as debootstrap makes them. A guest has a /dev of its own."""
_BLOCK = 512
_SUMS_BYTES = 1 << 20
_MAGIC = ((b"\x1f\x8b", "gzip"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"))


def find(source: Source, subject: str) -> str:
    """The digest of the file, which is brought here. Raises DownloadError, ImageError."""
    path = _bring(source, subject)
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    wanted = _wanted(source, subject)
    if wanted and found != wanted:
        raise ImageError(
            f"checksum mismatch: {source.location}", why=f"expected sha256 {wanted}\ngot      sha256 {found}"
        )
    return f"sha256:{found}"


def fetch(source: Source, digest: str, tree: str, subject: str) -> str:
    """Make the tree's `root`; returns the digest. Raises MissingToolError, ToolError, ImageError."""
    path = _bring(source._replace(digest=digest), subject)  # what was found, whatever is there by now
    emit(Phase(subject, "unpack", f"checking {os.path.basename(path)}"))
    compression = _compression(path)
    status = os.statvfs(tree)
    try:
        _check(path, compression, status.f_bavail * status.f_frsize)
    except (tarfile.TarError, EOFError, lzma.LZMAError, gzip.BadGzipFile, ValueError, OSError) as error:
        raise ImageError(
            f"{path} is damaged, or not a tar archive", why=str(error), hint="fetch or make it again"
        ) from error
    emit(Phase(subject, "unpack", f"unpacking {os.path.basename(path)}"))
    root = os.path.join(tree, "root")
    os.mkdir(root)
    process.require("tar", *([compression] if compression else []))
    process.follow(
        [
            *("tar", "--extract", f"--file={path}", f"--directory={root}", "--numeric-owner", "--same-owner"),
            *("--preserve-permissions", "--xattrs", "--xattrs-include=*", "--delay-directory-restore"),
            *("--anchored", "--wildcards", "--wildcards-match-slash", *(f"--exclude={parent}*" for parent in _DEV)),
            *([f"--{compression}"] if compression else []),
        ],
        subject=subject,
    )
    os.chmod(root, 0o755)
    entries = os.listdir(root)
    if len(entries) == 1 and os.path.lexists(os.path.join(root, entries[0], "etc")):
        raise ImageError(
            f"everything in {path} is below one directory: {entries[0][:100]}",
            hint="make it by `tar --directory=ROOT --create .`",
        )
    return digest


def _bring(source: Source, subject: str) -> str:
    plain, _ = split_checksum(source.location)
    if not source.is_remote:
        if not os.path.isfile(plain):
            raise ImageError(f"there is no file {plain}")
        return plain
    emit(Phase(subject, "download", f"downloading {plain}"))
    wanted = _wanted(source, subject)
    return download.fetch(plain + (f"#sha256={wanted}" if wanted else ""), downloads_dir(), deadline=NEVER)


def _wanted(source: Source, subject: str) -> str:
    """The checksum that the file has to have, as 64 hexadecimal digits, as far as anybody has said."""
    if source.digest:
        return source.digest.removeprefix("sha256:")
    plain, fragment = split_checksum(source.location)
    key, _, value = fragment.partition("=")
    if key != "sha256sums":
        return value.lower()
    if source.is_remote:
        sums = download.fetch(urllib.parse.urljoin(plain, value), downloads_dir(), deadline=NEVER)
    else:
        sums = os.path.join(os.path.dirname(plain), value)
    return _listed(sums, os.path.basename(urllib.parse.urlsplit(plain).path if source.is_remote else plain))


def _listed(sums: str, name: str) -> str:
    """The checksum of a file in a list as sha256sum(1) makes it, or with BSD's words."""
    try:
        with open(sums, errors="replace") as file:
            text = file.read(_SUMS_BYTES)
    except OSError as error:
        raise ImageError(f"{sums} cannot be read: {error.strerror}") from error
    quoted = re.escape(name)
    for pattern in (rf"^([0-9a-fA-F]{{64}}) [ *](?:\./)?{quoted}$", rf"^SHA256 \({quoted}\) = ([0-9a-fA-F]{{64}})$"):
        if match := re.search(pattern, text, re.MULTILINE):
            return match[1].lower()
    raise ImageError(f"{sums} has no checksum of {name}")


def _compression(path: str) -> str:
    """The program that packed it, by how it begins; empty for a plain archive."""
    with open(path, "rb") as file:
        start = file.read(6)
    return next((program for magic, program in _MAGIC if start.startswith(magic)), "")


def _check(path: str, compression: str, room: int) -> None:
    """Read through it. Raises ImageError, also where it takes more than so many bytes, and what tarfile raises."""
    total = members = 0
    if not compression:
        _check_end(path)
    with _opened(path, compression) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            members += 1
            if members > MOST_MEMBERS:
                raise ImageError(f"{path} has more than {MOST_MEMBERS:,} files", hint="it is not a root file system")
            _check_member(path, member)
            if member.size < 0:
                raise ValueError(f"{member.name[:200]} has a size below 0")
            total += member.size
            if total > room:  # at once: tarfile would look for the end of a member of 2⁶⁰ bytes for ever
                what = f"the disk is full: {path} needs {total / 1e6:.0f} MB, or more"
                raise ImageError(what, hint="free some space, or move POSTROJ_STATE_DIR")
            archive.members.clear()  # type: ignore[attr-defined] # which grows with each one
        if not members:
            raise ImageError(f"{path} is empty, or not a tar archive")


def _check_end(path: str) -> None:
    """Raise ValueError where a plain archive has no end: tar and tarfile take one that is cut off before a header."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _BLOCK))
        if size % _BLOCK or any(file.read()):
            raise ValueError("it is cut off: its end is missing")


def _check_member(path: str, member: tarfile.TarInfo) -> None:
    shown = member.name[:200]
    if member.name.startswith("/"):
        raise ImageError(f"{path} has an absolute path: {shown}", hint="make it by `tar --directory=ROOT --create .`")
    if ".." in member.name.split("/"):
        raise ImageError(f"{path} has a path that leads out of it: {shown}")
    if member.name.startswith(_DEV):
        return
    if member.isdev() and not member.isfifo():
        raise ImageError(
            f"{path} has a device node outside /dev: {shown}", hint="make it without: `tar --exclude=PATH …`"
        )
    if member.islnk() and (member.linkname.startswith("/") or ".." in member.linkname.split("/")):
        raise ImageError(f"{path} has a hard link out of it: {shown} to {member.linkname[:200]}")


@contextmanager
def _opened(path: str, compression: str) -> Iterator[IO[bytes]]:
    """What is in it, uncompressed."""
    if not compression:
        with open(path, "rb") as file:
            yield file
        return
    process.require(compression)
    program = process.start(
        [compression, "--decompress", "--stdout", "--", path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert program.stdout is not None
    assert program.stderr is not None
    try:
        yield program.stdout
        while program.stdout.read(1 << 20):  # what follows the end of the archive
            pass
        if program.wait() != 0:
            raise ValueError(program.stderr.read(1000).decode(errors="replace").strip())
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
        program.stderr.close()
