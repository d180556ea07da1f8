"""The Linux VM of other hosts: what is shared with it, and what it sends back."""

import argparse
import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from postroj import events
from postroj.cli import build_parser, vm_host
from postroj.errors import HostError, UsageError
from postroj.vm import records
from postroj.vm.host import installation, results, shares
from postroj.vm.host.shares import Share


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory that is not the user's home, which is another one."""
    (tmp_path / "here").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "here"


def test_what_is_shared(here: Path) -> None:
    other = here.parent / "other"
    (other / "tree").mkdir(parents=True)
    (other / "a.deb").touch()
    (other / "b.deb").touch()
    (here / "c.deb").touch()
    found = shares.collect(
        [str(other / "a.deb"), "../other/b.deb", "c.deb", str(other / "tree")], ["x.xml", "../home/y.xml"]
    )
    assert found == [
        Share(str(here), None),
        Share(str(here.parent / "home"), frozenset()),
        Share(str(other), frozenset({"a.deb", "b.deb"})),
        Share(str(other / "tree"), None),
    ]


def test_the_home_directory_is_not_shared(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert shares.collect([], []) == []
    (here / "a.deb").touch()
    assert shares.collect(["a.deb"], []) == [Share(str(here), frozenset({"a.deb"}))]


def test_a_large_directory_is_not_shared(here: Path) -> None:
    with (here / "large").open("wb") as file:
        file.truncate(shares.MOST_BYTES + 1)
    warned: list[events.Event] = []
    with events.subscribed(warned.append):
        assert shares.collect([], []) == []
    assert isinstance(warned[0], events.Warn) and "is not shared" in warned[0].text
    with pytest.raises(UsageError, match=f"^{here} is too large"):
        shares.collect(["."], [])


@pytest.mark.parametrize("path", ["/", "/etc", "/usr/local/share", "/var/lib/x", "/proc/self"])
def test_directories_of_the_vm_are_not_hidden(path: str) -> None:
    assert not shares.is_possible(path)
    with pytest.raises(UsageError, match="cannot be shared"):
        shares.collect([os.path.join(path, "file")], [])


@pytest.mark.parametrize("path", ["/Users/jo/x", "/private/var/folders/a", "/var/folders/a", "/Volumes/x", "/home/jo"])
def test_directories_of_users_are_shared(path: str) -> None:
    assert shares.is_possible(path)


def _packed(*shared: Share) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(mode="w|", fileobj=packed) as archive:
        shares.pack(archive, shared)
    return packed.getvalue()


def test_what_is_packed(here: Path) -> None:
    (here / "below").mkdir()
    (here / "below/file").write_text("x")
    (here / "link").symlink_to("below/file")
    (here / "out").symlink_to("/etc/passwd")
    os.mkfifo(here / "fifo")
    (here / "secret").touch(0o600)
    with tarfile.open(fileobj=io.BytesIO(_packed(Share(str(here), None)))) as archive:
        members = {one.name: one for one in archive}
    assert sorted(members) == [
        f"shares/0{name}" for name in ("", "/below", "/below/file", "/link", "/out", "/secret")
    ]  # no FIFO
    assert {(one.uid, one.gid, one.uname) for one in members.values() if one.name != "shares/0"} == {(0, 0, "root")}
    assert members["shares/0/out"].issym(), "what it points to is not read"
    assert members["shares/0/secret"].mode == 0o644, "a machine's users can read it"


def test_a_link_that_is_named_is_followed(here: Path) -> None:
    (here / "real").write_text("content")
    (here / "named.deb").symlink_to("real")
    with tarfile.open(fileobj=io.BytesIO(_packed(Share(str(here), frozenset({"named.deb", "gone"}))))) as archive:
        named = archive.extractfile("shares/0/named.deb")
        assert named and named.read() == b"content"
        assert archive.getnames() == ["shares/0", "shares/0/named.deb"]


def _sent(*members: tuple[str, bytes | Callable[[tarfile.TarInfo], None]]) -> io.BytesIO:
    sent = io.BytesIO()
    with tarfile.open(mode="w", fileobj=sent) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            data = b""
            if isinstance(content, bytes):
                data, member.size = content, len(content)
            else:
                content(member)
            archive.addfile(member, io.BytesIO(data))
    sent.seek(0)
    return sent


def test_what_has_changed_is_written(here: Path) -> None:
    (here / "old").write_text("old")
    os.link(here / "old", here / "twin")

    def directory(member: tarfile.TarInfo) -> None:
        member.type, member.mode = tarfile.DIRTYPE, 0o755

    def program(member: tarfile.TarInfo) -> None:
        member.mode = 0o6755

    sent = _sent(
        ("shares/0/new", directory), ("shares/0/new/file", b"1"), ("shares/0/old", b"2"), ("shares/0/run", program)
    )
    results.unpack(sent, [Share(str(here), None)])
    assert (here / "new/file").read_text() == "1"
    assert ((here / "old").read_text(), (here / "twin").read_text()) == ("2", "old")
    assert (here / "run").stat().st_mode & 0o7777 == 0o755, "without set-user-ID"
    assert (here / "old").stat().st_uid == os.geteuid()


def test_nothing_is_written_outside(here: Path) -> None:
    outside = here.parent / "outside"
    outside.write_text("mine")
    (here / "to-file").symlink_to(outside)
    (here / "to-directory").symlink_to(here.parent)

    def link(member: tarfile.TarInfo) -> None:
        member.type, member.linkname = tarfile.SYMTYPE, "../outside"

    def device(member: tarfile.TarInfo) -> None:
        member.type, member.devmajor, member.devminor = tarfile.CHRTYPE, 1, 3

    names = ("shares/0/../outside", "shares/0//" + str(outside), "shares/0/to-directory/outside", "shares/0/to-file")
    sent = _sent(*((name, b"theirs") for name in names), ("shares/0/link", link), ("shares/0/null", device))
    warned: list[events.Event] = []
    with events.subscribed(warned.append):
        results.unpack(sent, [Share(str(here), None)])
    assert outside.read_text() == "mine"
    assert len(warned) == 4, [one.text for one in warned if isinstance(one, events.Warn)]
    assert not (here / "link").exists() and not (here / "null").exists()
    assert not (here / "to-file").is_symlink(), "a link is replaced, as by all programs that write whole files"


@pytest.mark.parametrize("name", ["file", "shares/1/file", "shares/x/file", "shares/0", "/shares/0/file", "shares"])
def test_what_was_not_shared_is_refused(here: Path, name: str) -> None:
    with pytest.raises(HostError, match="has sent back files that were not shared"):
        results.unpack(_sent((name, b"x")), [Share(str(here), None)])


def _args(*words: str) -> argparse.Namespace:
    return build_parser([words[0]]).parse_args(words)


@pytest.mark.parametrize(
    ("words", "read", "written"),
    [
        ("run --bind=../x:/etc --bind-ro=../y --workdir=/etc debian-bookworm ls /etc ../z", "../x ../y", ""),
        ("run docker-archive:../x true", "../x", ""),
        ("run ../x true", "../x", ""),
        ("pkgprobe --package=../x --with=../y --report=junit=../r.xml --report=json", "../x ../y", "../r.xml"),
        ("pkgprobe --package=../* --artifacts=../a", "../x ../y ../z", "../a"),
        ("pkgprobe --repo-key=../x --package=hello", "../x", ""),
        ("test --plan=../x ../y", "../x ../y", ""),
        ("image import ../x#sha256=00 name", "../x", ""),
        ("image export debian-bookworm ../x", "", "../x"),
    ],
)
def test_files_that_are_named(here: Path, words: str, read: str, written: str) -> None:
    for name in ("x", "y", "z"):
        (here.parent / name).touch()
    (here.parent / "here").rename(here.parent / ".here")  # no glob finds it
    (here.parent / "home").rmdir()
    args = _args(*words.split())
    found = set(vm_host._paths(args, vm_host._READ))
    assert sorted(found) == read.split()
    told = filter(None, vm_host._paths(args, vm_host._WRITTEN, written=True))
    assert sorted(told) == written.split()


@pytest.mark.parametrize("words", [
    "completion bash", "vm ls", "doctor", "list-images", "test --list", "test --check", "run --vm debian-12 true",
    "run windows-2022 ver", "pkgprobe --provider=qemu --package=x", "run vagrant:bento/debian-12 true",
])  # fmt: skip
def test_what_is_not_run_in_the_vm(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTROJ_HOST", "vm")
    assert not vm_host.is_for(_args(*words.split()))


def test_what_is_run_in_the_vm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTROJ_STATE_DIR", str(tmp_path / "state"))
    args = _args("run", "debian-bookworm", "true")
    assert not vm_host.is_for(args)
    monkeypatch.setenv("POSTROJ_HOST", "vm")
    with pytest.raises(UsageError, match=r"^there is no Linux VM$"):
        vm_host.is_for(args)
    assert not vm_host.is_for(_args("ps"))
    (tmp_path / "state/vms/linux-host").mkdir(parents=True)
    (tmp_path / "state/vms/linux-host/ready").write_text('{"box": "x", "address": "127.0.0.1", "port": 2222}')
    for words in ("run x true", "ps", "gc", "test x", "list-images --pulled", "test --check=x"):
        assert vm_host.is_for(_args(*words.split()))
    monkeypatch.setenv("POSTROJ_HOST", "docker")
    with pytest.raises(UsageError, match=r"^POSTROJ_HOST=docker: it is `vm`, or not set$"):
        vm_host.is_for(args)


def test_variables_that_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTROJ_HOST", "POSTROJ_STATE_DIR", "POSTROJ_TIMEOUT", "ASKED", "SECRET", "NO_COLOR"):
        monkeypatch.setenv(name, "x")
    told = vm_host._environment(_args("run", "--env=ASKED", "--env=B=1", "x", "true"))
    assert {name for name, value in told.items() if value == "x"} == {"POSTROJ_TIMEOUT", "ASKED", "NO_COLOR"}


def test_the_digest_is_that_of_all_files() -> None:
    assert installation.digest() == installation.digest()
    names = [name for name, _ in installation._files()]
    assert {"__init__.py", "image/catalogue.toml", "container/launch/launch.sh", "vm/Vagrantfile"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]


def test_scripts_are_right() -> None:
    for script in (installation._PACKAGES, installation._EXTRACT, installation._ACTIVATE):
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_the_vm_is_none_of_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTROJ_STATE_DIR", str(tmp_path))
    for name in ("debian-bookworm-1", records.HOST_VM):
        (tmp_path / "vms" / name).mkdir(parents=True)
    assert [one.name for one in records.kept()] == ["debian-bookworm-1"]
