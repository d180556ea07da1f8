"""What is in an image, looked up without leaving it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from postroj.container.guest.imagefiles import Missing, NotExecutable, Tree

_PASSWD = "root:x:0:0:root:/root:/bin/sh\nbroken\n\ngames:x:5:60:games:/usr/games:/bin/sh\nodd:x:five:60::/:\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """With /bin a link, as it is nowadays, and /bin/sh an absolute one, as busybox has it."""
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(_PASSWD)
    (tmp_path / "usr/bin/busybox").touch(0o755)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "usr/bin/sh").symlink_to("/bin/busybox")
    (tmp_path / "usr/bin/dangling").symlink_to("/bin/nothing")
    (tmp_path / "usr/bin/loop").symlink_to("loop")
    # These are there on the host, and not in the image.
    (tmp_path / "usr/bin/away").symlink_to("/usr/bin/env")
    (tmp_path / "usr/bin/up").symlink_to("../../../../../../../../../../usr/bin/env")
    return tmp_path


@pytest.fixture
def tree(root: Path) -> Iterator[Tree]:
    before = os.listdir("/proc/self/fd")
    with Tree(str(root), ["/opt/tools/", "/srv"]) as tree:
        yield tree
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    "path", ["/bin/sh", "/usr/bin/sh", "/bin/../../bin/sh", "/opt/tools/x", "/opt/tools", "/srv/a/b"]
)
def test_what_can_be_executed(tree: Tree, path: str) -> None:
    assert tree.is_executable(path)


@pytest.mark.parametrize(
    "path", ["/bin", "/etc/passwd", "/bin/dangling", "/bin/loop", "/bin/away", "/bin/up", "/opt/toolsx", "/srv/../x"]
)
def test_what_cannot_be_executed(tree: Tree, path: str) -> None:
    assert not tree.is_executable(path)


@pytest.mark.parametrize(
    ("command", "search_path", "workdir", "found"),
    [
        ("sh", None, "/", "/usr/bin/sh"),
        ("sh", "/nowhere:/usr/bin:/bin", "/", "/usr/bin/sh"),
        ("sh", "", "/usr/bin", "/usr/bin/sh"),
        ("./sh", None, "/bin", "/bin/./sh"),
        ("/bin/sh", "/nowhere", "/", "/bin/sh"),
        ("tool", "/etc:/opt/tools", "/", "/opt/tools/tool"),
    ],
)
def test_command_is_found(tree: Tree, command: str, search_path: str | None, workdir: str, found: str) -> None:
    assert os.path.normpath(tree.find(command, search_path, workdir)) == os.path.normpath(found)


@pytest.mark.parametrize("command", ["nothing", "/nothing", "dangling", "away", "/bin/up", "env"])
def test_command_that_is_not_there(tree: Tree, command: str) -> None:
    with pytest.raises(Missing, match="the guest has no "):
        tree.find(command, None, "/")


@pytest.mark.parametrize("command", ["/etc", "/etc/passwd", "./passwd"])
def test_command_that_cannot_be_executed(tree: Tree, command: str) -> None:
    with pytest.raises(NotExecutable):
        tree.find(command, None, "/etc")


def test_directories(tree: Tree) -> None:
    for path in ("/", "/bin", "/usr/bin", "/srv/there"):
        tree.check_directory(path)
    for path in ("/nothing", "/etc/passwd", "/bin/away"):
        with pytest.raises(NotExecutable):
            tree.check_directory(path)


@pytest.mark.parametrize(("user", "uid"), [("root", 0), ("games", 5), ("5", 5), ("odd", None), ("nobody", None)])
def test_users(tree: Tree, user: str, uid: int | None) -> None:
    assert tree.uid(user) == uid


@pytest.mark.parametrize("kind", ["none", "directory", "fifo", "link out of it"])
def test_no_users_where_there_is_no_passwd(root: Path, tree: Tree, kind: str) -> None:
    passwd = root / "etc/passwd"
    passwd.unlink()
    if kind == "directory":
        passwd.mkdir()
    elif kind == "fifo":
        os.mkfifo(passwd)
    elif kind == "link out of it":
        passwd.symlink_to("../../../../../../../../../etc/hostname")
    assert tree.uid("games") is None
