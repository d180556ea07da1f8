"""What works on macOS, and the one sentence that all else says there. No Mac was at hand: see darwin.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from postroj import __version__

from .debfile import deb

_PROGRAM = str(Path(__file__).with_name("darwin.py"))
_PLAN = """\
packages = ["nginx"]
images = ["debian-bookworm", "fedora-43"]
"""
_PYTHON = """\
import postroj
request = postroj.Request("debian-bookworm", ["hello"])
for use in (postroj.machine("debian-bookworm").__enter__, lambda: postroj.pkgprobe(request)):
    try:
        use()
    except postroj.PostrojError as error:
        print(error)
"""


def on_macos(
    *arguments: str, cwd: Path | None = None, home: Path | None = None, path: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if not name.startswith("POSTROJ_")}
    env["HOME"] = str(home or "/nonexistent")
    env["PATH"] = str(path or env["PATH"])
    command = [sys.executable, _PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=env)


@pytest.mark.parametrize(
    ("command", "shows"),
    [
        ("--version", f"postroj {__version__}\n"), ("version", __version__), ("--help", "pkgprobe"),
        ("help run", "--bind"), ("pkgprobe --help", "--check-unit"),
        ("list-images", "windows-2022\twindows-server-2022\t"),
        ("list-images --format=json --supported", '"name": "debian-trixie"'), ("completion bash", "_postroj_images"),
        ("completion zsh", "#compdef postroj"), ("completion fish", "complete -c postroj"),
        ("ps", ""), ("ps --quiet", ""), ("vm ls", ""), ("vm --quiet ls", ""),
    ],
)  # fmt: skip
def test_what_needs_no_linux_works(command: str, shows: str) -> None:
    done = on_macos(*command.split())
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert shows in done.stdout


def test_a_plan_is_listed(tmp_path: Path) -> None:
    (tmp_path / "postroj.toml").write_text(_PLAN)
    listed = on_macos("test", "--list", cwd=tmp_path)
    assert (listed.returncode, listed.stderr) == (0, ""), listed.stderr
    assert "debian-bookworm:nginx" in listed.stdout and "fedora-43:nginx" in listed.stdout


def test_vms_are_listed_and_need_no_root(tmp_path: Path) -> None:
    """They are the user's own there, and nothing tells who uses one."""
    vm = tmp_path / ".local/state/postroj/vms/debian-bookworm-1"
    vm.mkdir(parents=True)
    (vm / "box").write_text('{"image": "debian-bookworm", "name": "bento/debian-12", "provider": "virtualbox"}')
    (vm / "ready").write_text('{"box": "x", "address": "127.0.0.1", "port": 2222}')
    listed = on_macos("vm", "ls", "--format=plain", home=tmp_path)
    assert (listed.returncode, listed.stderr) == (0, ""), listed.stderr
    assert listed.stdout == "debian-bookworm-1\tdebian-bookworm\toff\n"


def test_cells_are_explained(tmp_path: Path) -> None:
    (tmp_path / "postroj.toml").write_text(_PLAN)
    told = on_macos("test", "--explain", "fedora-43", cwd=tmp_path)
    assert (told.returncode, told.stderr) == (0, ""), told.stderr
    assert told.stdout.startswith("fedora-43:nginx\n  package = nginx\n")


def test_a_plan_is_checked(tmp_path: Path) -> None:
    (tmp_path / "postroj.toml").write_text(_PLAN)
    checked = on_macos("test", "--check", cwd=tmp_path)
    assert (checked.returncode, checked.stdout) == (0, "postroj.toml is right: 2 cells\n"), checked.stderr


def test_a_mistake_in_a_plan_is_told(tmp_path: Path) -> None:
    (tmp_path / "postroj.toml").write_text(_PLAN.replace("images", "imags"))
    wrong = on_macos("test", "--check", cwd=tmp_path)
    assert wrong.returncode == 2 and "postroj.toml:2: imags is an unknown key" in wrong.stderr


def test_a_plan_is_written(tmp_path: Path) -> None:
    (tmp_path / "hello_1.0-1_amd64.deb").write_bytes(deb())
    written = on_macos("test", "--init", cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    assert (tmp_path / "postroj.toml").read_text().startswith("# What `postroj test` does here")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("run debian-bookworm true", 125), ("pkgprobe --package=hello", 2),
        ("run --no-boot debian-bookworm true", 125), ("exec x true", 125),
        ("pkgprobe --image=debian-bookworm --package=hello", 2), ("test nginx --image=debian-12", 2),
        ("pull debian-bookworm", 2), ("image rm debian-bookworm", 2), ("image import ./x x", 2),
        ("gc", 2), ("stop x", 2), ("logs x", 2), ("cp x:/a b", 2),
    ],
)  # fmt: skip
def test_all_else_says_one_sentence(command: str, status: int, tmp_path: Path) -> None:
    done = on_macos(*command.split(), cwd=tmp_path)
    assert done.stderr.splitlines()[0] == "postroj: this needs Linux, and this host runs macOS"
    assert len(done.stderr.splitlines()) == 2 and "`postroj vm host create`" in done.stderr
    assert (done.returncode, done.stdout) == (status, "")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("run windows-2022 cmd /C ver", 125), ("run --vm debian-bookworm true", 125),
        ("run --provider=parallels debian-bookworm true", 125), ("pkgprobe --vm --image=debian-12 --package=hello", 3),
        ("pkgprobe --image=windows-2022 --package=hello", 3),
    ],
)  # fmt: skip
def test_virtual_machines_are_those_of_this_host(command: str, status: int) -> None:
    """They need no Linux, and no root; the host that is shown has another architecture than the boxes."""
    done = on_macos(*command.split())
    assert done.stderr.endswith(" is for amd64, and this host is arm64\n"), done.stderr
    assert (done.returncode, done.stdout) == (status, "")


def test_a_vm_needs_a_provider(tmp_path: Path) -> None:
    """A box without a known architecture; there is nothing in PATH."""
    done = on_macos("run", "vagrant:bento/debian-12", "true", path=tmp_path)
    assert done.returncode == 125 and "this host has none of them: " in done.stderr
    assert "install one of them" in done.stderr


def test_doctor_tells_the_rest() -> None:
    done = on_macos("doctor")
    assert (done.returncode, done.stderr) == (3, "")
    assert "bad   this host runs macOS, and machines need Linux" in done.stdout
    assert "`postroj vm host create`" in done.stdout and "list-images, completion" in done.stdout
    assert len(done.stdout.splitlines()) == 4


def test_doctor_tells_that_there_is_a_linux_vm(tmp_path: Path) -> None:
    vm = tmp_path / ".local/state/postroj/vms/linux-host"
    vm.mkdir(parents=True)
    (vm / "ready").write_text('{"box": "x", "address": "127.0.0.1", "port": 2222}')
    done = on_macos("doctor", home=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok    this host runs macOS, and what needs Linux is run in the Linux VM" in done.stdout


@pytest.mark.parametrize("form", ["json", "junit", "html", "tap", "text"])
def test_reports_are_written(tmp_path: Path, form: str) -> None:
    code = f"""\
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from results import RESULTS
from postroj import report
report.write(RESULTS["failed"], {form!r}, "report")
"""
    done = on_macos("-c", code, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert (tmp_path / "report").read_text() and [path.name for path in tmp_path.iterdir()] == ["report"]


def test_python_programs_are_told_the_same() -> None:
    done = on_macos("-c", _PYTHON)
    assert done.stdout.splitlines() == ["this needs Linux, and this host runs macOS"] * 2, done.stderr
