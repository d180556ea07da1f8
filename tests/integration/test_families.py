"""Each family's scripts, driven by its real package manager in a tree that stands in for its images (standins.py)."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from badinput import assert_told
from postroj import family
from postroj.container.tree import run_in_tree
from scratch import scratch_state
from standins import STANDINS, copy, family_of, standin
from support import Run

pytestmark = pytest.mark.once

_PARTS = ("usr/lib/systemd/systemd", "usr/lib/systemd/system/dbus.socket", "usr/bin/dbus-daemon", "usr/bin/mount")

_VERSION = re.compile(r"(dnf|yum|zypper|Pacman) v?[0-9]+(\.[0-9]+)+")

_DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}


@contextmanager
def copied(name: str) -> Iterator[Path]:
    """The tree of a stand-in, to write to."""
    with standin(name) as tree, scratch_state() as state:
        copy(tree, state / "root")
        yield state / "root"


def run(root: Path, script: str) -> tuple[int, str]:
    return run_in_tree(str(root), ["sh", "-c", script], name="test-families")


@pytest.mark.parametrize("name", STANDINS)
def test_tree_without_systemd_is_pulled_and_boots(name: str, postroj: Run, tmp_path: Path) -> None:
    with standin(name) as tree, scratch_state() as state:
        systemd = next(tree.glob("srv/repository/arch/systemd-[0-9]*")).name.split("-")[1]
        env = {"POSTROJ_STATE_DIR": str(state)}
        assert [part for part in _PARTS if (tree / part).exists()] == []
        pulled = postroj("image", "import", tree, name, env=env)
        assert pulled.returncode == 0, pulled.stderr
        assert "installing systemd and D-Bus" in pulled.stderr
        root = state / "images" / name
        assert [part for part in _PARTS if not (root / part).exists()] == []
        # What packages bring is there as on a system, not as in an image for containers.
        assert (root / "usr/share/doc/systemd/copyright").exists()

        (image,) = json.loads(postroj("image", "inspect", name, env=env).stdout)
        host = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
        found = (image["family"], _DEBIAN[image["architecture"]], image["systemd"])
        assert found == (family_of(name), host.stdout.strip(), systemd)
        version = _VERSION.fullmatch(image["package_manager"])
        assert version and version[1].lower() == family_of(name)

        probed = postroj("pkgprobe", f"--image={name}", "--check-unit=systemd-journald", "--check-unit=dbus", env=env)
        assert probed.returncode == 0, probed.stdout + probed.stderr
        checks = (f"package systemd version~={systemd}", "package webfs installed=no")
        probed = postroj("pkgprobe", f"--image={name}", *(f"--check={check}" for check in checks), env=env)
        assert probed.returncode == 0, probed.stdout + probed.stderr
        states = postroj("run", name, "systemctl", "is-system-running", "--wait", env=env)
        assert (states.returncode, states.stdout) == (0, "running\n"), states.stderr

        unknown = postroj("pkgprobe", f"--image={name}", "--package=webfs", env=env)
        told = f"FAILED {name}: package webfs: there is no package webfs in the repositories\n"
        assert (unknown.returncode, unknown.stdout.startswith(told)) == (1, True), unknown.stdout

        # What is there already needs no repository.
        without = tmp_path / "without"
        subprocess.run(["cp", "--archive", root.resolve(), without], check=True)
        (without / "srv/repository").rename(without / "srv/elsewhere")
        again = postroj("image", "import", without, "again", env=env)
        assert (again.returncode, "installing" in again.stderr) == (0, False), again.stderr


def test_red_hat_without_entitlements(postroj: Run) -> None:
    with copied("dnf") as root:
        (root / "srv/repository").rename(root / "srv/elsewhere")
        release = root / "usr/lib/os-release"
        release.write_text('ID="rhel"\nVERSION_ID="9.4"\n')
        env = {"POSTROJ_STATE_DIR": str(root.parent)}
        done = postroj("image", "import", root, "ubi", env=env)
        assert_told(done, 3, "ubi cannot be imported: ", "without entitlements, RHEL has the repositories of UBI only")


def test_only_keys_that_the_image_brings_are_trusted(environment: dict[str, str]) -> None:
    with copied("zypper") as root:
        (root / "usr/lib/rpm/gnupg/keys/gpg-pubkey-standin.asc").unlink()
        scripts = family.load("zypper")
        assert run(root, scripts.clean)[0] == 0
        status, output = run(root, scripts.systemd)
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
