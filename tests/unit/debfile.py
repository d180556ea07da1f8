"""Debian packages in bytes, right ones and wrong ones, built without dpkg: deb(5), ar(5)."""

import gzip
import io
import lzma
import sys
import tarfile
from collections.abc import Callable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CONTROL = """Package: hello
Version: 1.0-1
Architecture: amd64
Maintainer: Nobody <nobody@example.org>
Description: says hello
 and this line is folded:
 Package: not-this
"""

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}


def member(name: str, data: bytes, *, size: str | None = None, end: bytes = b"`\n") -> bytes:
    """One member of an ar archive; `size` is what its header says where that is not the truth."""
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data) if size is None else size:<10}".encode()
    return header + end + data + b"\n" * (len(data) % 2)


def archive(*members: bytes) -> bytes:
    return b"!<arch>\n" + b"".join(members)


def tar(content: bytes | str = CONTROL, *, name: str = "./control", kind: bytes = tarfile.REGTYPE) -> bytes:
    """A tar archive as dpkg-deb makes them: `./`, then the control file."""
    data = content.encode() if isinstance(content, str) else content
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as file:
        directory = tarfile.TarInfo("./")
        directory.type = tarfile.DIRTYPE
        file.addfile(directory)
        info = tarfile.TarInfo(name)
        info.type = kind
        if kind == tarfile.REGTYPE:
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
        else:
            info.linkname = "/etc/passwd"
            file.addfile(info)
    return buffer.getvalue()


def deb(control: bytes | None = None, *, name: str = "control.tar.gz", fields: str = CONTROL) -> bytes:
    """A whole package; `control` is the member `name` as it is, in place of a good one with `fields`."""
    if control is None:
        control = COMPRESS[name.removeprefix("control.tar")](tar(fields))
    data = gzip.compress(tar(b"hello", name="./usr/share/hello"), mtime=0)
    data += b"\0" * (len(data) % 2)
    return archive(member("debian-binary", b"2.0\n"), member(name, control), member("data.tar.gz", data))
