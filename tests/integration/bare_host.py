"""A host without systemd, as micro-VMs and containers are: PID 1 only waits, and /run is empty.

Its processes, mounts, cgroups, network, /run and state directory are its own; its programs are the real host's.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from confined import CGROUP1, children, confined
from host_disk import copy_state, host_directory
from host_network import RESOLV_CONF, connected
from support import STATE

_REPOSITORY = Path(__file__).parent.parent.parent

_LAYOUTS = {
    "unified": "mount -t cgroup2 cgroup2 /sys/fs/cgroup\nroot=/sys/fs/cgroup",
    "hybrid": f"""
        mount -t tmpfs -o mode=0755 tmpfs /sys/fs/cgroup
        for controllers in {CGROUP1}; do
            mkdir "/sys/fs/cgroup/${{controllers#name=}}"
            case $controllers in
            name=*) mount -t cgroup -o "none,$controllers" cgroup "/sys/fs/cgroup/${{controllers#name=}}" ;;
            *) mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/$controllers" ;;
            esac
        done
        mkdir /sys/fs/cgroup/unified
        mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
        root=/sys/fs/cgroup/unified
    """,
}

# Settings of the kernel that all hosts share, and what they usually are: each host has files in their place, or one
# would see what another sets. hosts.py has set the kernel's own. As a file lies over one of /sys, /run/sysfs is a whole
# one: a user namespace may mount sysfs only where one is to be seen.
_SHARED = {"/proc/sys/fs/inotify/max_user_instances": "128", "/sys/kernel/rcu_expedited": "0"}

# DIRECTORY STATE SETTING=VALUE...: a namespace makes the cgroup that it was made in the root of all that is mounted
# afterwards. No process stays in that: one with processes could not have its controllers divided among cgroups in it.
_BOOT = """
exec unshare --cgroup sh -euc '
umount --recursive --lazy /sys
mount -t sysfs sysfs /sys
{layout}
mkdir "$root/host"
echo 0 >"$root/host/cgroup.procs"
echo 0 >/proc/sys/net/ipv4/ip_forward
ip link set lo up
mkdir -p /run/lock
resolver=$(readlink -m /etc/resolv.conf)
mkdir -p "${{resolver%/*}}"
[ -e "$resolver" ] || : >"$resolver"
mount --bind "$1/resolv.conf" "$resolver"
directory=$1 state=$2
shift 2
for setting; do
    [ -e "${{setting%=*}}" ] || continue
    file=$directory/$(basename "${{setting%=*}}")
    echo "${{setting#*=}}" >"$file"
    mount --bind "$file" "${{setting%=*}}"
done
mkdir /run/sysfs
mount -t sysfs sysfs /run/sysfs
mount --bind "$directory/state" "$state"  # which hides the directory
echo up
sleep infinity &
wait
' sh "$@"
"""

# CGROUP2 DIRECTORY COMMAND...: into the host's cgroups, of v1 as well ("tasks" is only there), and the directory.
_ENTER = """
set -eu
echo 0 >"$1/host/cgroup.procs"
for tasks in /sys/fs/cgroup/*/tasks; do
    [ ! -e "$tasks" ] || echo 0 >"$tasks"
done
cd "$2"
shift 2
exec "$@"
"""


class BareHost:
    """Such a host, which is up."""

    def __init__(self, init: int, layout: str) -> None:
        self._enter = ["nsenter", f"--target={init}", "--mount", "--pid", "--net", "--cgroup"]
        self._cgroup2 = "/sys/fs/cgroup" if layout == "unified" else "/sys/fs/cgroup/unified"

    def python(self, *words: str, env: Mapping[str, str]) -> list[str]:
        """The command that runs the Python that runs this, in the same repository, with further variables."""
        enter = ["sh", "-c", _ENTER, "sh", self._cgroup2, str(_REPOSITORY)]
        return [
            *self._enter,
            *enter,
            "env",
            *(f"{name}={value}" for name, value in env.items()),
            sys.executable,
            *words,
        ]


@contextmanager
def bare_host(layout: str) -> Iterator[BareHost]:
    """One whose cgroups are `unified`, or `hybrid`: cgroup v1, and cgroup2 beside it."""
    boot = _BOOT.format(layout=_LAYOUTS[layout])
    with host_directory() as directory:
        copy_state(directory / "state")
        (directory / "resolv.conf").write_text(RESOLV_CONF)
        settings = [f"{path}={value}" for path, value in _SHARED.items()]
        with confined(
            boot, directory, STATE, *settings, env=os.environ, stdout=subprocess.PIPE, cgroup1=layout == "hybrid"
        ) as process:
            assert process.stdout is not None
            if process.stdout.readline() != b"up\n":
                output = process.stdout.read().decode(errors="replace")
                raise AssertionError(f"the host has not come up:\n{output}")
            (init,) = children(process.pid)
            with connected(init):
                yield BareHost(init, layout)
