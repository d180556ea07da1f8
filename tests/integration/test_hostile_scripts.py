"""Maintainer scripts that attack the machine they run in: one sentence for each, no hang, and nothing is left."""

from pathlib import Path
from typing import NamedTuple

import pytest

import debs
from support import Run

pytestmark = pytest.mark.once


class Case(NamedTuple):
    """What a script does, and what is said of it in the first line."""

    postinst: str
    status: int
    told: str
    words: tuple[str, ...] = ()


CASES = {
    "forks 10,000 processes": Case(
        "i=0; while [ $i -lt 10000 ]; do sleep 900 & i=$((i+1)); done", 0, "more, ended with the installation"
    ),
    "forks more than it may": Case(
        "i=0; while [ $i -lt 1000 ]; do sleep 900 & i=$((i+1)); done", 1, "Cannot fork", ("--tasks=200",)
    ),
    "prints 1 GiB in one line": Case("head -c 1G /dev/zero; echo; echo enough; exit 1", 1, "(exit status 1): enough"),
    "prints 1 GiB in lines": Case("yes | head -c 1G; echo enough; exit 1", 1, "(exit status 1): enough"),
    "prints terminal escapes": Case(
        r"printf '\033]0;owned\007\033[2J\033[31mred\n'; exit 1", 1, "the postinst of case failed (exit status 1): "
    ),
    "kills dpkg": Case("kill -9 $PPID; sleep 9", 1, "dpkg exited unexpectedly in the postinst of case"),
    "kills apt-get": Case(
        "kill -9 $(sed -n 's/^PPid:.//p' /proc/$PPID/status); sleep 900", 1, "apt-get was killed (signal 9)"
    ),
    "kills all": Case("kill -9 -1; sleep 9", 1, "is lost: "),
    "removes systemctl": Case("rm /usr/bin/systemctl", 1, "the installation has removed systemctl"),
    "sets the clock, and goes on": Case("date -s 2020-01-01 || true", 0, "installed"),
    "fills /tmp": Case("cat /dev/zero >/tmp/full", 3, "the guest's disk is full", ("--disk=30M",)),
    "fills /tmp, within the memory": Case("cat /dev/zero >/tmp/full", 3, "OOM killer", ("--memory=300M",)),
    "stops the network": Case("echo 0 >/proc/sys/net/ipv4/ip_forward || true; ip link set host0 down || true;"
        " systemctl stop systemd-networkd networking || true", 0, "installed"),
    "stops systemd": Case("kill -9 1; systemctl poweroff --force --force; sleep 900", 1, "was shut down"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_hostile_script_gets_its_sentence(postroj: Run, bookworm: str, tmp_path: Path, case: Case) -> None:
    package = debs.build(tmp_path, "case", service=None, postinst=case.postinst)
    done = postroj("pkgprobe", f"--image={bookworm}", f"--package={package}", *case.words)
    shown = done.stdout + done.stderr
    assert done.returncode == case.status, shown
    lines = done.stdout.splitlines() or [line for line in done.stderr.splitlines() if line.startswith("postroj: ")]
    assert case.told in lines[0], shown
    assert "Traceback" not in shown and "internal error" not in shown
    assert "\x1b" not in shown and "\x07" not in shown
    assert len(shown) < 100_000
