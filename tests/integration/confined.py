"""What confines a simulated host: namespaces and a cgroup of its own, and nothing of it is left afterwards."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PRIVATELY = ["unshare", "--mount", "--propagation", "private"]

# The death signal follows the thread that starts it, which therefore waits for the end.
_CONFINED = ["setpriv", "--pdeathsig", "KILL", *_PRIVATELY, "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]

CGROUP1 = "$( (cut -d: -f2 /proc/self/cgroup; echo name=systemd) | sort -u)"
"""For a shell: the hierarchies of cgroup v1 that this kernel has in use, and the one that systemd used to have."""

# NAME: a cgroup of the name in each hierarchy of cgroup v1. A new cpuset has no CPUs and no memory.
_ENTER_CGROUP1 = f"""
for controllers in {CGROUP1}; do
    mount -t cgroup -o "$(echo "$controllers" | sed s/^name=/none,name=/)" cgroup /sys/fs/cgroup
    mkdir "/sys/fs/cgroup/$1"
    for file in cpuset.cpus cpuset.mems; do
        [ ! -e "/sys/fs/cgroup/$file" ] || cat "/sys/fs/cgroup/$file" >"/sys/fs/cgroup/$1/$file"
    done
    echo 0 >"/sys/fs/cgroup/$1/cgroup.procs"
    umount /sys/fs/cgroup
done
"""

# NAME SCRIPT ARGUMENT...: in a cgroup of the name, with cgroup2 alone mounted, and an empty /run.
_ENTER = """
set -eu
umount --recursive --lazy /sys/fs/cgroup || :
{cgroup1}
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$1"
echo 0 >"/sys/fs/cgroup/$1/cgroup.procs"
umount --recursive --lazy /run 2>/dev/null || :
mount -t tmpfs -o mode=0755 tmpfs /run
script=$2
shift 2
exec sh -euc "$script" sh "$@"
"""

# NAME
_REMOVE_CGROUPS = """
remove() {
    mount -t "$1" -o "$2" cgroup /sys/fs/cgroup
    [ ! -d "/sys/fs/cgroup/$3" ] || find "/sys/fs/cgroup/$3" -depth -type d -exec rmdir {} +
    umount /sys/fs/cgroup
}
umount --recursive --lazy /sys/fs/cgroup || :
for controllers in $(cut -d: -f2 /proc/self/cgroup); do
    remove cgroup "$(echo "$controllers" | sed s/^name=/none,name=/)" "$1"
done
remove cgroup2 defaults "$1"
"""


@contextmanager
def confined(
    script: str, *arguments: str | Path, env: Mapping[str, str], stdout: int | IO[bytes], cgroup1: bool = False
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a shell script, given `arguments`, as PID 1 in mount, PID and network namespaces and a cgroup.

    With `cgroup1` it has a cgroup of its own in each hierarchy of cgroup v1 as well.
    Its standard error goes where its standard output goes. What is left of it at the end of the block is killed.
    """
    name = f"test-host-{os.urandom(4).hex()}"
    enter = _ENTER.format(cgroup1=_ENTER_CGROUP1 if cgroup1 else "")
    process = subprocess.Popen(
        [*_CONFINED, "--net", "sh", "-c", enter, "sh", name, script, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        env=env,
    )
    try:
        yield process
    finally:
        _kill(process)
        subprocess.run([*_PRIVATELY, "sh", "-euc", _REMOVE_CGROUPS, "sh", name], check=True)


def children(pid: int) -> list[int]:
    """The PIDs of a process's children."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill PID 1 of the namespace, and with it all in it; the process itself ends once they are gone."""
    if process.poll() is None:
        for pid in children(process.pid) or [process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()
