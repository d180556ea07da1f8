"""The processes of a guest, as the host sees them: by its cgroup, which is another one on each kind of host."""

from pathlib import Path

import hello
from support import Run

_CHECKS = (
    # the UID is that which the guest counts, whatever the host's is
    "process systemd user=root count=1-2",
    "process dbus-daemon user=messagebus count=1",
    "process hellod user=hello count=1",
    "process systemd-nspawn count=0",
    "listen 8080 process=hellod unit=hello address=127.0.0.1",
    "listen 5300/udp process=hellod unit=hello address!=0.0.0.0",
    # its mode is 0755, and its owner not root
    "unix /run/hello/control send='PING\\n' reply=PONG",
)


def test_processes_and_what_they_listen_on(postroj: Run, bookworm: str, tmp_path: Path) -> None:
    package = hello.build(tmp_path)
    done = postroj(
        "pkgprobe", f"--image={bookworm}", f"--package={package}", "--stay-active=0",
        *(f"--check={check}" for check in _CHECKS),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
