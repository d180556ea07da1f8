"""What was asked for is what is installed, with what a user gets along with it, and the report says so."""

from collections.abc import Callable
from pathlib import Path

import pytest

import debs
from support import Run

pytestmark = pytest.mark.once


def test_file_of_a_version_that_the_repositories_have(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    """With package lists, apt-get has two sources of one version: the file is the one that is installed."""
    there = postroj("run", bookworm, "dpkg-query", "--show", "--showformat=${Version} ${Architecture}", "mount")
    version, architecture = there.stdout.split()
    fields = {"Version": version, "Architecture": architecture}
    package = debs.build(tmp_path, "mount", service=None, postinst="echo this is the file; exit 1", fields=fields)
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}", "--package=webfs")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the postinst of mount failed (exit status 1): this is the file" in done.stdout.splitlines()[0]


@pytest.mark.parametrize("name", ["debian-bullseye", "debian-bookworm", "debian-trixie"])
def test_recommended_packages_come_along(postroj: Run, image: Callable[[str], str], tmp_path: Path, name: str) -> None:
    fields = {"Recommends": "webfs, is-nowhere, bash"}
    package = debs.build(tmp_path, "recommending", service=None, fields=fields)
    done = postroj(
        "pkgprobe", "-v", f"--image={image(name)}", f"--package={package}", "--check-network=tcp://localhost:8000"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = [line.removeprefix("     | ") for line in done.stdout.splitlines()]
    assert any(line.startswith("$ DEBIAN_FRONTEND=noninteractive apt-get install") for line in report)
    besides = next(line for line in report if line.startswith("installed besides: "))
    assert ", webfs 1." in besides
    assert "recommended, and in no package list: is-nowhere" in report


def test_package_without_dependencies_takes_no_package_lists(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "alone", service=None, fields={"Recommends": "bash", "Suggests": "webfs"})
    done = postroj("pkgprobe", "-v", f"--image={bookworm}", f"--package={package}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "apt-get install" in done.stdout
    assert "apt-get update" not in done.stdout + done.stderr
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}")
    assert "apt-get" not in done.stdout, "what has passed is shown by -v only"


@pytest.mark.parametrize(
    ("postinst", "told"),
    [
        pytest.param(
            "echo '# more' >>/var/lib/dpkg/info/fickle.postinst",
            "does not come from {package}: its postinst is not that of the file",
            id="another file",
        ),
        pytest.param("rm /usr/bin/dpkg-query", "the guest's dpkg does not work any more", id="no dpkg-query"),
    ],
)
def test_what_is_installed_is_looked_at(postroj: Run, bookworm: str, tmp_path: Path, postinst: str, told: str) -> None:
    package = debs.build(tmp_path, "fickle", service=None, postinst=postinst)
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert told.format(package=package) in done.stdout.splitlines()[0]


def test_word_of_another_family_for_the_architecture(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = debs.build(tmp_path, "foreign", fields={"Architecture": "x86_64"})
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}")
    assert done.returncode == 1, done.stdout + done.stderr
    told = f"FAILED {bookworm}: package {package}: is for x86_64, which Debian calls amd64"
    assert done.stdout.splitlines()[0] == told
    assert done.stderr == "", "nothing has booted"
