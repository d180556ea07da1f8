"""Whether something can be bound to a place in an image, and is safe there."""

from pathlib import Path

import pytest

from postroj.container import Bind, targets
from postroj.container.guest import tmpfiles
from postroj.container.guest.imagefiles import Tree
from postroj.errors import UsageError

_RULES = """
# comment
D /tmp 1777 root root -
d /var/kept 0755 root root -
q /var/aged 1777 root root 10d
R! /var/tmp/systemd-private-%b-*
r! "/var/with space/x"
L+ /etc/replaced - - - - /proc/x
L /etc/link - - - - /proc/x
f+ /etc/written 0644 - - - text
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "image"
    for name in ("etc/tmpfiles.d", "usr/lib/tmpfiles.d", "usr/lib/x", "root", "run", "var/tmp", "tmp"):
        (root / name).mkdir(parents=True)
    (root / "usr/lib/tmpfiles.d/tmp.conf").write_text(_RULES)
    (root / "usr/lib/tmpfiles.d/over.conf").write_text("D /srv/over\n")
    (root / "etc/tmpfiles.d/over.conf").write_text("D /srv/mine\n")
    (root / "usr/lib/tmpfiles.d/README").write_text("D /srv/none\n")
    (root / "root/.bashrc").touch()
    (root / "lib").symlink_to("usr/lib")
    (root / "var/run").symlink_to("/run")
    (root / "var/away").symlink_to("/etc/passwd")
    return root


def test_what_is_deleted(root: Path) -> None:
    with Tree(str(root)) as tree:
        assert sorted(tmpfiles.deleted(tree)) == [
            "/etc/replaced", "/etc/written", "/srv/mine", "/tmp", "/var/aged", "/var/tmp/systemd-private-*-*",
            "/var/with space/x",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "resolved"),
    [("/lib/x/y", "/usr/lib/x/y"), ("/var/run/a/b", "/run/a/b"), ("/var/away", "/var/away"), ("/a/b", "/a/b")],
)
def test_links_are_followed_inside(root: Path, path: str, resolved: str) -> None:
    with Tree(str(root)) as tree:
        assert tree.resolved(path) == resolved


@pytest.mark.parametrize(
    "target", ["/tmp", "/tmp/", "/var/tmp", "/var/aged", "/srv", "/srv/mine", "/run/x", "/var/run/x", "/dev/x", "/etc"]
)
def test_a_directory_that_the_guest_would_empty(root: Path, tmp_path: Path, target: str) -> None:
    with pytest.raises(UsageError, match="cannot be bound writable"):
        targets.check(str(root), [Bind(str(tmp_path), target, True)], boots=True)
    targets.check(str(root), [Bind(str(tmp_path), target, False)], boots=True)
    targets.check(str(root), [Bind(str(tmp_path), target, True)], boots=False)


@pytest.mark.parametrize(
    "target", ["/tmp/x", "/var/tmp/x", "/var/aged/x", "/var/kept", "/srv/over", "/srv/none", "/root", "/opt/new"]
)
def test_a_directory_that_is_safe(root: Path, tmp_path: Path, target: str) -> None:
    targets.check(str(root), [Bind(str(tmp_path), target, True)], boots=True)


@pytest.mark.parametrize("target", ["/proc/x", "/sys/x", "/sys/fs/cgroup"])
@pytest.mark.parametrize("writable", [True, False])
def test_the_kernels_file_systems(root: Path, tmp_path: Path, target: str, writable: bool) -> None:
    with pytest.raises(UsageError, match="the kernel makes what is there"):
        targets.check(str(root), [Bind(str(tmp_path), target, writable)], boots=True)


def test_a_file_and_a_directory(root: Path, tmp_path: Path) -> None:
    (file := tmp_path / "file").touch()
    for source, target, told in (
        (file, "/root", "a file, to /root, which is a directory in the image"),
        (tmp_path, "/root/.bashrc", "a directory, to /root/.bashrc, which is a file in the image"),
        (file, "/root/.bashrc/x", "/root/.bashrc is a file in the image, and not a directory"),
        (file, "/tmp", "a file, to /tmp, which is a directory"),
    ):
        for boots in (True, False):
            with pytest.raises(UsageError, match=told):
                targets.check(str(root), [Bind(str(source), target)], boots=boots)


def test_what_the_image_does_not_tell(root: Path, tmp_path: Path) -> None:
    (file := tmp_path / "file").touch()
    fine = [Bind(str(file), "/root/.bashrc"), Bind(str(file), "/run/x"), Bind(str(file), "/dev/fuse")]
    inner = [Bind(str(tmp_path), "/root/a"), Bind(str(file), "/root/a/.b")]
    targets.check(str(root), [*fine, *inner, Bind(str(file), "/root/new/file")], boots=True)
