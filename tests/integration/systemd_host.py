"""A host that runs systemd as PID 1, on cgroup2 alone, with machined: simulated by a container that may do all.

It has processes, mounts, cgroups and a /run of its own; its network is the real host's. Its kernel settings and /sys
are read-only, so that its systemd does not change the real host's.
"""

import importlib.util
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from support import STATE

_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "systemd-container", "util-linux", "mount", "iproute2", "nftables"),
    *("mmdebstrap", "python3"),
)
# It shares the real host's network and kernel, whose settings and modules are not for it to change.
_MASKED = ("systemd-sysctl.service", "systemd-modules-load.service", "apt-daily.timer", "apt-daily-upgrade.timer")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHON = "/opt/python"
# The directories are those of the Python that runs the tests; the Python is the host's own.
_POSTROJ = ["env", f"PYTHONPATH={_PYTHON}/postroj:{_PYTHON}/libraries", "python3", "-m", "postroj"]
_SYSTEMD_RUN = [
    *("systemd-run", "--quiet", "--collect", "--working-directory=/root"),
    *(f"--setenv={variable}" for variable in (_PATH, "HOME=/root", "LANG=C.UTF-8")),
]
_BOOT_SECONDS = 60.0
_END_SECONDS = 30.0

# NAME TREE DIRECTORY nspawn-argument...: in a mount namespace of its own, so that what it mounts goes with it.
_BOOT = """
set -eu
name=$1 tree=$2 directory=$3
shift 3
umount --recursive --lazy /sys/fs/cgroup || :
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$name"
echo 0 >"/sys/fs/cgroup/$name/cgroup.procs"
mkdir -p /run/systemd/nspawn
mount -t tmpfs -o mode=0755 tmpfs /run/systemd/nspawn
cd "$directory"
mkdir upper work root
mount -t overlay -o "lowerdir=$tree,upperdir=upper,workdir=work" overlay root
exec systemd-nspawn --directory=root "--machine=$name" "$@" </dev/null
"""

_REMOVE_CGROUP = """
mount -t cgroup2 cgroup2 /sys/fs/cgroup
[ ! -d "/sys/fs/cgroup/$1" ] || find "/sys/fs/cgroup/$1" -depth -type d -exec rmdir {} +
"""

_NAMESPACES = ["unshare", "--mount", "--propagation", "private"]


class SystemdHost:
    """A host that has booted."""

    def __init__(self, leader: int) -> None:
        self._enter = ["nsenter", f"--target={leader}", "--all", "--root", "--wd", "env", "--ignore-environment", _PATH]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end as a service of that host's systemd."""
        return self.control(*_SYSTEMD_RUN, "--pipe", "--wait", *words)

    def postroj(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run postroj so; PATH, HOME and LANG are all that it has of an environment."""
        return self.run(*_POSTROJ, *words)

    def start_postroj(self, unit: str, *words: str) -> None:
        """Start postroj as a service with a name; what has ended of it, whatever the outcome, systemd forgets."""
        done = self.control(*_SYSTEMD_RUN, f"--unit={unit}", *_POSTROJ, *words)
        assert done.returncode == 0, done.stderr

    def control(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command that talks to the host's systemd, and is itself outside of its cgroups."""
        return subprocess.run(
            [*self._enter, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=150, check=False
        )


@contextmanager
def systemd_host(writable: Mapping[Path, str], readable: Mapping[Path, str]) -> Iterator[SystemdHost]:
    """Boot one, with directories bound to places in it, and shut it down in good order; nothing is left of it."""
    tree = _tree()
    name = f"systemd-host-{os.getpid()}"
    binds = [f"--bind={source}:{target}" for source, target in writable.items()]
    binds += [f"--bind-ro={source}:{target}" for source, target in {**readable, **_libraries()}.items()]
    # All of it on the disk that the tree lies on: an overlay in an overlay is not to be had.
    with tempfile.TemporaryDirectory(prefix="scratch-host-", dir=STATE) as directory:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(f"{directory}/console", "wb") as console:
            notify.bind(f"{directory}/notify")
            process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL", *_NAMESPACES, "--pid", "--fork", "--kill-child=SIGKILL"),
                    *("--mount-proc", "sh", "-c", _BOOT, "sh", name, str(tree), directory),
                    *("--boot", "--register=no", "--keep-unit", "--notify-ready=yes", "--settings=no"),
                    *("--link-journal=no", "--resolv-conf=replace-host", "--console=pipe"),
                    *("--capability=all", "--private-users=no", *binds),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={
                    "PATH": _PATH.removeprefix("PATH="),
                    "NOTIFY_SOCKET": f"{directory}/notify",
                    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
                    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                    "SYSTEMD_SECCOMP": "0",  # or the machines in it could not be made
                },
            )
            try:
                _wait_ready(notify, Path(directory, "console"))
                (nspawn,) = _children(process.pid)
                (leader,) = _children(nspawn)
                host = SystemdHost(leader)
                try:
                    yield host
                finally:  # in good order after a failure as well: what is left in the network would be the real host's
                    host.control("systemctl", "poweroff")
                    process.wait(_END_SECONDS)
                assert process.returncode == 0, Path(directory, "console").read_text(errors="replace")
            finally:
                _kill(process)
                subprocess.run([*_NAMESPACES, "sh", "-c", _REMOVE_CGROUP, "sh", name], check=True)


def _tree() -> Path:
    """The host's root; made once, and kept with the pulled images."""
    tree = Path(STATE, "systemd-host")
    if not tree.exists():
        with tempfile.TemporaryDirectory(prefix="scratch-host-", dir=STATE) as directory:
            command = ["mmdebstrap", "--mode=root", "--variant=apt", f"--include={','.join(_PACKAGES)}", "bookworm"]
            made = Path(directory, "root")
            done = subprocess.run(
                [*command, made], capture_output=True, text=True, env={**os.environ, "TMPDIR": directory}, check=False
            )
            assert done.returncode == 0, done.stderr
            (made / "etc/hostname").write_text("systemd-host\n")
            for unit in _MASKED:
                (made / "etc/systemd/system" / unit).symlink_to("/dev/null")
            made.rename(tree)
    return tree


def _libraries() -> dict[Path, str]:
    """Where postroj and the pure Python that it needs are, and where the host has them."""
    found = {}
    for package, place in (("postroj", "postroj"), ("jeepney", "libraries")):
        spec = importlib.util.find_spec(package)
        assert spec
        assert spec.origin
        found[Path(spec.origin).parent.parent] = f"{_PYTHON}/{place}"
    return found


def _wait_ready(notify: socket.socket, console: Path) -> None:
    notify.settimeout(_BOOT_SECONDS)
    try:
        while b"READY=1" not in notify.recv(4096).split(b"\n"):
            pass
    except TimeoutError:
        raise AssertionError(f"the host has not booted:\n{console.read_text(errors='replace')}") from None


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill PID 1 of the namespace, and with it all in it; the process itself ends once they are gone."""
    if process.poll() is None:
        for pid in _children(process.pid) or [process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def _children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
