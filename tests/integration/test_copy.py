"""`postroj cp`: what a machine's root can do with its files, and with what is copied from them, hurts nobody else."""

import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from guests import Guest, guest
from support import POSTROJ, Run

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def machine(environment: dict[str, str], bookworm: str) -> Iterator[Guest]:
    """A machine that is called `copied`."""
    with guest(environment, "--name=copied", bookworm) as one:
        yield one


def test_files_and_directories_there_and_back(machine: Guest, postroj: Run, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub/deep").mkdir(parents=True)
    (tree / "sub/deep/file").write_bytes(os.urandom(3_000_000))
    (tree / "script").write_text("#!/bin/sh\necho hello\n")
    (tree / "script").chmod(0o4755)
    (tree / "link").symlink_to("sub/deep/file")
    (tree / "empty").write_text("")
    assert postroj("cp", tree, "copied:/srv").stderr == ""
    assert machine.ask("stat -c '%U:%G %a' /srv/tree/script; /srv/tree/script").output == "root:root 4755\nhello\n"
    assert postroj("cp", "copied:/srv/tree", tmp_path / "back").stderr == ""
    back = tmp_path / "back"
    assert (back / "sub/deep/file").read_bytes() == (tree / "sub/deep/file").read_bytes()
    assert (back / "link").readlink() == Path("sub/deep/file")
    assert (back / "empty").read_bytes() == b""
    assert stat.S_IMODE((back / "script").stat().st_mode) == 0o755  # a guest makes nothing that runs as our root
    assert (back / "script").stat().st_mtime == pytest.approx((tree / "script").stat().st_mtime, abs=1)


@pytest.mark.parametrize(
    ("source", "target", "made"),
    [
        ("copied:/from/file", "there", "there/file"),
        ("copied:/from/file", "new", "new"),
        ("copied:/from/file", "old", "old"),
        ("copied:/from", "there", "there/from/file"),
        ("copied:/from", "new", "new/file"),
        ("copied:/from/", "new", "new/file"),
        ("copied:/from/.", "there", "there/file"),
        ("copied:/from/.", "new", "new/file"),
        ("copied:from/file", "there/", "there/file"),
        ("copied:/from/link", "new", "new"),
    ],
)
def test_where_it_goes(machine: Guest, postroj: Run, tmp_path: Path, source: str, target: str, made: str) -> None:
    machine.ask("mkdir -p /from; echo text >/from/file; ln -sf file /from/link")
    (tmp_path / "there").mkdir()
    (tmp_path / "old").write_text("old")
    done = postroj("cp", source, f"{tmp_path}/{target}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / made).read_text() == "text\n" and not (tmp_path / made).is_symlink()


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("copied:/nothing", ".", "/nothing: No such file or directory"),
        ("copied:/etc", "./file", "file: Not a directory"),
        ("copied:/etc/passwd", "new/", "new/: there is no such directory"),
        ("copied:/etc/passwd", "no/new", "No such file or directory"),
        ("copied:/etc/passwd", "/dev/null", "/dev/null: it is neither a file nor a directory"),
        ("file", "copied:/proc/sys/kernel/core_pattern", "No such file or directory"),
        ("file", "copied:/nothing/new", "No such file or directory"),
        ("copied:/proc/1/root/etc/passwd", "new", "/proc/1/root/etc/passwd: "),
        ("copied:/etc", "copied:/etc2", "one of both is in a machine"),
        ("file", "file2", "one of both is in a machine"),
        ("none-such:/etc", ".", "no machine named none-such is running"),
    ],
)
def test_what_cannot_be_copied(
    machine: Guest, environment: dict[str, str], tmp_path: Path, source: str, target: str, told: str
) -> None:
    (tmp_path / "file").write_text("kept")
    words = [POSTROJ, "cp", source, target]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode != 0 and told in done.stderr.splitlines()[0], done.stderr
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "kept"
    assert Path("/dev/null").is_char_device()


_HOSTILE = r"""
rm -rf /hostile; mkdir -p /hostile/sub; cd /hostile
ln -s /etc/shadow absolute; ln -s ../../../../../../../etc up; ln -s . itself
echo x >"$(printf 'two\nlines')"; echo x >"$(printf 'b\377d')"; echo x >-rf; echo x >"$(printf 'esc\033[31m')"
mkfifo fifo; perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Local => "socket", Listen => 1)'
truncate -s 8T sparse; printf end | dd of=sparse bs=1 seek=5000000000 conv=notrunc 2>/dev/null
truncate -s 1G hole
mkdir other; mount -t tmpfs none other; echo x >other/file; ln /etc/shadow hard
install -m 6777 /bin/true setuid
"""


@pytest.fixture
def hostile(machine: Guest) -> Iterator[str]:
    """A directory with what is not to be trusted, as a source."""
    assert machine.ask(_HOSTILE).status == 0
    yield "copied:/hostile"
    machine.ask("umount /hostile/other")


def test_hostile_files_stay_what_they_are(hostile: str, postroj: Run, tmp_path: Path) -> None:
    done = postroj("cp", hostile, tmp_path)
    assert done.returncode == 0
    assert sorted(line.split(":", 1)[1].split(" is left out")[0].strip() for line in done.stderr.splitlines()) == [
        "fifo", "other", "socket"
    ]  # fmt: skip
    copy = tmp_path / "hostile"
    found = {os.fsencode(name) for name in os.listdir(copy)}
    assert found == {
        *(b"sub", b"absolute", b"up", b"itself", b"two\nlines", b"b\xffd", b"-rf", b"esc\x1b[31m"),
        *(b"sparse", b"hole", b"hard", b"setuid"),
    }
    assert [(copy / name).is_symlink() for name in ("absolute", "up", "itself")] == [True] * 3
    assert (copy / "sparse").stat().st_size == 8 << 40 and (copy / "hole").stat().st_size == 1 << 30
    assert sum((copy / name).stat().st_blocks for name in ("sparse", "hole")) < 1000
    with (copy / "sparse").open("rb") as file:
        file.seek(4_999_999_999)
        assert file.read(5) == b"\0end\0"
    assert stat.S_IMODE((copy / "setuid").stat().st_mode) == 0o777
    assert {(copy / name).lstat().st_uid for name in os.listdir(copy)} == {0}


def test_hostile_files_as_a_tar_stream(hostile: str, environment: dict[str, str], tmp_path: Path) -> None:
    """GNU tar reads it: what has holes is as small as it is."""
    archive = tmp_path / "archive"
    with archive.open("wb") as out:
        done = subprocess.run([POSTROJ, "cp", hostile, "-"], stdout=out, stderr=subprocess.PIPE, env=environment)
    assert done.returncode == 0 and archive.stat().st_size < 200_000
    subprocess.run(["tar", "--extract", "--sparse", f"--file={archive}", f"--directory={tmp_path}"], check=True)
    copy = tmp_path / "hostile"
    assert os.fsencode("two\nlines") in map(os.fsencode, os.listdir(copy))
    assert (copy / "sparse").stat().st_size == 8 << 40 and (copy / "hole").stat().st_size == 1 << 30
    assert sum((copy / name).stat().st_blocks for name in ("sparse", "hole")) < 1000
    assert (copy / "absolute").readlink() == Path("/etc/shadow")


def test_a_link_of_an_earlier_copy_is_not_followed(machine: Guest, postroj: Run, tmp_path: Path) -> None:
    """What was a link to a directory of the host's is a directory now, and a file."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("ours")
    machine.ask(f"rm -rf /twice; mkdir /twice; ln -s {outside} /twice/link; ln -s {outside}/file /twice/file")
    assert postroj("cp", "copied:/twice", tmp_path).returncode == 0
    machine.ask("rm /twice/*; mkdir /twice/link; echo theirs >/twice/link/file; echo theirs >/twice/file")
    done = postroj("cp", "copied:/twice", tmp_path)
    assert done.returncode == 3 and "twice/link" in done.stderr, done.stderr
    assert os.listdir(outside) == ["file"] and (outside / "file").read_text() == "ours"
    machine.ask("rm -r /twice/link")
    assert postroj("cp", "copied:/twice", tmp_path).returncode == 0
    assert (tmp_path / "twice/file").read_text() == "theirs\n" and (outside / "file").read_text() == "ours"


def test_a_guest_that_swaps_its_directories_meanwhile(machine: Guest, postroj: Run, tmp_path: Path) -> None:
    """A directory becomes a link to /etc and back, as fast as it can: no file of the host's is ever read."""
    secret = Path("/etc/postroj-test-secret")
    secret.write_text("of the host")
    try:
        machine.ask(
            "mkdir -p /swap/dir; echo theirs >/swap/dir/postroj-test-secret; rm -f /stop; "
            "setsid sh -c 'cd /swap; while ! [ -e /stop ]; do mv dir away; ln -s /etc dir; rm dir; mv away dir; done' "
            ">/dev/null 2>&1 &"
        )
        for number in range(20):
            postroj("cp", "copied:/swap", tmp_path / str(number))
        machine.ask("touch /stop")
        found = [path.read_text() for path in tmp_path.glob("*/*/postroj-test-secret") if not path.parent.is_symlink()]
        assert set(found) <= {"theirs\n"}
    finally:
        secret.unlink()


def test_links_of_a_guest_lead_nowhere_else(machine: Guest, postroj: Run, tmp_path: Path) -> None:
    """What is copied into it, by links that lead out of it, lands in it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "file").write_text("copied")
    machine.ask(f"mkdir -p {outside} /into; ln -sfn {outside} /into/absolute; ln -sfn ../../../../..{outside} /into/up")
    for link in ("absolute", "up"):
        machine.ask(f"rm -f {outside}/*")
        assert postroj("cp", tmp_path / "file", f"copied:/into/{link}").stderr == ""
        assert machine.ask(f"cat {outside}/file").output == "copied"
    assert os.listdir(outside) == []


def test_file_systems_of_the_guests_own_are_written_to(machine: Guest, postroj: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("copied")
    machine.ask("mkdir -p /own; mountpoint -q /own || mount -t tmpfs -o mode=700,uid=65534 none /own")
    for place in ("/own", "/run", "/tmp", "/dev/shm", "/var/run"):
        done = postroj("cp", tmp_path / "file", f"copied:{place}/")
        assert done.returncode == 0, (place, done.stderr)
        assert machine.ask(f"cat {place}/file; stat -c %U {place}/file").output == "copiedroot\n"
    machine.ask("umount /own")


def _archive(*members: tarfile.TarInfo) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return made.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    member.size = 1 if kind == tarfile.REGTYPE else 0
    return member


def _extract(environment: dict[str, str], data: bytes, where: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([POSTROJ, "cp", "-", where], input=data, capture_output=True, env=environment)


def test_a_tar_stream_is_extracted(machine: Guest, environment: dict[str, str]) -> None:
    machine.ask("rm -rf /stream; mkdir /stream")
    data = _archive(
        _member("./a/b/file"), _member("/absolute"), _member("a/link", tarfile.SYMTYPE, "b/file"),
        _member("a/hard", tarfile.LNKTYPE, "a/b/file"), _member("dir", tarfile.DIRTYPE),
        _member("a/null", tarfile.CHRTYPE),
    )  # fmt: skip
    done = _extract(environment, data, "copied:/stream")
    assert done.returncode == 0
    assert done.stderr == b"warning: a/null is left out: it is neither a file, a directory nor a link\n"
    found = machine.ask(
        "cd /stream; find . | sort | tr '\\n' ' '; cat a/link a/hard; test a/hard -ef a/b/file; echo $?"
    )
    assert found.output == ". ./a ./a/b ./a/b/file ./a/hard ./a/link ./absolute ./dir xx0\n"


@pytest.mark.parametrize(
    "members",
    [
        [_member("../outside")],
        [_member("a/../../outside")],
        [_member("link", tarfile.SYMTYPE, "/"), _member("link/outside")],
        [_member("link", tarfile.SYMTYPE, ".."), _member("link/outside")],
        [_member("hard", tarfile.LNKTYPE, "../etc/passwd")],
        [_member("link", tarfile.SYMTYPE, "/etc"), _member("hard", tarfile.LNKTYPE, "link/passwd")],
    ],
)
def test_a_tar_stream_that_leads_out_of_the_directory(
    machine: Guest, environment: dict[str, str], members: list[tarfile.TarInfo]
) -> None:
    machine.ask("rm -rf /inner; mkdir /inner")
    done = _extract(environment, _archive(*members), "copied:/inner")
    assert done.returncode == 3 and done.stderr.startswith(b"postroj: it cannot be copied: "), done.stderr
    assert machine.ask("ls -d /outside; ls -i /inner/hard 2>/dev/null").output.startswith("ls: cannot access")


@pytest.mark.parametrize("data", [b"", b"no archive", _archive(_member("file"))[:700]], ids=["empty", "text", "cut"])
def test_what_is_no_tar_stream(machine: Guest, environment: dict[str, str], data: bytes) -> None:
    machine.ask("rm -rf /none; mkdir /none")
    done = _extract(environment, data, "copied:/none")
    assert done.returncode == 3 and b"it is not a whole tar archive" in done.stderr, done.stderr


def test_what_cannot_be_copied_is_an_error_if_it_is_all_that_was_named(
    machine: Guest, postroj: Run, tmp_path: Path
) -> None:
    done = postroj("cp", "copied:/dev/null", tmp_path / "null")
    assert done.returncode == 3 and "/dev/null: it is neither a file" in done.stderr, done.stderr
    assert not (tmp_path / "null").exists()
