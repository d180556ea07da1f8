"""What a .deb file says of itself: deb(5). The file is hostile input, and read within bounds."""

import io
import re
from typing import IO

from postroj import tar
from postroj.errors import UsageError
from postroj.package import architecture
from postroj.package.facts import Facts

MAGIC = b"!<arch>\n"
_HEADER = 60
_MAX_MEMBERS = 16
_MAX_MEMBER = 16 * 1024 * 1024
_MAX_CONTROL = 64 * 1024 * 1024
_MAX_FIELDS = 1024 * 1024
_COMPRESSED = {"": "", ".gz": "gz", ".xz": "xz", ".zst": "zst"}

# uname(1) and rpm, Go, Docker and Node.js: what else architectures are called, and Debian's word for each.
_FOREIGN = {
    **dict.fromkeys(("x86_64", "x86-64", "x64"), "amd64"),
    **dict.fromkeys(("aarch64", "arm64v8", "armv8"), "arm64"),
    **dict.fromkeys(("x86", "i486", "i586", "i686", "386", "ia32"), "i386"),
    **dict.fromkeys(("armhfp", "armv7", "armv7l", "armv7hl", "arm32v7"), "armhf"),
    **dict.fromkeys(("armv5", "armv5tel", "armv6", "armv6l", "arm32v5"), "armel"),
    **dict.fromkeys(("ppc64le", "powerpc64le"), "ppc64el"),
    **dict.fromkeys(("mips64le",), "mips64el"),
    **dict.fromkeys(("mipsle",), "mipsel"),
    **dict.fromkeys(("loongarch64",), "loong64"),
    **dict.fromkeys(("noarch", "any"), "all"),
}


def read(path: str) -> Facts:
    """Read a package's control file. Raises UsageError."""
    fields = read_control(path)
    return Facts(fields["Package"].lower(), fields["Version"], fields["Architecture"])  # lower, as dpkg takes it


def read_control(path: str) -> dict[str, str]:
    """Return the fields of the control file, folded lines left out. Raises UsageError if it is not a Debian package."""
    try:
        with open(path, "rb") as file:
            name, data = _control_member(file)
        return _fields(_control_file(_decompress(name, data)))
    except ValueError as error:
        raise UsageError(f"{path} is not a Debian package", why=str(error)) from error


def architecture_word(word: str) -> str:
    """Return the word that this format has for an architecture, by that of another one, or of a registry."""
    return architecture.own(word, _FOREIGN)


def architecture_fault(word: str) -> str:
    """Return what is wrong with the word that a package has for its architecture; empty if nothing is, by its form.

    dpkg takes a package with another word for one of a foreign architecture, and refuses it.
    """
    if told := architecture.fault(word, _FOREIGN, "Debian"):
        return told
    if "_" in word:
        return f"is for {word}, which is not an architecture of Debian"
    return ""


def _control_member(file: IO[bytes]) -> tuple[str, bytes]:
    """Return the name and content of control.tar. The whole archive is walked, to find out if it is cut off."""
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    if file.read(len(MAGIC)) != MAGIC:
        raise ValueError("it is not an ar archive")
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
    if "debian-binary" not in members:
        raise ValueError("it has no debian-binary")
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
    kind = _COMPRESSED.get(name.removeprefix("control.tar"))
    if kind is None:
        raise ValueError(f"{name} is compressed in an unknown way")
    return tar.read(tar.decompressed(io.BytesIO(data), kind), _MAX_CONTROL)


def _control_file(archive: bytes) -> str:
    """The file `control` of a tar archive: what dpkg-deb writes, and no more of the format than that."""
    names = (b"control", b"./control")
    data = tar.find(io.BytesIO(archive), names, "control", largest=_MAX_FIELDS, within=len(archive))
    if data is None:
        raise ValueError("it has no control file")
    return data.decode(errors="replace")


def _fields(text: str) -> dict[str, str]:
    fields = {name: value.strip() for name, value in re.findall(r"^([A-Za-z0-9-]+):(.*)$", text, re.MULTILINE)}
    for needed in ("Package", "Version"):
        if not fields.get(needed):
            raise ValueError(f"its control file has no {needed}")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", fields.get("Architecture", "")):
        raise ValueError("its control file has no Architecture")
    return fields
