"""Vagrant: one VM, by a Vagrantfile of ours in a directory of its own; the user's VMs and boxes are not touched."""

import os
import re
import shutil
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from postroj import process
from postroj.deadline import Deadline
from postroj.errors import HostError, ToolError
from postroj.settings import vms_dir

T = TypeVar("T")

MEGABYTES, CPUS = 1024, 1
_VAGRANTFILE = os.path.join(os.path.dirname(__file__), "Vagrantfile")
_LAST_SECONDS = 120.0
_OPTION = re.compile(r"^  (HostName|Port) (\S+)$", re.MULTILINE)
_HINTS = (
    (r"Failed to connect socket to '([^']*libvirt[^']*)'", "libvirt does not run: systemctl start libvirtd"),
    (r"The provider 'libvirt' could not be found", "Vagrant lacks its plugin for libvirt: install vagrant-libvirt"),
    (r"No space left on device", "the disk is full"),
)


class Project(NamedTuple):
    """A VM of Vagrant's, by the directory that it has."""

    path: str
    box: str
    """The box's name, as `vagrant box list` has it."""

    @property
    def key(self) -> str:
        """The path of the private key that is its own."""
        return os.path.join(self.path, "key")

    @property
    def known_hosts(self) -> str:
        """The path of a file with the guest's host key."""
        return os.path.join(self.path, "known_hosts")

    @property
    def sockets(self) -> str:
        """The path of a directory for sockets of ssh."""
        return os.path.join(self.path, "ssh")

    def create(self) -> None:
        """Make its files: the Vagrantfile, and a key. Raises ToolError."""
        shutil.copyfile(_VAGRANTFILE, os.path.join(self.path, "Vagrantfile"))
        if not os.path.exists(self.key):
            process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "postroj", "-f", self.key])

    def do(self, *words: str) -> None:
        """Run Vagrant, which prints what it does. Raises HostError."""
        with_hint(lambda: process.follow(["vagrant", *words], subject=os.path.basename(self.path), env=self._env()))

    def ask(self, words: Sequence[str], *, stdin: str = "", deadline: Deadline) -> str:
        """Run Vagrant, and return what it prints. Raises HostError."""
        timeout = deadline.sooner(_LAST_SECONDS).remaining() or _LAST_SECONDS
        return with_hint(lambda: process.run(["vagrant", *words], stdin=stdin, timeout=timeout, env=self._env()))

    def address(self, deadline: Deadline) -> tuple[str, int]:
        """Return where its sshd listens. Raises HostError."""
        found = dict(_OPTION.findall(self.ask(["ssh-config"], deadline=deadline)))
        return found.get("HostName", ""), int(found.get("Port", "22"))

    def _env(self) -> dict[str, str]:
        return environment(
            VAGRANT_CWD=self.path,
            POSTROJ_BOX=self.box,
            POSTROJ_KEY=self.key,
            POSTROJ_PREFIX=f"{os.path.basename(self.path)}_",
            POSTROJ_MEMORY=str(MEGABYTES),
            POSTROJ_CPUS=str(CPUS),
            POSTROJ_DRIVER="kvm" if has_kvm() else "qemu",
        )


def environment(**more: str) -> dict[str, str]:
    """Return what Vagrant sees: boxes and settings of ours, and nothing of the user's."""
    return process.environment(
        VAGRANT_HOME=os.path.join(vms_dir(), ".vagrant"),
        VAGRANT_CHECKPOINT_DISABLE="1",
        VAGRANT_NO_COLOR="1",
        VAGRANT_DEFAULT_PROVIDER="libvirt",
        **more,
    )


def boxes() -> list[str]:
    """Return the names of the boxes that are there. Raises HostError."""
    listed = with_hint(lambda: process.run(["vagrant", "box", "list"], env=environment()))
    return [line.split()[0] for line in listed.splitlines() if " (libvirt" in line]


def add_box(name: str, path: str) -> None:
    """Add a box from a file, unless it is there. Raises HostError."""
    if name in boxes():
        return
    words = ["vagrant", "box", "add", "--force", "--provider=libvirt", "--name", name, path]
    with_hint(lambda: process.follow(words, subject=name, env=environment()))


def has_kvm() -> bool:
    """Return whether this host's processor can run a VM's kernel, by KVM."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError:
        return False
    return os.environ.get("POSTROJ_VM_DRIVER") != "qemu"


def with_hint(do: Callable[[], T]) -> T:
    """Run Vagrant; an error that it is known for becomes one sentence. Raises HostError."""
    process.require("vagrant")
    try:
        return do()
    except ToolError as error:
        for pattern, what in _HINTS:
            if re.search(pattern, error.why):
                raise HostError(what, why=error.why) from error
        raise
