"""VMs that are kept: each is prepared once, and every run has it as it was then.

VMS/debian-bookworm-1               a VM; locked while it is used
VMS/debian-bookworm-1/Vagrantfile, key, known_hosts, .vagrant
VMS/debian-bookworm-1/ready         how it is reached; written last: without it, it is half made, and made anew
"""

import json
import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple, Protocol

from postroj import locks
from postroj.deadline import Deadline
from postroj.errors import HostError, PostrojError
from postroj.events import Step, emit
from postroj.interrupts import uninterrupted
from postroj.replacing import replacing
from postroj.settings import vms_dir
from postroj.vm.machine import Power, VirtualMachine
from postroj.vm.ssh import HOST, Login
from postroj.vm.vagrant import Project, add_box

_MOST = 100
# Root logs in by the VM's own key alone, and so does Vagrant's user: the published key is for the first boot.
_TAKE_OVER = """
set -eu
umask 077
mkdir -p /root/.ssh
echo "$*" >/root/.ssh/authorized_keys
echo "$*" >/home/vagrant/.ssh/authorized_keys
rm -f /etc/ssh/ssh_host_*
ssh-keygen -A >/dev/null
systemctl restart ssh.service 2>/dev/null || systemctl restart sshd.service
cat /etc/ssh/ssh_host_ed25519_key.pub
"""


class Box(Protocol):
    """A box that a VM is made of."""

    @property
    def name(self) -> str:
        """What Vagrant is to call it."""

    @property
    def path(self) -> str:
        """The file that it is in."""


class Kept(NamedTuple):
    """A VM that is kept, for `postroj vm ls`."""

    name: str
    image: str
    is_ready: bool
    user: int
    """The PID of the postroj that uses it; 0 for none."""


class _Vagrant:
    def __init__(self, project: Project) -> None:
        self._project = project

    def save(self, number: int) -> None:
        self._project.do("snapshot", "save", "--force", _snapshot(number))

    def restore(self, number: int) -> None:
        self._project.do("snapshot", "restore", "--no-provision", _snapshot(number))


def _snapshot(number: int) -> str:
    return f"postroj-{number}"


@contextmanager
def taken(
    image: str, box: "Box", *, files: Sequence[tuple[str, str]] = (), deadline: Deadline
) -> Iterator[VirtualMachine]:
    """A VM of a box, as it was when it was prepared, ours for the block: two runs have two. Raises HostError."""
    with _locked(image) as path:
        name, project = os.path.basename(path), Project(path, box.name)
        power = _Vagrant(project)
        login = _login(project)
        if login:
            emit(Step(name, "restoring the VM"))
            try:
                power.restore(0)
            except HostError as error:
                emit(Step(name, f"making the VM anew: {error.what}"))
                login = None
        if not login:
            add_box(box.name, box.path)
            login = _prepared(project, power, deadline)
        try:
            with VirtualMachine(name, login, power, brought=files, deadline=deadline) as machine:
                yield machine
        finally:
            with suppress(PostrojError), uninterrupted():
                project.ask(["suspend"], deadline=Deadline(60))


@contextmanager
def _locked(image: str) -> Iterator[str]:
    """The directory of a VM that nobody uses."""
    os.makedirs(vms_dir(), mode=0o700, exist_ok=True)
    for number in range(1, _MOST + 1):
        path = os.path.join(vms_dir(), f"{image}-{number}")
        if lock := locks.lock_directory(path, create=True, wait=False):
            with lock:
                yield path
            return
    raise HostError(f"all {_MOST} VMs of {image} are used", hint="see `postroj vm ls`")


def _login(project: Project) -> Login | None:
    """Return how a VM that is ready is reached; None if it has to be made."""
    try:
        with open(os.path.join(project.path, "ready")) as file:
            told = json.load(file)
        if told["box"] != project.box:
            return None
        return Login(str(told["address"]), int(told["port"]), project.key, project.known_hosts, project.sockets)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _prepared(project: Project, power: Power, deadline: Deadline) -> Login:
    """Make the VM, or make it anew."""
    name = os.path.basename(project.path)
    _destroy(project)
    emit(Step(name, "booting the VM for the first time"))
    project.create()
    project.do("up", "--no-provision")
    with open(f"{project.key}.pub") as file:
        words = ["sudo", "sh", "-s", "--", file.read().strip()]
    told = project.ask(["ssh", "--no-tty", "-c", shlex.join(words)], stdin=_TAKE_OVER, deadline=deadline)
    words = told.split()
    if "ssh-ed25519" not in words[:1]:
        raise HostError(f"the VM {name} has told no host key", why=told[-2000:])
    with replacing(project.known_hosts) as fd:
        os.write(fd, f"{HOST} {words[0]} {words[1]}\n".encode())
    address, port = project.address(deadline)
    power.save(0)
    with replacing(os.path.join(project.path, "ready")) as fd:
        os.write(fd, json.dumps({"box": project.box, "address": address, "port": port}).encode())
    return Login(address, port, project.key, project.known_hosts, project.sockets)


def _destroy(project: Project) -> None:
    with suppress(FileNotFoundError):
        os.unlink(os.path.join(project.path, "ready"))
    if os.path.exists(os.path.join(project.path, "Vagrantfile")):
        project.create()  # an older postroj may have made it otherwise
        project.do("destroy", "--force")


def kept() -> list[Kept]:
    """Return the VMs that there are."""
    found = []
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(vms_dir())):
            path = os.path.join(vms_dir(), name)
            if not name.startswith(".") and os.path.isdir(path):
                ready = os.path.exists(os.path.join(path, "ready"))
                found.append(Kept(name, name.rpartition("-")[0], ready, locks.owner(path)))
    return found


def remove(name: str) -> bool:
    """Remove a VM with its disk and its snapshots; return whether nobody uses it. Raises HostError."""
    path = os.path.join(vms_dir(), name)
    lock = locks.lock_directory(path, wait=False)
    if lock is None:
        return False
    with lock:
        _destroy(Project(path, "none"))
        shutil.rmtree(path)
    return True
