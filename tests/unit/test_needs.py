"""Whether packages that are files need a download."""

from pathlib import Path

import pytest

import debs
from postroj.package.needs import may_need_more
from postroj.package.reference import Package

from . import archfile, rpmfile
from .rpmfile import STRINGS, Entry

_STATUS = """Package: libc6
Status: install ok installed
Version: 2.36

Package: mawk
Status: install ok installed
Provides: awk, awk-all (= 1)

Package: gone
Status: deinstall ok config-files
"""


@pytest.mark.parametrize(
    ("field", "value", "needs"),
    [
        ("Depends", "libc6 (>= 2.30)", False),
        ("Depends", "libc6:any, awk", False),
        ("Depends", "other | mawk, awk-all", False),
        ("Depends", "libc6, other", True),
        ("Pre-Depends", "other", True),
        ("Recommends", "other", True),
        ("Suggests", "other", False),
        ("Depends", "gone", True),
        ("Depends", "second", False),
        ("Depends", "", False),
    ],
)
def test_relations(tmp_path: Path, field: str, value: str, needs: bool) -> None:
    status = tmp_path / "root/var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(_STATUS)
    file = debs.build(tmp_path, "first", service=None, fields={field: value} if value else {})
    other = debs.build(tmp_path, "second", service=None)
    packages = [
        Package(str(one), str(one), "all", name, format="deb") for one, name in ((file, "first"), (other, "second"))
    ]
    assert may_need_more(packages, str(tmp_path / "root")) is needs


def test_name_and_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(b"!<arch>\nnone")
    assert may_need_more([Package("webfs", "", "", "webfs")], str(tmp_path))
    assert may_need_more([Package("x", str(tmp_path / "x.deb"), "all", "x", format="deb")], str(tmp_path))


@pytest.mark.parametrize(
    ("requires", "recommends", "needs"),
    [
        (["rpmlib(CompressedFileNames)", "config(hello)", "hello"], [], False),
        (["/bin/sh", "libc.so.6(GLIBC_2.34)(64bit)", "bash"], [], False),
        (["/bin/zsh"], [], True),
        (["libc.so.6(GLIBC_2.99)(64bit)"], [], True),
        (["bas"], [], True),
        (["second"], [], False),
        ([], ["other"], True),
        (["(bash if other)"], [], True),
    ],
)
def test_rpm(tmp_path: Path, requires: list[str], recommends: list[str], needs: bool) -> None:
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    (root / "bin/sh").touch()
    (root / "var/lib/rpm").mkdir(parents=True)
    (root / "var/lib/rpm/rpmdb.sqlite").write_bytes(b"x\0bash\0libc.so.6(GLIBC_2.34)(64bit)\0x")
    entries = [Entry(1049, STRINGS, requires)] if requires else []
    entries += [Entry(5046, STRINGS, recommends)] if recommends else []
    (tmp_path / "x.rpm").write_bytes(rpmfile.package([*rpmfile.good(), *entries]))
    (tmp_path / "y.rpm").write_bytes(rpmfile.package(rpmfile.good("second")))
    named = (("x.rpm", "hello"), ("y.rpm", "second"))
    packages = [Package(file, str(tmp_path / file), "x86_64", name, format="rpm") for file, name in named]
    assert may_need_more(packages, str(root)) is needs


@pytest.mark.parametrize(
    ("depends", "needs"),
    [(["bash"], False), (["glibc>=2.3"], False), (["sh"], False), (["libc.so=6-64"], False), (["other"], True)],
)
def test_arch(tmp_path: Path, depends: list[str], needs: bool) -> None:
    local = tmp_path / "root/var/lib/pacman/local"
    for name, provides in (("bash-5.2-1", "sh=5.2"), ("glibc-2:2.4-1", "libc.so=6-64")):
        (local / name).mkdir(parents=True)
        (local / name / "desc").write_text(f"%NAME%\nx\n\n%PROVIDES%\n{provides}\n\n%OTHER%\nother\n")
    info = archfile.INFO.replace("depend = glibc\ndepend = bash\n", "".join(f"depend = {one}\n" for one in depends))
    (tmp_path / "x.pkg.tar.zst").write_bytes(archfile.package(info))
    package = Package("x", str(tmp_path / "x.pkg.tar.zst"), "x86_64", "hello", format="arch")
    assert may_need_more([package], str(tmp_path / "root")) is needs


def test_a_damaged_rpm_database(tmp_path: Path) -> None:
    (tmp_path / "root/var/lib/rpm").mkdir(parents=True)
    (tmp_path / "root/var/lib/rpm/rpmdb.sqlite").touch()
    (tmp_path / "x.rpm").write_bytes(rpmfile.package([*rpmfile.good(), Entry(1049, STRINGS, ["bash"])]))
    assert may_need_more([Package("x", str(tmp_path / "x.rpm"), "", "hello", format="rpm")], str(tmp_path / "root"))
