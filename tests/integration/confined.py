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

# NAME SCRIPT ARGUMENT...: in a cgroup of the name, with cgroup2 alone mounted, and an empty /run.
_ENTER = """
set -eu
umount --recursive --lazy /sys/fs/cgroup || :
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$1"
echo 0 >"/sys/fs/cgroup/$1/cgroup.procs"
umount --recursive --lazy /run 2>/dev/null || :
mount -t tmpfs -o mode=0755 tmpfs /run
script=$2
shift 2
exec sh -euc "$script" sh "$@"
"""

_REMOVE_CGROUP = """
mount -t cgroup2 cgroup2 /sys/fs/cgroup
[ ! -d "/sys/fs/cgroup/$1" ] || find "/sys/fs/cgroup/$1" -depth -type d -exec rmdir {} +
"""


@contextmanager
def confined(
    script: str, *arguments: str | Path, env: Mapping[str, str], stdout: int | IO[bytes]
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a shell script, given `arguments`, as PID 1 in mount, PID and network namespaces and a cgroup.

    Its standard error goes where its standard output goes. What is left of it at the end of the block is killed.
    """
    name = f"test-host-{os.urandom(4).hex()}"
    process = subprocess.Popen(
        [*_CONFINED, "--net", "sh", "-c", _ENTER, "sh", name, script, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        env=env,
    )
    try:
        yield process
    finally:
        _kill(process)
        subprocess.run([*_PRIVATELY, "sh", "-c", _REMOVE_CGROUP, "sh", name], check=True)


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
