"""What a package of Arch Linux says of itself in its .PKGINFO: alpm-pkginfo(5). The file is hostile input."""

import re

from postroj import tar
from postroj.errors import UsageError
from postroj.package import architecture, whole
from postroj.package.facts import Facts

_INFO = b".PKGINFO"
_MAX_INFO = 1024 * 1024
_MAX_ARCHIVE = 4 * 1024**3
"""How far .PKGINFO is looked for: makepkg has it first, and nfpm last."""

_FIELDS = {
    "pkgname": re.compile(r"[A-Za-z0-9@_+][A-Za-z0-9@._+-]{0,254}"),
    "pkgver": re.compile(r"([0-9]{1,10}:)?[A-Za-z0-9._+~^]{1,200}-[A-Za-z0-9._+~]{1,50}"),
    "arch": re.compile(r"[A-Za-z0-9_-]{1,40}"),
}

_DEPEND = re.compile(r"^depend *= *([^\s<>=]+)", re.MULTILINE)

# Debian's, rpm's, Docker's and Go's words for architectures, and Arch Linux's.
_FOREIGN = {
    **dict.fromkeys(("amd64", "x86-64", "x64"), "x86_64"),
    **dict.fromkeys(("arm64", "arm64v8", "armv8"), "aarch64"),
    **dict.fromkeys(("386", "i386", "x86", "ia32"), "i686"),
    **dict.fromkeys(("armhf", "armv7", "armv7hl", "armv7l", "arm32v7"), "armv7h"),
    **dict.fromkeys(("ppc64el", "powerpc64le"), "ppc64le"),
    "loong64": "loongarch64",
    **dict.fromkeys(("all", "noarch"), "any"),
}


def read(path: str) -> Facts:
    """Read a package's .PKGINFO. Raises UsageError for what is no Arch Linux package, damaged, or cut off."""
    try:
        return _info(_text(path))
    except ValueError as error:
        raise UsageError(f"{path} is not an Arch Linux package", why=str(error)) from error


def read_needs(path: str) -> list[str]:
    """Return what a package depends on, without versions. Raises UsageError."""
    try:
        return _DEPEND.findall(_text(path))
    except ValueError as error:
        raise UsageError(f"{path} is not an Arch Linux package", why=str(error)) from error


def _text(path: str) -> str:
    with open(path, "rb") as file:
        kind = tar.compression(file.read(8))
        whole.check(file, kind)
        file.seek(0)
        source = tar.decompressed(file, kind)
        data = tar.find(source, [_INFO], ".PKGINFO", largest=_MAX_INFO, within=_MAX_ARCHIVE)
    if data is None:
        raise ValueError("it has no .PKGINFO")
    return data.decode(errors="replace")


def architecture_word(word: str) -> str:
    """Return the word that this format has for an architecture, by that of another one, or of a registry."""
    return architecture.own(word, _FOREIGN)


def architecture_fault(word: str) -> str:
    """Return what is wrong with the word that a package has for its architecture; empty if nothing is, by its form."""
    return architecture.fault(word, _FOREIGN, "Arch Linux")


def _info(text: str) -> Facts:
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        key, separator, value = line.partition("=")
        key = key.strip()
        if not separator or key not in _FIELDS:
            continue
        if key in fields:
            raise ValueError(f"its .PKGINFO has {key} twice")
        fields[key] = value.strip()
    for key, form in _FIELDS.items():
        if key not in fields:
            raise ValueError(f"its .PKGINFO has no {key}")
        if not form.fullmatch(fields[key]):
            raise ValueError(f"its .PKGINFO has an invalid {key}: {fields[key][:40]!r}")
    return Facts(fields["pkgname"], fields["pkgver"], fields["arch"])
