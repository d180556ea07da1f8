"""What of the host a machine is given: binds that cannot be, or that would cost the host its files."""

from pathlib import Path

import pytest

from badinput import assert_refused
from support import Run

pytestmark = pytest.mark.once


@pytest.mark.parametrize("target", ["", ":/tmp", ":/var/tmp", ":/tmp/.X11-unix", ":/run/mine", ":/var/run/mine"])
def test_a_directory_that_a_boot_would_empty_is_refused(
    postroj: Run, bookworm: str, tmp_path: Path, target: str
) -> None:
    kept = {tmp_path / name for name in (".X0-lock", "systemd-private-0-x", "file")}
    for path in kept:
        path.touch()
    source = str(tmp_path) if target else "/tmp"
    done = postroj("run", f"--bind={source}{target}", bookworm, "true")
    assert_refused(done, 125, f"{source} cannot be bound writable to {target[1:] or '/tmp'}: the machine's systemd")
    assert set(tmp_path.iterdir()) == kept
    if target in (":/tmp", ":/var/tmp"):
        done = postroj("run", f"--bind={source}{target}/mine", bookworm, "ls", "-A", f"{target[1:]}/mine")
        assert (done.returncode, set(done.stdout.split())) == (0, {path.name for path in kept}), done.stderr
        assert set(tmp_path.iterdir()) == kept


@pytest.mark.parametrize("booted", [[], ["--no-boot"]])
def test_a_file_is_not_bound_to_a_directory(postroj: Run, bookworm: str, booted: list[str]) -> None:
    done = postroj("run", *booted, "--bind-ro=/etc/hostname:/root", bookworm, "true")
    assert_refused(done, 125, "cannot bind /etc/hostname, a file, to /root, which is a directory in the image")
