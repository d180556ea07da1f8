"""What a .deb file says of itself: deb(5). The file is hostile input, and read within bounds."""

import io
import lzma
import re
import tarfile
import zlib
from typing import IO

from postroj import process
from postroj.errors import MissingToolError, ToolError, UsageError

_MAGIC = b"!<arch>\n"
_HEADER = 60
_MAX_MEMBERS = 16
_MAX_MEMBER = 16 * 1024 * 1024
_MAX_CONTROL = 64 * 1024 * 1024
_MAX_FIELDS = 1024 * 1024


def read_control(path: str) -> dict[str, str]:
    """The fields of its control file, folded lines left out. Raises UsageError for what is no Debian package."""
    try:
        with open(path, "rb") as file:
            name, data = _control_member(file)
        if name.endswith(".zst"):
            # Ubuntu's; the standard library reads it from Python 3.14 on
            return _fields(process.run(["dpkg-deb", "--field", path]))
        return _fields(_control_file(_decompress(name, data)))
    except MissingToolError as error:
        raise UsageError(f"{path} is compressed with zstd, which cannot be read here", hint=error.hint) from error
    except ToolError as error:
        raise UsageError(f"{path} is not a Debian package", why=error.why) from error
    except (ValueError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error) as error:
        raise UsageError(f"{path} is not a Debian package", why=str(error)) from error


def _control_member(file: IO[bytes]) -> tuple[str, bytes]:
    """The name and content of control.tar; the whole archive is walked, so that one that is cut off is found out."""
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it is no ar archive")
    members: dict[str, bytes] = {}
    while file.tell() < end:
        name, size = _member(file.read(_HEADER))
        start = file.tell()
        if start + size > end:
            raise ValueError(f"it is cut off: {name} should have {size} bytes")
        is_control = name.startswith("control.tar")
        if (is_control and size > _MAX_MEMBER) or len(members) >= _MAX_MEMBERS:
            raise ValueError("it is too large for a package")
        members[name] = file.read(size) if is_control else b""
        file.seek(start + size + size % 2)
    if not any(name.startswith("data.tar") for name in members):
        raise ValueError("it has no data.tar")
    for name, data in members.items():
        if name.startswith("control.tar"):
            return name, data
    raise ValueError("it has no control.tar")


def _member(header: bytes) -> tuple[str, int]:
    if len(header) < _HEADER or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
        raise ValueError("it is cut off, or damaged")
    return header[:16].decode("ascii", "replace").rstrip(" /"), int(header[48:58])


def _decompress(name: str, data: bytes) -> bytes:
    """At most _MAX_CONTROL bytes of the tar archive: the control file comes early in it."""
    if name.endswith(".gz"):
        return zlib.decompressobj(wbits=31).decompress(data, _MAX_CONTROL)
    if name.endswith(".xz"):
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data, _MAX_CONTROL)
    if name.endswith(".tar"):
        return data
    raise ValueError(f"{name} is compressed in an unknown way")


def _control_file(tar: bytes) -> str:
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
        for member in archive:
            if member.name in ("control", "./control") and member.isfile() and member.size <= _MAX_FIELDS:
                content = archive.extractfile(member)
                assert content is not None
                return content.read().decode(errors="replace")
    raise ValueError("it has no control file")


def _fields(text: str) -> dict[str, str]:
    fields = dict(re.findall(r"^([A-Za-z0-9-]+):[ \t]*(.*?)[ \t]*$", text, re.MULTILINE))
    for needed in ("Package", "Version", "Architecture"):
        if not fields.get(needed):
            raise ValueError(f"its control file has no {needed}")
    return fields
