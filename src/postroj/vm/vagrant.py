"""Vagrant: one VM, by a Vagrantfile of ours in a directory of its own; the user's VMs and boxes are not touched."""

import glob
import os
import re
import shutil
import stat
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from postroj import process
from postroj.deadline import Deadline
from postroj.errors import UsageError
from postroj.vm import domains, mistakes
from postroj.vm.box import WINRM, Box

_VAGRANTFILE = os.path.join(os.path.dirname(__file__), "Vagrantfile")
_LAST_SECONDS = 600.0
_BOOT_SECONDS = 600.0
_BESIDE = "postroj.Vagrantfile"
"""What ours is called beside one of the user's."""
_MOST_BYTES = 1 << 30
_NOT_COPIED = (".vagrant", ".git")
_NAMES_BOX = re.compile(r"\.box\b|^\s*(?:load|require|require_relative|eval)\b", re.MULTILINE)
_OPTION = re.compile(r"^  (HostName|Port|User|Password) (\S+)$", re.MULTILINE)
_PASSED = ("VAGRANT_SERVER_URL", "VAGRANT_CLOUD_TOKEN")
"""Where boxes come from is the user's."""
_X86 = ("x86_64", "i686")
_PLUGINS = ("gems", "plugins.json")


class Project(NamedTuple):
    """A VM of Vagrant's, by the directory that it has."""

    path: str
    box: Box
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

    @property
    def is_there(self) -> bool:
        """Return whether Vagrant has made a VM."""
        return bool(glob.glob(os.path.join(glob.escape(self.path), ".vagrant/machines/*/*/id")))

    @property
    def _cwd(self) -> str:
        """The path of the directory with our Vagrantfile: a copy of the user's, if that has one."""
        return os.path.join(self.path, "user") if self.box.directory else self.path

    @property
    def _file(self) -> str:
        """The name of our Vagrantfile."""
        return _BESIDE if self.box.directory else "Vagrantfile"

    def create(self) -> None:
        """Make its files: the Vagrantfile, a key, and what Vagrant takes for its home.

        Raises UsageError, ToolError, OSError.
        """
        if self.box.directory:
            _copy(self.box.directory, self._cwd)
        shutil.copyfile(_VAGRANTFILE, os.path.join(self._cwd, self._file))
        process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "postroj", "-f", self.key])
        make_home(self.home)
        os.symlink(self.boxes, os.path.join(self.home, "boxes"))

    def do(self, *words: str, deadline: Deadline) -> None:
        """Run Vagrant, which prints what it does. Raises HostError, DeadlineError."""
        self._forget()
        argv = ["vagrant", *words]
        env = self.environment(deadline)
        follow = partial(process.follow, argv, subject=self.name, env=env, timeout=deadline.remaining())
        mistakes.told(follow, self.box, f"the VM {self.name}", deadline)

    def ask(self, words: Sequence[str], *, stdin: str = "", deadline: Deadline) -> str:
        """Run Vagrant, and return what it prints. Raises HostError, DeadlineError."""
        self._forget()
        argv, env = ["vagrant", *words], self.environment(deadline)
        timeout = deadline.sooner(_LAST_SECONDS).remaining() or 0.0
        ask = partial(process.ask_confined, argv, stdin=stdin, timeout=timeout, env=env)
        return mistakes.told(ask, self.box, f"the VM {self.name}", deadline)

    def told(self, command: str, deadline: Deadline) -> dict[str, str]:
        """Return what `ssh-config` or `winrm-config` tells: HostName, Port, User, Password. Raises HostError."""
        return dict(_OPTION.findall(self.ask([command], deadline=deadline)))

    def check(self, deadline: Deadline) -> None:
        """Raise UsageError if the user's Vagrantfile has a mistake, or is not of one machine.

        Raise HostError if this Vagrant cannot speak to the guest.
        """
        if self.box.directory or self.box.communicator == WINRM:
            self.ask(["validate", "--ignore-provider"], deadline=deadline)
        if not self.box.directory:
            return
        with open(os.path.join(self._cwd, "Vagrantfile"), encoding="utf-8", errors="replace") as file:
            if not _NAMES_BOX.search(file.read()):  # libvirt would boot a VM without a disk
                raise mistakes.of_vagrantfile(self.box, "it names no box: config.vm.box")
        listed = self.ask(["status", "--machine-readable"], deadline=deadline).splitlines()
        names = {line.split(",")[1] for line in listed if line.count(",") >= 3 and line.split(",")[2] == "state"}
        if len(names) > 1:
            what = f"the Vagrantfile in {self.box.directory} has {len(names)} machines ({', '.join(sorted(names))})"
            raise UsageError(f"{what[:300]}, and postroj takes one of one machine")

    def _forget(self) -> None:
        """Remove Vagrant's list of all VMs, which a killed process may have left half written: it has nothing of ours.

        Vagrant refuses to start with it (CorruptMachineIndex).
        """
        shutil.rmtree(os.path.join(self.home, "data"), ignore_errors=True)

    def environment(self, deadline: Deadline) -> dict[str, str]:
        """Return what Vagrant sees of this VM."""
        seconds = deadline.sooner(_BOOT_SECONDS).remaining() or 0.0
        return environment(
            self.home,
            self.box.provider,
            VAGRANT_CWD=self._cwd,
            VAGRANT_VAGRANTFILE=self._file,
            VAGRANT_DOTFILE_PATH=os.path.join(self.path, ".vagrant"),
            POSTROJ_USERS="1" if self.box.directory else "",
            POSTROJ_BOX=self.box.name,
            POSTROJ_BOX_VERSION=self.box.version,
            POSTROJ_GUEST=self.box.guest,
            POSTROJ_COMMUNICATOR=self.box.communicator,
            POSTROJ_KEY=self.key,
            POSTROJ_PREFIX=domains.domain_of(self.name).removesuffix("default"),
            POSTROJ_POOL=domains.pool(),
            POSTROJ_BOOT_SECONDS=str(max(1, int(seconds))),
            POSTROJ_MEMORY=str(self.box.memory),
            POSTROJ_CPUS=str(self.box.cores),
            POSTROJ_DRIVER="kvm" if has_kvm() else "qemu",
        )


def _copy(directory: str, to: str) -> None:
    """Copy the user's directory, without what Vagrant and git keep in it. Raises UsageError."""
    size = 0
    for path, names, files in os.walk(directory):
        names[:] = [name for name in names if name not in _NOT_COPIED]
        size += sum(os.lstat(os.path.join(path, name)).st_size for name in files)
        if size > _MOST_BYTES:
            what = f"{directory} has more than 1 GiB of files, which postroj does not copy for its Vagrantfile"
            raise UsageError(what, hint="put the Vagrantfile, and what it needs, into a directory of its own")
    try:
        shutil.copytree(directory, to, symlinks=True, ignore=_left_out)
    except shutil.Error as error:
        source, _, why = error.args[0][0]
        raise UsageError(f"{source} cannot be copied for its Vagrantfile: {why}") from error


def _left_out(directory: str, names: Sequence[str]) -> set[str]:
    """Return what is not copied: what Vagrant and git keep, sockets, FIFOs and devices."""

    def is_copied(name: str) -> bool:
        mode = os.lstat(os.path.join(directory, name)).st_mode
        return name not in _NOT_COPIED and (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))

    return {name for name in names if not is_copied(name)}


def environment(home: str, provider: str, **more: str) -> dict[str, str]:
    """Return what Vagrant sees: boxes and settings of ours, and nothing of the user's but where boxes come from."""
    return process.environment(
        VAGRANT_HOME=home,
        VAGRANT_CHECKPOINT_DISABLE="1",
        VAGRANT_NO_COLOR="1",
        VAGRANT_DEFAULT_PROVIDER=provider,
        **{name: os.environ[name] for name in _PASSED if name in os.environ},
        **more,
    )


def make_home(home: str) -> None:
    """Make a VAGRANT_HOME; the plugins are those of the user, where Vagrant does not come with them. Raises OSError."""
    os.makedirs(home, exist_ok=True)
    for name in _PLUGINS:
        plugins = os.path.join(os.path.expanduser("~"), ".vagrant.d", name)
        if os.path.exists(plugins) and not os.path.lexists(os.path.join(home, name)):
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
