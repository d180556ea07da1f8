"""What a .deb says of itself: read rightly, and never trusted."""

import gzip
import lzma
import random
import struct
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import pytest

from postroj.errors import UsageError
from postroj.package import deb
from postroj.package.deb import read_control

from .debfile import COMPRESS, CONTROL, archive, member, tar
from .debfile import deb as package

GOOD = package()
CUTS = sorted({*range(0, 200, 3), *range(200, len(GOOD), 17), *range(len(GOOD) - 30, len(GOOD))})


def read(tmp_path: Path, data: bytes) -> dict[str, str]:
    path = tmp_path / "hello.deb"
    path.write_bytes(data)
    return read_control(str(path))


@pytest.mark.parametrize("name", ["control.tar.gz", "control.tar.xz", "control.tar.zst", "control.tar"])
def test_a_good_package_is_read(tmp_path: Path, name: str) -> None:
    fields = read(tmp_path, package(name=name))
    assert (fields["Package"], fields["Version"], fields["Architecture"]) == ("hello", "1.0-1", "amd64")
    assert fields["Description"] == "says hello"


@pytest.mark.parametrize("path", ["./control", "control"])
def test_both_names_of_the_control_file(tmp_path: Path, path: str) -> None:
    assert read(tmp_path, package(gzip.compress(tar(name=path))))["Package"] == "hello"


def test_members_with_a_slash_and_odd_sizes(tmp_path: Path) -> None:
    odd = tar() + b"\0"
    data = archive(member("debian-binary/", b"2.0\n"), member("control.tar/", odd), member("data.tar/", b"x"))
    assert read(tmp_path, data)["Package"] == "hello"


def test_values_lose_the_space_around_them(tmp_path: Path) -> None:
    fields = read(tmp_path, package(fields="Package:\thello \t\nVersion:1\nArchitecture:  all\nEmpty:\n"))
    assert fields == {"Package": "hello", "Version": "1", "Architecture": "all", "Empty": ""}


@pytest.mark.parametrize("length", CUTS)
def test_cut_off_anywhere(tmp_path: Path, length: int) -> None:
    with pytest.raises(UsageError, match="not a Debian package"):
        read(tmp_path, GOOD[:length])


@pytest.mark.parametrize(
    "start", [b"", b"!<arch>", b"!<thin>\n", b"\x7fELF\x02\x01\x01\0", b"PK\x03\x04abcdef", b"\0" * 99]
)
def test_wrong_magic(tmp_path: Path, start: bytes) -> None:
    with pytest.raises(UsageError, match="not a Debian package"):
        read(tmp_path, start + GOOD[8:] if len(start) >= 8 else start)


@pytest.mark.parametrize(
    "size", ["-1", "-60", "9999999999", "", "abc", "0x10", "1e3", "1 2", "\0\0", "١٢"[:1], "+4", "1_0"]
)
def test_a_size_that_is_none(tmp_path: Path, size: str) -> None:
    header = member("control.tar.gz", b"", size="?").replace(b"?         ", size.encode()[:10].ljust(10))
    data = archive(member("debian-binary", b"2.0\n"), header, member("data.tar.gz", b""))
    with pytest.raises(UsageError):
        read(tmp_path, data)


@pytest.mark.parametrize("end", [b"\n`", b"  ", b"\0\0"])
def test_a_header_without_its_end(tmp_path: Path, end: bytes) -> None:
    with pytest.raises(UsageError):
        read(tmp_path, archive(member("control.tar", tar(), end=end), member("data.tar", b"")))


@pytest.mark.parametrize("missing", ["control.tar.gz", "data.tar.gz", "debian-binary"])
def test_a_missing_member(tmp_path: Path, missing: str) -> None:
    members = {"debian-binary": b"2.0\n", "control.tar.gz": gzip.compress(tar()), "data.tar.gz": b"xx"}
    del members[missing]
    with pytest.raises(UsageError) as caught:
        read(tmp_path, archive(*(member(name, data) for name, data in members.items())))
    assert missing.removesuffix(".gz") in caught.value.why


def test_too_many_members(tmp_path: Path) -> None:
    many = [member(f"_{number}", b"") for number in range(1000)]
    with pytest.raises(UsageError, match="not a Debian package"):
        read(tmp_path, archive(*many, member("control.tar", tar()), member("data.tar", b"")))


def test_a_huge_control_member_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.deb"
    size = 8 * 1024**3  # sparse: costs no disk
    path.write_bytes(archive(member("debian-binary", b"2.0\n"), member("control.tar", b"", size=str(size))))
    with path.open("r+b") as file:
        file.truncate(size + 1000)
    with pytest.raises(UsageError) as caught:
        read_control(str(path))
    assert "too large" in caught.value.why


@pytest.mark.parametrize("name", ["control.tar.gz", "control.tar.xz", "control.tar.zst"])
def test_a_bomb_is_unpacked_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(deb, "_MAX_CONTROL", 1024 * 1024)
    zeros = b"\0" * (8 * 1024 * 1024)
    bomb = COMPRESS[name.removeprefix("control.tar")](zeros)
    assert len(deb._decompress(name, bomb)) == 1024 * 1024
    with pytest.raises(UsageError):
        read(tmp_path, package(bomb, name=name))


def test_the_control_file_in_front_of_a_bomb_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deb, "_MAX_CONTROL", 1024 * 1024)
    bomb = gzip.compress(tar() + b"\0" * (4 * 1024 * 1024), 1)
    assert read(tmp_path, package(bomb))["Package"] == "hello"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_control_is_no_file(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, package(gzip.compress(tar(kind=kind))))
    assert "no control file" in caught.value.why


@pytest.mark.parametrize("name", ["./kontrol", "./DEBIAN/control", "../control", "/control"])
def test_no_control_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, package(gzip.compress(tar(name=name))))
    assert "no control file" in caught.value.why


@pytest.mark.parametrize("field", ["Package", "Version", "Architecture"])
@pytest.mark.parametrize("instead", ["", "{}:", "{}:   ", " {}: folded", "X-{}: other"])
def test_a_missing_field(tmp_path: Path, field: str, instead: str) -> None:
    lines = [instead.format(field) if line.startswith(f"{field}:") else line for line in CONTROL.splitlines()]
    with pytest.raises(UsageError) as caught:
        read(
            tmp_path, package(fields="\n".join(line for line in lines if line).replace(" Package: not-this", "") + "\n")
        )
    assert field in caught.value.why


@pytest.mark.parametrize(
    "name",
    [
        "control.tar.gz",
        "control.tar.xz",
        "control.tar.zst",
        "control.tar",
        "control.tar.lzma",
        "control.tar.",
        "control.target",
    ],
)
@pytest.mark.parametrize("content", [b"", b"\0" * 1024, b"\xff" * 1024, random.Random(1).randbytes(4096)])
def test_garbage_for_a_control_archive(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(UsageError):
        read(tmp_path, package(content, name=name))


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 5000, random.Random(2).randbytes(5000), b"Package hello\n", b"\n" * 5000]
)
def test_garbage_for_a_control_file(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError):
        read(tmp_path, package(gzip.compress(tar(content))))


def test_a_control_file_that_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read(tmp_path, package(gzip.compress(tar(CONTROL + "X: " + "x" * 2 * 1024 * 1024 + "\n"))))


@pytest.mark.parametrize("inside", [" ", "\t", " \t"])
def test_a_value_of_many_spaces_takes_no_time_to_speak_of(tmp_path: Path, inside: str) -> None:
    value = "a" + inside * (900_000 // len(inside)) + "b"
    assert read(tmp_path, package(fields=f"{CONTROL}X: {value}\n"))["X"] == value


def _header(kind: bytes, size: bytes, name: bytes = b"x") -> bytes:
    """A tar header with any size field, and the right checksum."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    block[257:265] = b"ustar  \0"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


_MINUS = {
    "-512": b"\xff" * 10 + b"\xfe\x00",
    "-1024": b"\xff" * 10 + b"\xfc\x00",
    "-1": b"\xff" * 12,
    "-512 in digits": b"-0000001000\0",
    "-1024 in digits": b" -2000 \0",
}


@pytest.mark.parametrize("size", _MINUS.values(), ids=_MINUS)
@pytest.mark.parametrize("kind", [b"0", b"x", b"g", b"L", b"K", b"S", b"Z"])
def test_a_negative_size_in_the_tar_archive_ends(tmp_path: Path, kind: bytes, size: bytes) -> None:
    before = _header(b"0", b"00000000000\0")
    try:
        fields = read(tmp_path, package(gzip.compress(before + _header(kind, size) + tar())))
    except UsageError:
        return
    assert fields["Package"] == "hello"


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_headers_upon_headers(tmp_path: Path, kind: bytes) -> None:
    record = {b"x": b"9 path=a\n", b"g": b"9 path=a\n"}.get(kind, b"longname\0")
    nested = (_header(kind, b"%011o\0" % len(record)) + record.ljust(512, b"\0")) * 5000
    with pytest.raises(UsageError):
        read(tmp_path, package(gzip.compress(nested + tar(name="other"))))


@pytest.mark.parametrize(
    "record",
    [
        b"GNU.sparse.major=1\n", b"GNU.sparse.map=a,b\n", b"GNU.sparse.size=x\n", b"size=-1\n", b"size=zz\n",
        b"size=1e999\n",
        b"mtime=nan\n", b"uid=inf\n", b"hdrcharset=BINARY\n", b"path=\xff\xfe\n", b"=\n",
        b"size=99999999999999999999999\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [b"x", b"g"])
def test_strange_extended_headers(tmp_path: Path, record: bytes, kind: bytes) -> None:
    length = len(record) + 3
    text = b"%d %s" % (length, record)
    extended = _header(kind, b"%011o\0" % len(text)) + text.ljust(512, b"\0")
    try:
        fields = read(tmp_path, package(gzip.compress(extended + tar())))
    except UsageError:
        return
    assert fields["Package"] == "hello"


_LITTLE_MEMORY = """
import resource, sys
from postroj.errors import UsageError
from postroj.package.deb import read_control
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
try:
    read_control(sys.argv[1])
except UsageError:
    pass
"""


def test_xz_that_asks_for_four_gigabytes(tmp_path: Path) -> None:
    stream = bytearray(lzma.compress(tar()))
    header = 12  # of the stream; the block's comes next: size, flags, filter, its size, the dictionary's size
    size = (stream[header] + 1) * 4
    assert stream[header + 2 : header + 4] == b"\x21\x01"
    stream[header + 4] = 40
    stream[header + size - 4 : header + size] = struct.pack("<I", zlib.crc32(stream[header : header + size - 4]))
    path = tmp_path / "hello.deb"
    path.write_bytes(package(bytes(stream), name="control.tar.xz"))
    done = subprocess.run([sys.executable, "-c", _LITTLE_MEMORY, path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["control.tar.gz", "control.tar.xz", "control.tar.zst", "control.tar"])
@pytest.mark.parametrize("seed", range(8))
def test_mutations_end_in_fields_or_in_a_usage_error(tmp_path: Path, name: str, seed: int) -> None:
    chance = random.Random(f"{name} {seed}")
    good = package(name=name)
    for _ in range(60):
        data = bytearray(good)
        for _ in range(chance.choice((1, 1, 2, 8, 64))):
            at = chance.randrange(len(data))
            kind = chance.randrange(4)
            if kind == 0:
                data[at] = chance.randrange(256)
            elif kind == 1:
                data[at] ^= 1 << chance.randrange(8)
            elif kind == 2:
                del data[at : at + chance.randrange(1, 40)]
            else:
                data[at:at] = chance.randbytes(chance.randrange(1, 40))
        try:
            fields = read(tmp_path, bytes(data))
        except UsageError as error:
            assert "not a Debian package" in error.what
        else:
            assert fields["Package"] and fields["Version"] and fields["Architecture"]


@pytest.mark.parametrize("seed", range(4))
def test_mutations_of_the_tar_archive(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    good = tar()
    for _ in range(150):
        data = bytearray(good)
        for _ in range(chance.choice((1, 2, 8))):
            data[chance.randrange(2048)] = chance.choice((0, 32, 48, 55, 120, 128, 255, chance.randrange(256)))
        for header in range(0, 2048, 512):  # a right checksum, or nothing behind it would ever be looked at
            data[header + 148 : header + 156] = b" " * 8
            data[header + 148 : header + 156] = b"%06o\0 " % sum(data[header : header + 512])
        try:
            fields = read(tmp_path, package(bytes(data), name="control.tar"))
        except UsageError:
            continue
        assert fields["Package"]
