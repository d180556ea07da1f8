"""What an .rpm says of itself: read rightly, and never trusted. The real rpm is asked in tests/integration."""

import random
import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from postroj.errors import UsageError
from postroj.package import rpm
from postroj.package.rpm import Header, read_header

from . import rpmfile
from .rpmfile import Entry, good, made, package

GOOD = package()
_LEAD = 96


def read(tmp_path: Path, data: bytes) -> Header:
    path = tmp_path / "hello.rpm"
    path.write_bytes(data)
    return read_header(str(path))


def refused(tmp_path: Path, data: bytes) -> str:
    with pytest.raises(UsageError, match=r"hello\.rpm is not an RPM package$") as caught:
        read(tmp_path, data)
    assert caught.value.why.isprintable() and len(caught.value.why) < 200
    return caught.value.why


def replaced(tag: int, *instead: Entry) -> bytes:
    return package([entry for entry in good() if entry.tag != tag] + list(instead))


def test_a_good_package_is_read(tmp_path: Path) -> None:
    header = read(tmp_path, GOOD)
    assert header == Header("hello", 0, "1.0", "1", "x86_64")
    assert header.full_version == "1.0-1"


@pytest.mark.parametrize(("epoch", "full"), [(0, "1.0-1"), (1, "1:1.0-1"), (2**32 - 1, "4294967295:1.0-1")])
def test_an_epoch(tmp_path: Path, epoch: int, full: str) -> None:
    assert read(tmp_path, package(good(epoch=epoch))).full_version == full


def test_generated_packages(tmp_path: Path) -> None:
    for seed in range(250):
        one = made(random.Random(seed))
        assert read(tmp_path, one.data) == Header(one.name, one.epoch or 0, one.version, one.release, one.arch), seed


@pytest.mark.parametrize("kind", [0, 1])
def test_a_source_package_is_refused(tmp_path: Path, kind: int) -> None:
    with pytest.raises(UsageError, match=r"hello\.rpm is a source package") as caught:
        read(tmp_path, package(good(source=True), kind=kind))
    assert caught.value.hint


@pytest.mark.parametrize("sizes", [(rpmfile.SIG_SIZE,), (rpmfile.SIG_LONG_SIZE,)])
@pytest.mark.parametrize("missing", [1, 2, 20, len(rpmfile.PAYLOAD) - 1, len(rpmfile.PAYLOAD)])
def test_a_payload_that_is_cut_off(tmp_path: Path, sizes: tuple[int, ...], missing: int) -> None:
    assert refused(tmp_path, package(sizes=sizes)[:-missing]).startswith("it is cut off")


def test_a_payload_that_is_cut_off_in_format_6(tmp_path: Path) -> None:
    size = Entry(rpmfile.PAYLOAD_SIZE, rpmfile.INT64, len(rpmfile.PAYLOAD))
    data = package([*good(), size], sizes=())
    assert read(tmp_path, data).name == "hello"
    assert refused(tmp_path, data[:-1]) == f"it is cut off: it should have {len(data)} bytes, and has {len(data) - 1}"


def test_no_payload_at_all(tmp_path: Path) -> None:
    assert "cut off" in refused(tmp_path, package(sizes=())[: -len(rpmfile.PAYLOAD)])


def test_cut_off_anywhere(tmp_path: Path) -> None:
    for length in range(len(GOOD)):
        refused(tmp_path, GOOD[:length])


@pytest.mark.parametrize("start", [b"", b"\xed\xab\xee", b"drpm", b"!<arch>\n", b"\0" * 200])
def test_wrong_magic(tmp_path: Path, start: bytes) -> None:
    assert refused(tmp_path, start) == "it does not begin as one"


@pytest.mark.parametrize("at", [_LEAD, GOOD.rindex(b"\x8e\xad\xe8\x01")], ids=["signatures", "header"])
@pytest.mark.parametrize(
    ("entries", "size"),
    [
        (0, 0),
        (0, 100),
        (0x1_0000, 16),
        (2**31, 2**31),
        (2**32 - 1, 2**32 - 1),
        (1, 2**31),
        (1, 0x1000_0000),
        (0xFFFF, 0),
    ],
)
def test_a_header_that_claims_too_much(tmp_path: Path, at: int, entries: int, size: int) -> None:
    data = bytearray(GOOD)
    data[at + 8 : at + 16] = struct.pack(">2I", entries, size)
    refused(tmp_path, bytes(data))


def test_a_header_of_two_gigabytes_that_are_there(tmp_path: Path) -> None:
    at = GOOD.rindex(b"\x8e\xad\xe8\x01")
    for size, told in ((2**31, "would have"), (0x0FFF_FFFF, "no Name")):
        path = tmp_path / "huge.rpm"
        head = GOOD[: at + 8] + struct.pack(">2I", 1, size) + struct.pack(">4I", 63, 7, 0, 16)
        path.write_bytes(head)
        with path.open("r+b") as file:
            file.truncate(3 * 1024**3)  # sparse: costs no disk
        tracemalloc.start()
        try:
            with pytest.raises(UsageError) as caught:
                read_header(str(path))
            assert tracemalloc.get_traced_memory()[1] < 4 * 1024**2
        finally:
            tracemalloc.stop()
        assert told in caught.value.why


@pytest.mark.parametrize("tag", [rpmfile.NAME, rpmfile.VERSION, rpmfile.RELEASE, rpmfile.ARCH])
@pytest.mark.parametrize(
    "instead",
    [
        (), (rpmfile.STRINGS, ["hello"]), (rpmfile.I18N, ["hello"]), (rpmfile.INT32, 7), (rpmfile.BIN, b"hello\0"),
        (rpmfile.NULL, b""), (99, b"hello\0"),
        (rpmfile.STRING, ""), (rpmfile.STRING, "a/b"), (rpmfile.STRING, "a b"), (rpmfile.STRING, "a\nb"),
        (rpmfile.STRING, "\x1b[2J"), (rpmfile.STRING, "hello\n"), (rpmfile.STRING, "a;b"), (rpmfile.STRING, "$(id)"),
        (rpmfile.STRING, "x" * 300), (rpmfile.STRING, "x" * 100_000), (rpmfile.STRING, "h\u00e9llo"),
        (rpmfile.STRING, "a*"), (rpmfile.STRING, "a:b"),
    ],
)  # fmt: skip
def test_a_field_that_is_none(tmp_path: Path, tag: int, instead: tuple[int, bytes] | tuple[()]) -> None:
    why = refused(tmp_path, replaced(tag, *([Entry(tag, *instead)] if instead else [])))
    assert rpm._FIELD[tag][0] in why


@pytest.mark.parametrize("name", ["-hello", "--root=x", ".hello", "+x"])
def test_a_name_that_could_be_an_option(tmp_path: Path, name: str) -> None:
    assert "an invalid Name" in refused(tmp_path, package(good(name)))


def _patched(tag: int, *, kind: int = 6, offset: int = 0, count: int = 1) -> bytes:
    """The good package with another entry for a tag."""
    data = bytearray(GOOD)
    at = data.index(struct.pack(">I", tag) + struct.pack(">I", 6), GOOD.rindex(b"\x8e\xad\xe8\x01"))
    data[at : at + 16] = struct.pack(">4I", tag, kind, offset, count)
    return bytes(data)


@pytest.mark.parametrize("offset", [2**32 - 1, 2**31, 100_000, 600])
def test_offsets_outside_the_store(tmp_path: Path, offset: int) -> None:
    assert "Name" in refused(tmp_path, _patched(rpmfile.NAME, offset=offset))


@pytest.mark.parametrize("count", [0, 2, 2**32 - 1])
def test_counts_that_are_not_one(tmp_path: Path, count: int) -> None:
    assert "Version" in refused(tmp_path, _patched(rpmfile.VERSION, count=count))


def test_a_text_without_an_end(tmp_path: Path) -> None:
    at = GOOD.rindex(b"\x8e\xad\xe8\x01")
    count, size = struct.unpack(">2I", GOOD[at + 8 : at + 16])
    data = bytearray(_patched(rpmfile.NAME, offset=size - 1))
    end = at + 16 + count * 16 + size
    data[end - 1 : end + 2] = b"xy\0"
    assert "Name" in refused(tmp_path, bytes(data))


@pytest.mark.parametrize(
    "instead",
    [
        (rpmfile.STRING, "1"),
        (rpmfile.INT16, 1),
        (rpmfile.INT32, [1, 2]),
        (rpmfile.BIN, b"\0\0\0\1"),
        (rpmfile.INT32, []),
    ],
)
def test_an_epoch_that_is_none(tmp_path: Path, instead: tuple[int, bytes]) -> None:
    assert "damaged" in refused(tmp_path, replaced(rpmfile.EPOCH, Entry(rpmfile.EPOCH, *instead)))


def test_a_field_that_is_there_twice(tmp_path: Path) -> None:
    data = package([*good(), Entry(rpmfile.NAME, rpmfile.STRING, "other")])
    assert "twice" in refused(tmp_path, data)


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        ("x86_64", ""), ("noarch", ""), ("i686", ""), ("i386", ""), ("aarch64", ""), ("x86_64_v2", ""),
        ("amd64", "is for amd64, which RPM calls x86_64"),
        ("all", "is for all, which RPM calls noarch"),
        ("any", "is for any, which RPM calls noarch"),
        ("arm64", "is for arm64, which RPM calls aarch64"),
        ("X86_64", "is for X86_64, which RPM calls x86_64"),
    ],
)  # fmt: skip
def test_words_of_other_formats_for_an_architecture(word: str, fault: str) -> None:
    assert rpm.architecture_fault(word) == fault


@pytest.mark.parametrize(
    ("word", "machine", "runs"),
    [
        ("i686", "x86_64", True), ("i386", "x86_64", True), ("x86_64_v2", "x86_64", True), ("i586", "i686", True),
        ("i686", "i586", False), ("x86_64", "i686", False), ("aarch64", "x86_64", False), ("i686", "aarch64", False),
        ("x86_64_v", "x86_64", False), ("x86_64_v2", "aarch64", False),
    ],
)  # fmt: skip
def test_where_it_runs(word: str, machine: str, runs: bool) -> None:
    assert rpm.runs_on(word, machine) == runs


@pytest.mark.parametrize("seed", range(20))
def test_mutations_end_in_fields_or_in_a_usage_error(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(150):
        data = rpmfile.mutated(made(chance).data, chance)
        try:
            header = read(tmp_path, data)
        except UsageError as error:
            assert "hello.rpm is " in error.what and error.why.isprintable()
        else:
            assert header.name and header.version and header.release and header.architecture


def test_mutations_take_no_memory_to_speak_of(tmp_path: Path) -> None:
    chance = random.Random(99)
    packages = [rpmfile.mutated(GOOD, chance) for _ in range(100)]
    tracemalloc.start()
    try:
        for data in packages:
            with suppress(UsageError):
                read(tmp_path, data)
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024**2
    finally:
        tracemalloc.stop()
