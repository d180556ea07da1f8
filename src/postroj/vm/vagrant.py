"""Vagrant: one VM, by a Vagrantfile of ours in a directory of its own; the user's VMs and boxes are not touched."""

import os
import re
import shutil
from collections.abc import Sequence
from typing import NamedTuple

from postroj import process
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, OverdueError
from postroj.vm import domains
from postroj.vm.domains import with_hint

MEGABYTES, CPUS = 1024, 1
_VAGRANTFILE = os.path.join(os.path.dirname(__file__), "Vagrantfile")
_LAST_SECONDS = 120.0
_BOOT_SECONDS = 600.0
_OPTION = re.compile(r"^  (HostName|Port) (\S+)$", re.MULTILINE)
_X86 = ("x86_64", "i686")
_PLUGINS = ("gems", "plugins.json")


class Project(NamedTuple):
    """A VM of Vagrant's, by the directory that it has."""

    path: str
    box: str
    """The box's name, as `vagrant box list` has it."""
    boxes: str = ""
    """The directory of boxes that has it."""

    @property
    def name(self) -> str:
        """The VM's name."""
        return os.path.basename(self.path)

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

    @property
    def home(self) -> str:
        """The path of its VAGRANT_HOME: one that is shared would be lost with the first process killed as it writes."""
        return os.path.join(self.path, "home")

    def create(self) -> None:
        """Make its files: the Vagrantfile, a key, and what Vagrant takes for its home. Raises ToolError, OSError."""
        shutil.copyfile(_VAGRANTFILE, os.path.join(self.path, "Vagrantfile"))
        process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "postroj", "-f", self.key])
        make_home(self.home)
        os.symlink(self.boxes, os.path.join(self.home, "boxes"))

    def do(self, *words: str, deadline: Deadline) -> None:
        """Run Vagrant, which prints what it does. Raises HostError, DeadlineError."""
        self._forget()
        argv = ["vagrant", *words]
        env = self._env(deadline)
        try:
            with_hint(lambda: process.follow(argv, subject=self.name, env=env, timeout=deadline.remaining()))
        except OverdueError as error:
            what = f"the VM {self.name} was not ready within {deadline.seconds:g} s"
            raise DeadlineError(what, why=error.why, hint="see --timeout") from error

    def ask(self, words: Sequence[str], *, stdin: str = "", deadline: Deadline) -> str:
        """Run Vagrant, and return what it prints. Raises HostError."""
        self._forget()
        argv, env = ["vagrant", *words], self._env(deadline)
        timeout = deadline.sooner(_LAST_SECONDS).remaining() or _LAST_SECONDS
        return with_hint(lambda: process.ask_confined(argv, stdin=stdin, timeout=timeout, env=env))

    def address(self, deadline: Deadline) -> tuple[str, int]:
        """Return where its sshd listens. Raises HostError."""
        found = dict(_OPTION.findall(self.ask(["ssh-config"], deadline=deadline)))
        return found.get("HostName", ""), int(found.get("Port", "22"))

    def _forget(self) -> None:
        """Remove Vagrant's list of all VMs, which a killed process may have left half written: it has nothing of ours.

        Vagrant refuses to start with it (CorruptMachineIndex).
        """
        shutil.rmtree(os.path.join(self.home, "data"), ignore_errors=True)

    def _env(self, deadline: Deadline) -> dict[str, str]:
        seconds = deadline.sooner(_BOOT_SECONDS).remaining() or 0.0
        return environment(
            self.home,
            VAGRANT_CWD=self.path,
            POSTROJ_BOX=self.box,
            POSTROJ_KEY=self.key,
            POSTROJ_PREFIX=domains.domain_of(self.name).removesuffix("default"),
            POSTROJ_POOL=domains.pool(),
            POSTROJ_BOOT_SECONDS=str(max(1, int(seconds))),
            POSTROJ_MEMORY=str(MEGABYTES),
            POSTROJ_CPUS=str(CPUS),
            POSTROJ_DRIVER="kvm" if has_kvm() else "qemu",
        )


def environment(home: str, **more: str) -> dict[str, str]:
    """Return what Vagrant sees: boxes and settings of ours, and nothing of the user's."""
    return process.environment(
        VAGRANT_HOME=home,
        VAGRANT_CHECKPOINT_DISABLE="1",
        VAGRANT_NO_COLOR="1",
        VAGRANT_DEFAULT_PROVIDER="libvirt",
        **more,
    )


def make_home(home: str) -> None:
    """Make a VAGRANT_HOME; the plugins are those of the user, where Vagrant does not come with them. Raises OSError."""
    os.makedirs(home, exist_ok=True)
    for name in _PLUGINS:
        plugins = os.path.join(os.path.expanduser("~"), ".vagrant.d", name)
        if os.path.exists(plugins):
            os.symlink(plugins, os.path.join(home, name))


def has_kvm() -> bool:
    """Return whether this host's processor can run a VM's kernel, by KVM.

    /dev/kvm alone does not tell: without virtualization by the processor, there are kernels that have it (PVM), and no
    kernel of a distribution boots by it. virt-host-validate(1) looks at the same flags.
    """
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
        with open("/proc/cpuinfo") as file:
            flags = next((line.split() for line in file if line.startswith("flags")), [])
    except OSError:
        return False
    if os.uname().machine in _X86 and not {"vmx", "svm"} & set(flags):
        return False
    return os.environ.get("POSTROJ_VM_DRIVER") != "qemu"
