"""Whether packages that are files need a download."""

from pathlib import Path

import pytest

import debs
from postroj.package.needs import may_need_more
from postroj.package.reference import Package

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
