"""What an .msi file says of itself. data/case.msi was made by wixl of msitools 0.101 from data/case.wxs."""

import io
import random
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from postroj.errors import UsageError
from postroj.package import cfb, formats, msi

CASE = Path(__file__).parent / "data" / "case.msi"
FACTS = msi.Msi("Case Sérvice", "1.2.3", "x64", "{F6D1EB4B-35FE-49B5-A7D7-4203E59A3099}", ("CaseService", "CaseHelper"))


def test_the_facts_of_a_package() -> None:
    assert msi.read(str(CASE)) == FACTS


@pytest.mark.skipif(not shutil.which("msiinfo"), reason="needs msiinfo")
def test_msitools_reads_the_same() -> None:
    def told(*arguments: str) -> str:
        command = ["msiinfo", arguments[0], str(CASE), *arguments[1:]]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    properties = dict(line.split("\t") for line in told("export", "Property").splitlines()[3:])
    assert [properties[f"Product{key}"] for key in ("Name", "Version", "Code")] == [*FACTS[:2], FACTS.product]
    services = [line.split("\t")[1] for line in told("export", "ServiceInstall").splitlines()[3:]]
    assert tuple(services) == FACTS.services
    assert "Template: x64;1033" in told("suminfo")
    streams = cfb.CompoundFile(io.BytesIO(CASE.read_bytes())).streams
    tables = {name.removeprefix("!") for name in map(msi._decoded, streams) if name.startswith("!")}
    own = {"_Tables", "_Columns", "_StringPool", "_StringData"}
    assert own < tables and "ServiceInstall" in tables and tables - own <= set(told("tables").split())


def test_it_is_known_by_its_bytes(tmp_path: Path) -> None:
    one = formats.of_file(str(CASE), "./whatever")
    assert one.name == "msi"
    assert one.read(str(CASE)) == ("Case Sérvice", "1.2.3", "x64", ("CaseService", "CaseHelper"))
    (tmp_path / "x.doc").write_bytes(CASE.read_bytes()[:512])
    with pytest.raises(UsageError, match=r"x.doc is not a package of Windows Installer$") as damaged:
        formats.of_file(str(tmp_path / "x.doc"), "x.doc").read(str(tmp_path / "x.doc"))
    assert damaged.value.why


def test_its_versions_and_architectures() -> None:
    assert msi.is_newer("1.10.0", "1.9.9") and not msi.is_newer("1.2.3.9", "1.2.3.1"), (
        "the fourth number does not count"
    )
    assert msi.architecture_word("amd64") == "x64" and msi.runs_on("x86", "x64") and not msi.runs_on("arm64", "x64")
    assert msi.architecture_fault("x64") == "" and "not an architecture" in msi.architecture_fault("mips")


def _read(tmp_path: Path, data: bytes) -> msi.Msi:
    (tmp_path / "x.msi").write_bytes(data)
    return msi.read(str(tmp_path / "x.msi"))


@pytest.mark.parametrize(
    "data", [b"", b"MZ", cfb.MAGIC, cfb.MAGIC + bytes(504), cfb.MAGIC + bytes(100_000), b"x" * 10_000]
)
def test_what_is_no_package(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UsageError, match=r"x\.msi is not a package of Windows Installer"):
        _read(tmp_path, data)


def test_a_package_that_is_cut_off(tmp_path: Path) -> None:
    whole = CASE.read_bytes()
    for size in range(0, len(whole) - 512, 97):
        with pytest.raises(UsageError, match="is not a package of Windows Installer"):
            _read(tmp_path, whole[:size])


def test_a_damaged_package_is_read_or_refused(tmp_path: Path) -> None:
    pick, whole = random.Random(12), CASE.read_bytes()
    refused = 0
    for _ in range(1500):
        data = bytearray(whole)
        for _ in range(pick.choice((1, 1, 4, 40))):
            data[pick.randrange(len(data))] = pick.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, pick.randrange(256)))
        try:
            found = _read(tmp_path, bytes(data))
            assert all(len(text) <= 1024 for text in (*found[:4], *found.services))
        except UsageError:
            refused += 1
    assert 100 < refused < 1400


def _with(place: int, form: str, *values: int) -> bytes:
    data = bytearray(CASE.read_bytes())
    struct.pack_into(form, data, place, *values)
    return bytes(data)


def test_chains_without_end_and_sizes_without_measure_are_refused(tmp_path: Path) -> None:
    """Each sector of the allocation table is the same, and says that each sector is followed by itself."""
    whole = CASE.read_bytes()
    endless = bytearray(whole) + struct.pack("<128I", *range(128))
    own = (len(whole) - 512) // 512
    struct.pack_into("<I", endless, 44, 16 * 1024 * 1024 // 512)
    struct.pack_into("<110I", endless, 72, 0, *[own] * 109)
    struct.pack_into("<I", endless, 68, own)
    for data in (bytes(endless), _with(44, "<I", 0xFFFFFFFF), _with(48, "<I", 0x00FFFFFF), _with(48, "<I", 0xFFFFFFFE)):
        with pytest.raises(UsageError, match="is not a package of Windows Installer"):
            _read(tmp_path, data)


def test_streams_of_storages_inside_are_not_the_package_s() -> None:
    """A package in a package has the same names: only what hangs on the root counts."""
    data = bytearray(CASE.read_bytes())
    (directory,) = struct.unpack_from("<I", data, 48)
    struct.pack_into("<I", data, (directory + 1) * 512 + 76, 0xFFFFFFFF)  # the root has no children any more
    assert cfb.CompoundFile(io.BytesIO(data)).streams == {}


@pytest.mark.parametrize("wide", [0, 1])
def test_texts_have_numbers_of_two_or_three_bytes(wide: int) -> None:
    """The bit is that of the code page's number; what follows in the tables is read in that width."""
    data = CASE.read_bytes()
    file = cfb.CompoundFile(io.BytesIO(data))
    database = msi._Database(file)
    assert database._width == 2 and database._texts[0] == ""
    pool = file.stream(next(name for name in file.streams if msi._decoded(name) == "!_StringPool"), 1 << 20)
    at = data.index(pool[:64])
    changed = cfb.CompoundFile(io.BytesIO(_with(at, "<I", struct.unpack("<I", pool[:4])[0] | wide << 31)))
    assert msi._Database(changed)._width == 2 + wide
