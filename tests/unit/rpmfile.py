"""RPM packages in bytes, right ones and wrong ones, built without rpm: rpm's docs/manual/format_header.md."""

import gzip
import random
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

NULL, CHAR, INT8, INT16, INT32, INT64, STRING, BIN, STRINGS, I18N = range(10)
_WIDTH = {CHAR: 1, INT8: 1, INT16: 2, INT32: 4, INT64: 8}

NAME, VERSION, RELEASE, EPOCH, ARCH, SOURCE_RPM = 1000, 1001, 1002, 1003, 1022, 1044
SIG_SIZE, SIG_LONG_SIZE, PAYLOAD_SIZE = 1000, 270, 5112
_SIGNATURES, _IMMUTABLE = 62, 63

PAYLOAD = gzip.compress(b"070701" + b"0" * 104 + b"TRAILER!!!\0\0\0\0", mtime=0)


class Entry(NamedTuple):
    tag: int
    kind: int
    value: int | str | bytes | Sequence[str] | Sequence[int]


def header(entries: Sequence[Entry], region: int) -> bytes:
    """A header with a region around all of its entries, as rpmbuild writes it."""
    index, store = b"", b""
    for tag, kind, value in sorted(entries):
        width = _WIDTH.get(kind, 1)
        store += bytes(-len(store) % width)
        data, count = _stored(kind, value)
        index += struct.pack(">4I", tag, kind, len(store), count)
        store += data
    number = len(entries) + 1
    first = struct.pack(">4I", region, BIN, len(store), 16)
    store += struct.pack(">2Ii1I", region, BIN, -number * 16, 16)
    return b"\x8e\xad\xe8\x01\0\0\0\0" + struct.pack(">2I", number, len(store)) + first + index + store


def _stored(kind: int, value: object) -> tuple[bytes, int]:
    if isinstance(value, str):
        return value.encode() + b"\0", 1
    if isinstance(value, bytes):
        return value, len(value)
    values: list[Any] = list(value) if isinstance(value, (list, tuple)) else [value]
    if kind in (STRINGS, I18N):
        return b"".join(text.encode() + b"\0" for text in values), len(values)
    return b"".join(number.to_bytes(_WIDTH[kind], "big") for number in values), len(values)


def good(
    name: str = "hello",
    version: str = "1.0",
    release: str = "1",
    arch: str = "x86_64",
    epoch: int | None = None,
    source: bool = False,
) -> list[Entry]:
    """The entries that a header has at least."""
    entries = [
        Entry(NAME, STRING, name),
        Entry(VERSION, STRING, version),
        Entry(RELEASE, STRING, release),
        Entry(ARCH, STRING, arch),
        Entry(1004, I18N, ["says hello"]),
        Entry(1005, I18N, ["It says hello."]),
        Entry(100, STRINGS, ["C"]),
        Entry(1014, STRING, "MIT"),
        Entry(1021, STRING, "linux"),
        Entry(1124, STRING, "cpio"),
        Entry(1125, STRING, "gzip"),
        # What rpm wants of a package before it takes it for one of format 4
        Entry(1047, STRINGS, [name]),
        Entry(1112, INT32, 8),
        Entry(1113, STRINGS, [f"{version}-{release}"]),
    ]
    entries += [] if epoch is None else [Entry(EPOCH, INT32, epoch)]
    entries += [Entry(1106, INT32, 1)] if source else [Entry(SOURCE_RPM, STRING, f"{name}-{version}-{release}.src.rpm")]
    return entries


def package(
    entries: Sequence[Entry] | None = None,
    *,
    sizes: Sequence[int] = (SIG_SIZE,),
    signatures: Sequence[Entry] = (),
    kind: int = 0,
) -> bytes:
    """A whole package; `sizes` says which tags of the signature header tell that of the rest."""
    main = header(good() if entries is None else entries, _IMMUTABLE)
    size = len(main) + len(PAYLOAD)
    told = [Entry(tag, INT64 if tag == SIG_LONG_SIZE else INT32, size) for tag in sizes]
    # rpm takes an empty header for none
    first = header([*told, *signatures] or [Entry(1008, BIN, bytes(8))], _SIGNATURES)
    lead = b"\xed\xab\xee\xdb\x03\x00" + struct.pack(">HH66sHH16x", kind, 1, b"hello-1.0-1", 1, 5)
    return lead + first + bytes(-len(first) % 8) + main + PAYLOAD


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Made(NamedTuple):
    """A package, and what it says of itself."""

    data: bytes
    name: str
    epoch: int | None
    version: str
    release: str
    arch: str


def made(chance: random.Random) -> Made:
    """Any good package, with entries of all types around those that count."""

    def word(characters: str, most: int) -> str:
        rest = "".join(chance.choice(characters) for _ in range(chance.randrange(most)))
        return chance.choice(_LETTERS + "0123456789") + rest

    name, version = word(_LETTERS + "0123456789._+-", 60), word("0123456789abc._+~^", 20)
    release = word("0123456789elfc._+~^", 12)
    arch = chance.choice(("x86_64", "noarch", "aarch64", "i686", "i386", "ppc64le", "s390x", "armv7hl", "riscv64"))
    epoch = chance.choice((None, None, 0, 1, 2, 10, 2**31 - 1, 2**32 - 1))
    entries = good(name, version, release, arch, epoch)
    # of the tags that rpm has no use for here; their types are rpm's
    for tag, kind, value in (
        (1006, INT32, chance.randrange(2**32)),
        (1007, STRING, "host"),
        (1009, INT32, chance.randrange(2**32)),
        (1011, STRING, "v" * chance.randrange(300)),
        (1015, STRING, "packager \u00e9"),
        (1016, I18N, ["Group"]),
        (1020, STRING, "https://example.org"),
        (1126, STRING, "9"),
        (5062, STRING, "utf-8"),
        (5097, STRINGS, ["0" * 64]),
        (PAYLOAD_SIZE, INT64, len(PAYLOAD)),
    ):
        if chance.random() < 0.5:
            entries.append(Entry(tag, kind, value))
    if chance.random() < 0.3:
        entries += [Entry(1080, INT32, [1]), Entry(1081, STRINGS, ["a"]), Entry(1082, STRINGS, ["c" * 2000])]
    sizes = chance.choice(((SIG_SIZE,), (SIG_LONG_SIZE,), ()))
    reserved = [Entry(1008, BIN, bytes(chance.randrange(1, 500)))] if chance.random() < 0.7 else []
    return Made(package(entries, sizes=sizes, signatures=reserved), name, epoch, version, release, arch)


def mutated(good: bytes, chance: random.Random) -> bytes:
    """A package with some bytes, most of them in its headers, changed, removed or added."""
    data = bytearray(good)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        at = chance.randrange(96, len(data)) if chance.random() < 0.9 else chance.randrange(len(data))
        match chance.randrange(6):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                data[at] ^= 1 << chance.randrange(8)
            case 2:
                data[at] = chance.choice((0, 1, 6, 127, 128, 255))
            case 3 if len(data) > 500:
                del data[at : at + chance.randrange(1, 40)]
            case 4:
                data[at:at] = chance.randbytes(chance.randrange(1, 40))
            case _:
                data[at : at + 4] = struct.pack(">I", chance.choice((0, 1, 2**31, 2**32 - 1, len(data), 0x0FFFFFFF)))
    return bytes(data)
