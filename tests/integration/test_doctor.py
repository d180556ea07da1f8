"""What doctor says of the host that these tests run on; and whether it is what hosts.py calls it."""

import os
import subprocess
from pathlib import Path

import pytest

from support import SIMULATED, Run

_CGROUP2 = "\nok    cgroup2\n"
_CGROUP_V1 = "\nok    cgroup v1, and cgroup2 for machines\n"
_SYSTEMD = "\nok    the host runs systemd and machined: each machine is a unit, and registered\n"
_NO_SYSTEMD = "\nok    the host does not run systemd, and need not: machines are not registered with machined\n"

# What PID 1 is, the file system at /sys/fs/cgroup, and what doctor says.
_KINDS = {
    "bookworm": ("systemd", "cgroup2fs", _SYSTEMD, _CGROUP2),
    "trixie": ("systemd", "cgroup2fs", _SYSTEMD, _CGROUP2),
    "hybrid": ("sh", "tmpfs", _NO_SYSTEMD, _CGROUP_V1),
    "unified": ("sh", "cgroup2fs", _NO_SYSTEMD, _CGROUP2),
}


def test_this_host_is_fit(postroj: Run) -> None:
    done = postroj("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("ready\n")


@pytest.mark.skipif(not SIMULATED, reason="any host will do")
def test_this_host_is_of_its_kind(postroj: Run) -> None:
    init, cgroups, *told = _KINDS[os.environ["POSTROJ_TEST_HOST"]]
    assert Path("/proc/1/comm").read_text() == f"{init}\n"
    stat = ["stat", "--file-system", "--format=%T", "/sys/fs/cgroup"]
    assert subprocess.run(stat, capture_output=True, text=True, check=True).stdout == f"{cgroups}\n"
    done = postroj("doctor")
    for line in told:
        assert line in done.stdout
