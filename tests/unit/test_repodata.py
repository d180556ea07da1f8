"""What the metadata of RPM repositories and the databases of pacman name, whatever they say."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from postroj.family import repodata
from postroj.family.pacman import cache as pacman

from .archfile import tar

_ONE, _OTHER = "1" * 64, "2" * 64
_PACKAGE = """<package type="rpm"><name>{name}</name><checksum type="{kind}" pkgid="YES">{checksum}</checksum>
<summary>&lt;checksum&gt;</summary><location xml:base="http://x" href="Packages/{name}-1.rpm"/>
<format><rpm:entry name="checksum"/></format></package>
"""
Look = Callable[..., dict[str, set[str]]]


def primary(*packages: tuple[str, str], kind: str = "sha256") -> bytes:
    told = "".join(_PACKAGE.format(name=name, checksum=checksum, kind=kind) for name, checksum in packages)
    return f'<?xml version="1.0"?><metadata xmlns:rpm="r" packages="9">{told}</metadata>'.encode()


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Write a repository's metadata, and ask it for a-1.rpm and b-1.rpm; and c-1.rpm of another one."""

    def look(
        data: bytes, *, name: str = "0-primary.xml", kind: str = "sha256", checksum: str = "", begin: str = ""
    ) -> dict[str, set[str]]:
        found = checksum or hashlib.new(kind if kind != "sha" else "sha1", data).hexdigest()
        (tmp_path / name).write_bytes(data)
        (tmp_path / "repomd.xml").write_text(
            f'<?xml version="1.0"?>{begin}<repomd><revision>1</revision>'
            f'<data type="other"><checksum type="sha256">{_OTHER}</checksum><location href="repodata/o.xml"/></data>'
            f'<data type="primary"><checksum type="{kind}">\n{found}\n</checksum>'
            f'<open-checksum type="sha256">{_OTHER}</open-checksum><location href="repodata/{name}"/></data></repomd>'
        )
        lists = {f"cache/x/repodata/{one}": str(tmp_path / one) for one in ("repomd.xml", name)}
        packages = ["cache/x/packages/a-1.rpm", "cache/x/packages/b-1.rpm", "cache/y/packages/c-1.rpm"]
        return repodata.checksums(packages, lists, lambda one: f"{one.rpartition('/packages/')[0]}/repodata")

    return look


def test_each_package_has_its_own_checksum(look: Look) -> None:
    assert look(primary(("other", _OTHER), ("a", _ONE), ("b", _OTHER))) == {
        "cache/x/packages/a-1.rpm": {f"sha256:{_ONE}"},
        "cache/x/packages/b-1.rpm": {f"sha256:{_OTHER}"},
    }


def test_a_repository_tells_nothing_of_packages_of_another_one(look: Look) -> None:
    assert look(primary(("c", _ONE))) == {}


@pytest.mark.parametrize("kind", ["sha384", "sha512"])
def test_other_algorithms(look: Look, kind: str) -> None:
    data = gzip.compress(primary(("a", "1" * 96), kind=kind))
    assert look(data, name="0-primary.xml.gz", kind=kind) == {"cache/x/packages/a-1.rpm": {f"{kind}:{'1' * 96}"}}


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (primary(("a", _ONE)), {"checksum": _ONE}),
        (primary(("a", _ONE)), {"kind": "sha"}),
        (primary(("a", _ONE)), {"begin": "<!DOCTYPE x [<!ENTITY a 'b'>]>"}),
        (b"<!DOCTYPE x>" + primary(("a", _ONE))[21:], {}),
        (primary(("b", _ONE))[:-5], {}),
        (gzip.compress(primary(("b", _ONE)))[:-20], {"name": "0.xml.gz"}),
        (b"<metadata><package>" + b"<checksum type='sha256'>" * 9, {}),
        (b"", {}),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value),
)
def test_what_is_damaged_or_not_what_was_named(look: Look, data: bytes, settings: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        look(data, **settings)


def test_a_text_without_end(look: Look) -> None:
    """It would be kept in memory."""
    with pytest.raises(ValueError, match="too large"):
        look(b"<metadata><package a='" + b"x" * (8 << 20))


@pytest.mark.parametrize("checksum", ["", "x" * 64, "1" * 63, "1" * 10_000, "0x" + "1" * 64])
def test_what_is_no_checksum(look: Look, checksum: str) -> None:
    assert look(primary(("a", checksum))) == {}


def test_a_form_that_is_not_known(look: Look) -> None:
    """Such as zchunk's: then no packages are kept."""
    with pytest.raises(ValueError, match="damaged"):
        look(b"\0ZCK1" + bytes(100), name="0-primary.xml.zck")


def test_without_metadata() -> None:
    assert repodata.checksums(["a/packages/x.rpm"], {}, lambda _: "a/repodata") == {}


def test_pacman(tmp_path: Path) -> None:
    described = f"%FILENAME%\na-1-1-any.pkg.tar.zst\n\n%NAME%\na\n\n%SHA256SUM%\n{_ONE}\n\n"
    bare = "%FILENAME%\nb-1-1-any.pkg.tar.zst\n\n"
    files = (("a-1-1/desc", described), ("a-1-1/files", f"%SHA256SUM%\n{_OTHER}\n"), ("b-1-1/desc", bare))
    (tmp_path / "x.db").write_bytes(gzip.compress(tar(*files)))
    packages = [f"var/cache/pacman/pkg/{name}-1-1-any.pkg.tar.zst" for name in "abc"]
    lists = {"var/lib/pacman/sync/x.db": str(tmp_path / "x.db"), "var/lib/pacman/sync/x.db.sig": "/nowhere"}
    assert pacman.checksums(packages, lists) == {packages[0]: {f"sha256:{_ONE}"}}
    (tmp_path / "x.db").write_bytes(gzip.compress(tar(*files))[:-30])
    with pytest.raises(ValueError, match="cut off"):
        pacman.checksums(packages, lists)
