"""What tells whether package lists have changed, as each package manager says where they are from."""

import pytest

from postroj.family.dnf import cache as dnf
from postroj.family.pacman import cache as pacman
from postroj.family.zypper import cache as zypper

# Of dnf 4.14
_DNF_4 = """
Repo-id            : base-1
Repo-name          : base: Repo-id : x
Repo-metalink      : https://mirrors.example.org/metalink?repo=base&arch=x86_64
  Updated          : Sat Nov 28 23:54:52 2026
Repo-baseurl       : http://mirror.example.org/base (9 more)
Repo-filename      : /etc/yum.repos.d/p.repo

Repo-id            : two
Repo-mirrors       : https://mirrors.example.org/list
Repo-baseurl       : http://one.example.org/two/, http://other.example.org/two

Repo-id            : own
Repo-baseurl       : file:///srv/repository
Repo-id            : absent
Repo-baseurl       : http://one.example.org/absent
Repo-id            : odd
Total packages: 9
"""
# Of dnf 5.2
_DNF_5 = """
Repo ID              : two
Name                 : two
URLs                 : 
  Base URL           : http://one.example.org/two
Repo ID              : base-1
URLs                 : 
  Base URL           : http://mirror.example.org/base
  Metalink           : https://mirrors.example.org/metalink?repo=base&arch=x86_64
"""  # noqa: W291


def _file(name: str, cache: str = "dnf") -> str:
    return f"var/cache/{cache}/{name}-0123456789abcdef/repodata/repomd.xml"


def test_dnf() -> None:
    lists = [_file(name) for name in ("base-1", "two", "own", "odd")]
    assert dnf.read_indexes(_DNF_4, lists) == {
        "metalink+https://mirrors.example.org/metalink?repo=base&arch=x86_64": _file("base-1"),
        "http://one.example.org/two/repodata/repomd.xml": _file("two"),
        "file:///srv/repository/repodata/repomd.xml": _file("own"),
        "unknown:absent": "",
        "unknown:odd": _file("odd"),
    }
    lists = [_file(name, "libdnf5") for name in ("base-1", "two")]
    assert dnf.read_indexes(_DNF_5, lists) == {
        "http://one.example.org/two/repodata/repomd.xml": lists[1],
        "metalink+https://mirrors.example.org/metalink?repo=base&arch=x86_64": lists[0],
    }
    assert dnf.read_indexes("", lists) == {}


def test_zypper() -> None:
    output = """<?xml version='1.0'?>
<stream><repo-list>
<repo alias="a/b" name="x &gt; y" enabled="1" gpgkey="file:/k">
<url>http://example.org/?a=b&amp;c=d</url>
</repo>
<repo alias="off" enabled="0"><url>http://example.org/off</url></repo>
<repo alias="own" enabled="1"><url>dir:/srv/suse</url></repo>
<repo alias="listed" enabled="1" mirrorlist="http://example.org/"></repo>
<repo alias="absent" enabled="1"><url>http://example.org/absent/</url></repo>
</repo-list></stream>"""
    lists = [f"var/cache/zypp/raw/{name}/repodata/repomd.xml" for name in ("a_b", "off", "own", "listed")]
    assert zypper.read_indexes(output, lists) == {
        "http://example.org/?a=b&c=d/repodata/repomd.xml": lists[0],
        "file:/srv/suse/repodata/repomd.xml": lists[2],
        "unknown:listed": "",
        "unknown:absent": "",
    }


@pytest.mark.parametrize(
    ("line", "index"),
    [
        ("index ours http://example.org/x/", {"http://example.org/x/ours.db": "var/lib/pacman/sync/ours.db"}),
        ("index ours ", {"unknown:ours": ""}),
        ("index other http://example.org", {"unknown:other": ""}),
        ("index a/../ours http://example.org", {}),
        ("ours http://example.org", {}),
    ],
)
def test_pacman(line: str, index: dict[str, str]) -> None:
    assert pacman.read_indexes(f"downloading...\n{line}\n", ["var/lib/pacman/sync/ours.db"]) == index
