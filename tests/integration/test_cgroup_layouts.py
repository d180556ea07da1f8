"""Hosts with cgroup2 alone, with cgroup v1 and cgroup2 beside it, with v1 alone, and with nothing mounted."""

import subprocess

import pytest

from support import POSTROJ

_CLEAR = "umount --recursive --lazy /sys/fs/cgroup"
_V1 = (
    "mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified"
    " && mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd"
)

_LAYOUTS = {
    "unified": "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
    "hybrid": f"{_V1} && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified",
    "v1": _V1,
    "none": "true",
}


@pytest.mark.parametrize("layout", _LAYOUTS)
def test_machine_boots_where_the_host_has(layout: str, bookworm: str, environment: dict[str, str]) -> None:
    def on_such_a_host(*words: str) -> "subprocess.CompletedProcess[str]":
        script = f'{_CLEAR}; {_LAYOUTS[layout]} || exit 77; exec "$@"'
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *words],
            env=environment,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )

    seen = on_such_a_host("sh", "-c", "grep -c ' cgroup2 ' /proc/self/mounts; grep -c ' cgroup ' /proc/self/mounts")
    if seen.returncode == 77:
        pytest.skip(f"this kernel cannot: {seen.stderr}")
    mounted = {"unified": "1\n0\n", "hybrid": "1\n1\n", "v1": "0\n1\n", "none": "0\n0\n"}
    assert seen.stdout == mounted[layout]

    done = on_such_a_host(POSTROJ, "run", bookworm, "sh", "-c", "stat -fc %T /sys/fs/cgroup; systemctl is-active dbus")
    assert (done.returncode, done.stdout, done.stderr) == (0, "cgroup2fs\nactive\n", "")
