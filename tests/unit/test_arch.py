"""What a package of Arch Linux says of itself: read rightly, and never trusted."""

import random
import struct
import sys
import tarfile
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from postroj.errors import UsageError
from postroj.package import arch
from postroj.package.facts import Facts

from .archfile import INFO, package, tar
from .debfile import COMPRESS

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUFFIXES = list(COMPRESS)
_MOST = 16 * 1024**2
"""The memory that may be taken, in bytes; xz's decoder takes 8 MiB for what is compressed without an option."""


def read(tmp_path: Path, data: bytes) -> Facts:
    path = tmp_path / "hello.pkg.tar.zst"
    path.write_bytes(data)
    return arch.read(str(path))


def refused(tmp_path: Path, data: bytes) -> str:
    with pytest.raises(UsageError, match=r"hello\.pkg\.tar\.zst is not an Arch Linux package$") as caught:
        read(tmp_path, data)
    assert caught.value.why.isprintable() and len(caught.value.why) < 200
    return caught.value.why


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_a_good_package_is_read(tmp_path: Path, suffix: str, form: int) -> None:
    assert read(tmp_path, package(suffix=suffix, form=form)) == Facts("hello", "1:1.0-1", "x86_64")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_its_description_comes_last(tmp_path: Path, suffix: str) -> None:
    """As nfpm writes it."""
    files = [(f"usr/{number}", random.Random(number).randbytes(700_000)) for number in range(3)]
    assert read(tmp_path, COMPRESS[suffix](tar(*files, (".PKGINFO", INFO)))).name == "hello"


def test_spaces_around_what_counts(tmp_path: Path) -> None:
    info = "pkgname=hello\n pkgver  =  1-1 \narch =any\n#pkgname = other\nno value\n"
    assert read(tmp_path, package(info)) == Facts("hello", "1-1", "any")


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_streams_one_after_the_other(tmp_path: Path, suffix: str) -> None:
    archive = tar(("usr/hello", random.Random(1).randbytes(300_000)), (".PKGINFO", INFO))
    parts = [COMPRESS[suffix](archive[at : at + 100_000]) for at in range(0, len(archive), 100_000)]
    assert read(tmp_path, b"".join(parts)).name == "hello"


@pytest.mark.parametrize("suffix", [".xz", ".zst"])
def test_cut_off_anywhere(tmp_path: Path, suffix: str) -> None:
    """Behind the description as well."""
    data = COMPRESS[suffix](tar((".PKGINFO", INFO), ("usr/hello", random.Random(1).randbytes(400_000))))
    assert read(tmp_path, data).name == "hello"
    for length in [*range(0, 700, 7), *range(700, len(data), 9973), *range(len(data) - 9, len(data))]:
        refused(tmp_path, data[:length])


@pytest.mark.parametrize("level", [1, 3, 19])
def test_whole_ones_are_taken_for_whole(tmp_path: Path, level: int) -> None:
    mixed = bytes(500_000) + random.Random(1).randbytes(500_000) + b"text " * 100_000
    archive = tar((".PKGINFO", INFO), ("usr/hello", mixed))
    for checksum in (0, 1):
        options: dict[int, int] = {
            zstd.CompressionParameter.compression_level: level,
            zstd.CompressionParameter.checksum_flag: checksum,
        }
        data = zstd.compress(archive, options=options)
        assert read(tmp_path, data).name == "hello"
        for less in range(1, 6):
            assert refused(tmp_path, data[:-less]) == "it is cut off"


def test_what_pzstd_puts_between_frames(tmp_path: Path) -> None:
    archive = tar((".PKGINFO", INFO), ("usr/hello", b"hello"))
    skippable = b"\x50\x2a\x4d\x18" + struct.pack("<I", 5) + b"12345"
    data = zstd.compress(archive) + skippable + zstd.compress(b"more")
    assert read(tmp_path, data).name == "hello"
    assert refused(tmp_path, data[:-1]) == "it is cut off"


def test_gzip_that_is_cut_off_before_the_description(tmp_path: Path) -> None:
    data = package(suffix=".gz")
    assert {refused(tmp_path, data[:length]) for length in range(20, 100, 5)} == {"it is cut off"}


@pytest.mark.parametrize("content", [b"", b"\0" * 1024, b"\xff" * 1024, random.Random(1).randbytes(4096)])
@pytest.mark.parametrize("start", [b"", b"\x1f\x8b", b"\x1f\x8b\x08\0", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"])
def test_garbage(tmp_path: Path, start: bytes, content: bytes) -> None:
    refused(tmp_path, start + content)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_description(tmp_path: Path, suffix: str) -> None:
    for name in ("./.PKGINFO", "usr/.PKGINFO", "PKGINFO"):
        assert refused(tmp_path, COMPRESS[suffix](tar((name, INFO)))) == "it has no .PKGINFO"


@pytest.mark.parametrize("key", ["pkgname", "pkgver", "arch"])
@pytest.mark.parametrize(
    "value",
    [
        None, "", "a/b-1", "a b-1", "../x-1", "x\x1b[2J-1", "$(id)-1", "x" * 1000, "x" * 100_000 + "-1",
        "h\u00e9-1", "a:b-1",
    ],
)  # fmt: skip
def test_a_field_that_is_none(tmp_path: Path, key: str, value: str | None) -> None:
    lines = [line for line in INFO.splitlines() if not line.startswith(f"{key} =")]
    lines += [] if value is None else [f"{key} = {value}"]
    assert key in refused(tmp_path, package("\n".join(lines)))


@pytest.mark.parametrize("version", ["1.0", "1:1.0", ":1-1", "a:1-1", "1-", "-1", "1:-1"])
def test_a_version_without_its_parts(tmp_path: Path, version: str) -> None:
    assert "pkgver" in refused(tmp_path, package(INFO.replace("1:1.0-1", version)))


def test_a_field_that_is_there_twice(tmp_path: Path) -> None:
    assert refused(tmp_path, package(INFO + "pkgname = other\n")) == "its .PKGINFO has pkgname twice"


def test_a_description_that_is_too_large(tmp_path: Path) -> None:
    assert "has 2000" in refused(tmp_path, package(INFO + "x" * (2000000 - len(INFO))))


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_a_bomb_is_unpacked_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.setattr(arch, "_MAX_ARCHIVE", 16 * 1024**2)
    bomb = COMPRESS[suffix](tar(("zeros", bytes(40 * 1024**2)), (".PKGINFO", INFO)))
    tracemalloc.start()
    try:
        assert refused(tmp_path, bomb) == "it has no .PKGINFO"
        assert tracemalloc.get_traced_memory()[1] < _MOST
    finally:
        tracemalloc.stop()


def test_zstd_that_asks_for_two_gigabytes(tmp_path: Path) -> None:
    # A frame without its size, with a window of 2 ** 31, and one block that is stored as it is.
    archive = tar((".PKGINFO", INFO))
    frame = b"\x28\xb5\x2f\xfd\0" + bytes([(31 - 10) << 3]) + (len(archive) << 3 | 1).to_bytes(3, "little") + archive
    assert "damaged" in refused(tmp_path, frame)
    assert read(tmp_path, frame[:5] + bytes([(27 - 10) << 3]) + frame[6:]).name == "hello"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("seed", range(4))
def test_mutations_end_in_fields_or_in_a_usage_error(tmp_path: Path, suffix: str, seed: int) -> None:
    chance = random.Random(f"{suffix} {seed}")
    good = package(suffix=suffix)
    tracemalloc.start()
    try:
        for _ in range(60):
            data = bytearray(good)
            for _ in range(chance.choice((1, 1, 2, 8, 64))):
                at = chance.randrange(len(data))
                match chance.randrange(4):
                    case 0:
                        data[at] = chance.randrange(256)
                    case 1:
                        data[at] ^= 1 << chance.randrange(8)
                    case 2:
                        del data[at : at + chance.randrange(1, 40)]
                    case _:
                        data[at:at] = chance.randbytes(chance.randrange(1, 40))
            with suppress(UsageError):
                info = read(tmp_path, bytes(data))
                assert info.name and info.version and info.architecture
        assert tracemalloc.get_traced_memory()[1] < _MOST
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        ("x86_64", ""), ("any", ""), ("aarch64", ""), ("armv7h", ""),
        ("amd64", "is for amd64, which Arch Linux calls x86_64"),
        ("all", "is for all, which Arch Linux calls any"),
        ("noarch", "is for noarch, which Arch Linux calls any"),
        ("i386", "is for i386, which Arch Linux calls i686"),
    ],
)  # fmt: skip
def test_words_of_other_formats_for_an_architecture(word: str, fault: str) -> None:
    assert arch.architecture_fault(word) == fault
