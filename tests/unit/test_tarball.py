"""Tarballs of a root file system: what is refused before anything of it is unpacked, and checksums."""

import bz2
import gzip
import hashlib
import io
import lzma
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from postroj.errors import ImageError
from postroj.image import tarball
from postroj.image.source import parse

PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "plain": ("", bytes), "gz": ("gzip", gzip.compress), "xz": ("xz", lzma.compress), "bz2": ("bzip2", bz2.compress),
}  # fmt: skip
FILE, HARD, SOFT = tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE


def archive(*members: tuple[str, bytes, str], size: int = 5, kind: int = tarfile.PAX_FORMAT) -> bytes:
    """Members are a name, a type and a link's target."""
    with io.BytesIO() as stream:
        with tarfile.open(fileobj=stream, mode="w", format=kind) as tar:
            for name, what, target in members:
                member = tarfile.TarInfo(name)
                member.type, member.linkname, member.size = what, target, size if what == FILE else 0
                tar.addfile(member, io.BytesIO(b"x" * member.size))
        return stream.getvalue()


def check(path: Path, data: bytes, room: int = 10**9) -> None:
    path.write_bytes(data)
    compression = tarball._compression(str(path))
    if compression and not shutil.which(compression):
        pytest.skip(f"needs {compression}")
    tarball._check(str(path), compression, room)


GOOD = [
    ("./", tarfile.DIRTYPE, ""), ("./etc/passwd", FILE, ""), ("usr/bin", tarfile.DIRTYPE, ""), ("bin", SOFT, "usr/bin"),
    ("absolute", SOFT, "/etc/passwd"), ("up", SOFT, "../../x"), ("hard", HARD, "./etc/passwd"), ("a..b/...", FILE, ""),
    ("pipe", tarfile.FIFOTYPE, ""), ("é" * 80, FILE, ""), ("long/" * 60, FILE, ""), ("-o", FILE, ""),
    ("a\nb", FILE, ""), ("dev/sda", tarfile.BLKTYPE, ""), ("./dev/net/tun", tarfile.CHRTYPE, ""),
]  # fmt: skip


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_root_file_system_is_taken(tmp_path: Path, packed: str, kind: int) -> None:
    program, pack = PACKED[packed]
    check(tmp_path / "x", pack(archive(*GOOD, kind=kind)))
    assert tarball._compression(str(tmp_path / "x")) == program


BAD = [
    ("/etc/passwd", FILE, "", "has an absolute path: /etc/passwd"),
    ("//etc/passwd", FILE, "", "has an absolute path: //etc/passwd"),
    ("../x", FILE, "", "leads out of it: ../x"),
    ("a/../../x", FILE, "", "leads out of it"),
    ("a/..", tarfile.DIRTYPE, "", "leads out of it"),
    ("..", SOFT, "x", "leads out of it"),
    ("sda", tarfile.BLKTYPE, "", "has a device node outside /dev: sda"),
    (".//dev/null", tarfile.CHRTYPE, "", "has a device node outside /dev: .//dev/null"),
    ("hard", HARD, "/etc/shadow", "has a hard link out of it: hard to /etc/shadow"),
    ("hard", HARD, "../etc/shadow", "has a hard link out of it"),
    ("hard", HARD, "a/../../x", "has a hard link out of it"),
    ("../" + "x" * 5000, FILE, "", "leads out of it"),
]


@pytest.mark.parametrize(("name", "what", "target", "told"), BAD)
@pytest.mark.parametrize("packed", PACKED)
def test_what_leads_out_of_it_is_refused(
    tmp_path: Path, packed: str, name: str, what: bytes, target: str, told: str
) -> None:
    data = PACKED[packed][1](archive(("etc/ok", FILE, ""), (name, what, target), ("etc/more", FILE, "")))
    with pytest.raises(ImageError) as caught:
        check(tmp_path / "x", data)
    assert caught.value.what.startswith(f"{tmp_path}/x ") and told in caught.value.what
    assert len(caught.value.what) < 700


def test_more_than_a_system_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarball, "MOST_MEMBERS", 3)
    check(tmp_path / "x", archive(*GOOD[:3]))
    with pytest.raises(ImageError, match="more than 3 files"):
        check(tmp_path / "x", archive(*GOOD[:4]))


def refused(tmp_path: Path, data: bytes) -> ImageError:
    """What is told of a file that cannot be unpacked: before that, nothing is made."""
    (tmp_path / "x.tar").write_bytes(data)
    compression = tarball._compression(str(tmp_path / "x.tar"))
    if compression and not shutil.which(compression):
        pytest.skip(f"needs {compression}")
    (tmp_path / "tree").mkdir()
    with pytest.raises(ImageError) as caught:
        tarball.fetch(parse(str(tmp_path / "x.tar")), "sha256:" + "0" * 64, str(tmp_path / "tree"), "x")
    assert not list((tmp_path / "tree").iterdir())
    return caught.value


WHOLE = archive(*GOOD, size=10_000)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x", b"x" * 5000, b"PK\x03\x04" + b"\0" * 500, b"\0" * 10_240, WHOLE[:700], WHOLE[:1024], WHOLE[:5000],
        b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh9", gzip.compress(b""), gzip.compress(b"x" * 5000), lzma.compress(b"x" * 5000),
        *(PACKED[name][1](WHOLE)[: -size] for name in ("gz", "xz", "bz2") for size in (4, 12, 100)),
        gzip.compress(WHOLE)[:-8] + b"\0" * 8, gzip.compress(WHOLE[:5000]),
    ],
    ids=lambda data: f"{len(data)}-{data[:4].hex()}",
)  # fmt: skip
def test_what_is_no_whole_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    error = refused(tmp_path, data)
    assert error.what.startswith(f"{tmp_path}/x.tar is ") and "not a tar archive" in error.what


def test_what_does_not_fit_the_disk_is_refused(tmp_path: Path) -> None:
    data = archive(*GOOD, size=1_000_000)
    number = sum(what == FILE for _, what, _ in GOOD)
    check(tmp_path / "x", data, room=number * 1_000_000)
    with pytest.raises(ImageError, match=f"the disk is full: {tmp_path}/x needs {number} MB"):
        check(tmp_path / "x", data, room=number * 1_000_000 - 1)


@pytest.mark.parametrize("size", [1 << 60, (1 << 87) - 1, -1, -512, -1024])
def test_a_size_that_lies_is_no_work_without_end(tmp_path: Path, size: int) -> None:
    header = tarfile.TarInfo("x")
    header.size = size
    error = refused(tmp_path, header.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert "disk is full" in error.what or "not a tar archive" in error.what


# checksums

CONTENT = archive(*GOOD)
HEX = hashlib.sha256(CONTENT).hexdigest()
OTHER = "0" * 64


def found(tmp_path: Path, fragment: str = "", sums: str = "") -> str:
    (tmp_path / "x.tar").write_bytes(CONTENT)
    (tmp_path / "SHA256SUMS").write_text(sums)
    return tarball.find(parse(f"{tmp_path}/x.tar{fragment}"), "x")


@pytest.mark.parametrize("fragment", ["", f"#sha256={HEX}", f"#sha256={HEX.upper()}"])
def test_a_file_is_known_by_its_digest(tmp_path: Path, fragment: str) -> None:
    assert found(tmp_path, fragment) == f"sha256:{HEX}"


def test_a_wrong_checksum_is_told_with_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="checksum mismatch") as caught:
        found(tmp_path, f"#sha256={OTHER}")
    assert HEX in caught.value.why and OTHER in caught.value.why


def test_a_digest_that_is_asked_for_counts_more_than_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(CONTENT)
    source = parse(f"{tmp_path}/x.tar#sha256={HEX}")._replace(digest=f"sha256:{OTHER}")
    with pytest.raises(ImageError, match="checksum mismatch"):
        tarball.find(source, "x")


@pytest.mark.parametrize(
    "sums",
    [
        f"{HEX}  x.tar\n", f"{HEX} *x.tar\n", f"{HEX}  ./x.tar", f"{HEX.upper()}  x.tar\n", f"SHA256 (x.tar) = {HEX}\n",
        f"# made by hand\n\n{OTHER}  y.tar\n{HEX}  x.tar\n{OTHER}  x.tar.gz\n",
        f"SHA256 (x.tar.xz) = {OTHER}\nSHA512 (x.tar) = {OTHER * 2}\nSHA256 (x.tar) = {HEX}\n",
        f"{OTHER}  xytar\n{OTHER}  a/x.tar\n{OTHER}  x.tar \n{HEX}  x.tar\n",
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{HEX}  x.tar\n-----BEGIN PGP SIGNATURE-----\n",
    ],
)  # fmt: skip
def test_the_checksum_is_found_in_a_list(tmp_path: Path, sums: str) -> None:
    assert found(tmp_path, "#sha256sums=SHA256SUMS", sums) == f"sha256:{HEX}"
    (tmp_path / "a").mkdir()
    (tmp_path / "SHA256SUMS").rename(tmp_path / "a/S")
    assert tarball.find(parse(f"{tmp_path}/x.tar#sha256sums=a/S"), "x") == f"sha256:{HEX}"


@pytest.mark.parametrize(
    "sums",
    [
        "", f"{HEX}\n", f"{HEX}  y.tar\n", f"{HEX}  ../x.tar\n", f"{HEX}  x.tar.gz\n", f"{HEX[:-1]}  x.tar\n",
        f"{HEX}0  x.tar\n", f"{HEX} x.tar\n", f"SHA512 (x.tar) = {HEX}\n", f"MD5 (x.tar) = {HEX[:32]}\n",
        f"{HEX * 2}  x.tar\n", f"x {HEX}  x.tar\n", f"{'g' * 64}  x.tar\n", "\udcff",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_list_that_does_not_have_it(tmp_path: Path, sums: str) -> None:
    (tmp_path / "x.tar").write_bytes(CONTENT)
    (tmp_path / "SHA256SUMS").write_text(sums, errors="surrogateescape")
    with pytest.raises(ImageError, match=r"SHA256SUMS has no checksum of x\.tar"):
        tarball.find(parse(f"{tmp_path}/x.tar#sha256sums=SHA256SUMS"), "x")


@pytest.mark.parametrize("missing", ["nothing", "nothing/SHA256SUMS", "/nowhere/S", "."])
def test_a_list_that_cannot_be_read(tmp_path: Path, missing: str) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        found(tmp_path, f"#sha256sums={missing}")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.tar", tmp_path / "a\nb.tar"):
        with pytest.raises(ImageError, match="there is no file"):
            tarball.find(parse(str(path)), "x")
