"""What a guest has around its packages is what an installed system has, as far as that is safe."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import debs
from support import Run

_IMAGES = ["debian-bullseye", "debian-bookworm", "debian-trixie"]


def probe(postroj: Run, image: str, package: Path, *words: str) -> None:
    done = postroj("pkgprobe", "--image", image, "--package", package, *words)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.once
def test_files_that_each_installed_debian_has(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    service = 'cmp "$CREDENTIALS_DIRECTORY/name" /proc/sys/kernel/hostname && exec sleep infinity'
    unit = {"LoadCredential": "name:/etc/hostname\nLoadCredential=zone:/etc/timezone"}
    probe(postroj, bookworm, debs.build(tmp_path, "reader", service=service, unit=unit), "--check-unit=reader")


@pytest.mark.once
@pytest.mark.parametrize("name", _IMAGES)
def test_tmp_is_as_large_as_the_root_file_system(postroj: Run, image: Callable[[str], str], name: str) -> None:
    script = "df --output=size,avail / | tail -n 1; df --output=size,avail /tmp | tail -n 1; stat --format=%a:%U /tmp"
    done = postroj("run", "--disk=64M", image(name), "sh", "-c", script)
    root, tmp, mode = done.stdout.splitlines()
    assert root == tmp and root.split()[0] == "65536", done.stdout + done.stderr
    assert mode == "1777:root"


@pytest.mark.once
def test_a_postinst_that_writes_an_eighth_of_the_memory_to_tmp(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    postinst = """
        size=$(awk '/^MemTotal:/ { print int($2 / 8) }' /proc/meminfo)
        for place in /tmp /dev/shm; do fallocate --length="${size}KiB" "$place/large"; rm "$place/large"; done
    """
    probe(postroj, bookworm, debs.build(tmp_path, "large", postinst=postinst), "--check-unit=large")


def test_what_is_written_to_tmp_counts_as_disk(postroj: Run, bookworm: str) -> None:
    done = postroj("run", "--disk=32M", bookworm, "dd", "if=/dev/zero", "of=/tmp/large", "bs=1M", "count=64")
    assert done.returncode == 1 and "No space left on device" in done.stderr


@pytest.mark.once
@pytest.mark.parametrize("name", _IMAGES)
@pytest.mark.parametrize("size", ["20M", "40M"])
def test_a_disk_that_package_lists_fill(postroj: Run, image: Callable[[str], str], name: str, size: str) -> None:
    """Left to itself, apt would wait for ever."""
    words = ["--image", image(name), f"--disk={size}", "--package=webfs", "--timeout=120", "--no-cache"]
    done = postroj("pkgprobe", *words)
    assert done.returncode == 3 and "the guest's disk is full: webfs" in done.stderr, done.stdout + done.stderr
    assert "give it more by --disk" in done.stderr


def test_a_directory_of_the_host_as_tmp(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    (tmp_path / "here").touch()
    done = postroj("run", f"--bind-ro={tmp_path}:/tmp", bookworm, "ls", "/tmp")
    assert done.stdout == "here\n", done.stderr


@pytest.mark.once
@pytest.mark.parametrize("owner", [200_000, 1_048_575])
def test_a_file_of_an_owner_from_a_directory_service(postroj: Run, bookworm: str, tmp_path: Path, owner: int) -> None:
    debs.build(tmp_path, "owned", postinst=f"test $(stat --format=%u:%g /usr/share/owned/payload) = {owner}:{owner}")
    os.chown(tmp_path / "tree-of-owned/usr/share/owned/payload", owner, owner)
    package = tmp_path / "owned.deb"
    subprocess.run(["dpkg-deb", "--build", tmp_path / "tree-of-owned", package], check=True, capture_output=True)
    probe(postroj, bookworm, package, "--check-unit=owned")
