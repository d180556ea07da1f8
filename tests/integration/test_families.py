"""Each family's scripts, driven by its real package manager in a tree that stands in for its images (standins.py)."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postroj.container import Container
from postroj.container.tree import run_in_tree
from postroj.deadline import Deadline
from postroj.image import family
from scratch import scratch_state
from standins import STANDINS, copy, standin

pytestmark = pytest.mark.slow

_PARTS = ("usr/lib/systemd/systemd", "usr/lib/systemd/system/dbus.socket", "usr/bin/dbus-daemon", "usr/bin/mount")

_VERSIONS = {"dnf": "dnf 4.14.0", "yum": "yum 4.14.0", "zypper": "zypper 1.14.42", "pacman": "Pacman v6.0.2"}

_DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}


@contextmanager
def copied(name: str) -> Iterator[Path]:
    """The tree of a stand-in, to write to."""
    with standin(name) as tree, scratch_state() as state:
        copy(tree, state / "root")
        yield state / "root"


def run(root: Path, script: str) -> tuple[int, str]:
    return run_in_tree(str(root), ["sh", "-c", script], name="test-families")


def provision(root: Path) -> None:
    """What pulling does with a tree."""
    scripts = family.load(family.detect(str(root), "the stand-in"))
    for script in (scripts.clean, scripts.install):
        status, output = run(root, script)
        assert status == 0, output


@pytest.mark.parametrize("name", STANDINS)
def test_a_tree_without_systemd_is_provisioned_and_boots(name: str, environment: dict[str, str]) -> None:
    with copied(name) as root:
        assert family.detect(str(root), "the stand-in") == name
        assert [part for part in _PARTS if (root / part).exists()] == []
        provision(root)
        assert [part for part in _PARTS if not (root / part).exists()] == []
        # What packages bring is there as on a system, not as in an image for containers.
        assert (root / "usr/share/doc/systemd/copyright").exists()

        # What is there already needs no repository.
        (root / "srv/repository").rename(root / "srv/elsewhere")
        provision(root)

        scripts = family.load(name)
        status, output = run(root, f"({scripts.version})\n({scripts.architecture})")
        version, architecture = output.splitlines()[-2:]
        assert (status, version) == (0, _VERSIONS[name])
        host = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
        assert _DEBIAN[architecture] == host.stdout.strip()

        with Container(str(root), f"family-{name}") as machine:
            said = machine.command(["systemctl", "is-system-running", "--wait"], deadline=Deadline(60))
            failed = machine.command(["systemctl", "--failed", "--plain"], deadline=Deadline(60))
            assert (said.status, said.output) == (0, "running\n"), failed.output
            names = machine.command(["busctl", "--system", "list", "--acquired"], deadline=Deadline(60))
            assert "org.freedesktop.login1" in names.output


def test_only_keys_that_the_image_brings_are_trusted(environment: dict[str, str]) -> None:
    with copied("zypper") as root:
        (root / "usr/lib/rpm/gnupg/keys/gpg-pubkey-standin.asc").unlink()
        scripts = family.load("zypper")
        assert run(root, scripts.clean)[0] == 0
        status, output = run(root, scripts.install)
        assert status != 0
        assert "key" in output


def test_a_snapshot_is_verified_as_of_its_day(environment: dict[str, str]) -> None:
    with copied("pacman") as root:
        assert run(root, family.load("pacman").clean)[0] == 0
        archive = "Server = https://archive.archlinux.org/repos/2022/05/01/$repo/os/$arch\n"
        assert (root / "etc/pacman.d/mirrorlist").read_text() == archive
        status, output = run(root, "pacman --sync --refresh --noconfirm")
        assert status == 0, output
        # The key has expired since: it is this day that makes it good.
        settings = root / "etc/pacman.d/gnupg/gpg.conf"
        lines = settings.read_text().splitlines(keepends=True)
        settings.write_text("".join(line for line in lines if not line.startswith("faked-system-time")))
        status, output = run(root, "pacman-key --updatedb && pacman --sync --refresh --refresh --noconfirm")
        assert status != 0
        assert "unknown trust" in output or "expired" in output, output
