"""Vagrant: one VM, by a Vagrantfile of ours in a directory of its own; the user's VMs and boxes are not touched."""

import glob
import os
import re
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

from postroj import process
from postroj.deadline import NEVER, Deadline
from postroj.errors import HostError, ToolError, UsageError
from postroj.settings import vms_dir
from postroj.vm.box import Box

T = TypeVar("T")

_VAGRANTFILE = os.path.join(os.path.dirname(__file__), "Vagrantfile")
_BESIDE = "postroj.Vagrantfile"
"""What ours is called beside one of the user's."""
_LAST_SECONDS = 120.0
_MOST_BYTES = 1 << 30
_NOT_COPIED = (".vagrant", ".git")
_OPTION = re.compile(r"^  (HostName|Port|User|Password) (\S+)$", re.MULTILINE)
_PASSED = ("VAGRANT_SERVER_URL", "VAGRANT_CLOUD_TOKEN")
_HINTS = (
    (r"Failed to connect socket to '([^']*libvirt[^']*)'", "libvirt does not run: systemctl start libvirtd"),
    (r"The provider 'libvirt' could not be found", "Vagrant lacks its plugin for libvirt: install vagrant-libvirt"),
    (r"The provider '([\w-]+)' could not be found", "Vagrant lacks its plugin for the provider {1}"),
    (r"The provider '([\w-]+)' that was requested to back", "the provider {1} is not usable on this host"),
    (r"No space left on device", "the disk is full"),
    (r"((?:Failed to connect|Could not resolve host)[^\n]*)", "{box} cannot be downloaded: {1}"),
    (r"box you're attempting to add doesn't support the provider", "{box} is not there for the provider {provider}"),
    (r"The box you're attempting to add has no available version", "{box} is not there in the version {version}"),
    (r"(?:could not be found or\s+could not be accessed in the remote catalog|error: 404)", "there is no box {box}"),
    (r"doesn't match the provider you specified", "{box} is not for the provider {provider}"),
    (r"box failed to unpackage|not a valid box|metadata for the box was malformed", "{box} is not a box of Vagrant"),
    (r"An error occurred while downloading the remote file", "{box} cannot be downloaded"),
    (r"communicator '?(win\w+)'? could not be found|vagrant-winrm|winrm.* (?:is|are) not (?:installed|available)",
     "this Vagrant cannot speak to Windows by WinRM: HashiCorp's own can"),
)  # fmt: skip
_NAMES_BOX = re.compile(r"\.box\b|^\s*(?:load|require|require_relative|eval)\b", re.MULTILINE)
_MISTAKES = (
    r"There is a syntax error in the following Vagrantfile.*?convenience:\s+(?P<why>\S[^\n]*)",
    r"There was an error loading a Vagrantfile.*?Line number: (?P<line>[^\n]*)\s+Message: (?P<why>[^\n]*)",
    r"There are errors in the configuration of this machine.*?try again:\s+(?P<why>\S.*?)(?:\n\n|\Z)",
)
"""What Vagrant says of a Vagrantfile that is wrong."""


class Project(NamedTuple):
    """A VM of Vagrant's, by the directory that it has."""

    path: str
    box: Box

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
    def _users(self) -> str:
        """The path of the copy of the user's directory with a Vagrantfile, if there is one."""
        return os.path.join(self.path, "user")

    @property
    def _cwd(self) -> str:
        return self._users if self.box.directory else self.path

    @property
    def _file(self) -> str:
        """The name of our Vagrantfile."""
        return _BESIDE if self.box.directory else "Vagrantfile"

    @property
    def is_there(self) -> bool:
        """Return whether Vagrant has made a VM."""
        return bool(glob.glob(os.path.join(glob.escape(self.path), ".vagrant/machines/*/*/id")))

    def create(self) -> None:
        """Make its files: the Vagrantfile, and a key. Raises HostError."""
        if self.box.directory and os.path.isdir(self.box.directory):
            _copy(self.box.directory, self._users)
        shutil.copyfile(_VAGRANTFILE, os.path.join(self._cwd, self._file))
        if not os.path.exists(self.key):
            process.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "postroj", "-f", self.key])

    def refresh(self) -> None:
        """Write our Vagrantfile again: an older postroj may have made it otherwise."""
        shutil.copyfile(_VAGRANTFILE, os.path.join(self._cwd, self._file))

    def check(self) -> None:
        """Raise UsageError if the user's Vagrantfile has a mistake, or is not of one machine."""
        if not self.box.directory:
            return
        self.ask(["validate", "--ignore-provider"])
        with open(os.path.join(self._users, "Vagrantfile"), encoding="utf-8", errors="replace") as file:
            if not _NAMES_BOX.search(file.read()):  # libvirt would boot a VM without a disk
                raise _mistaken(self.box, "it names no box: config.vm.box")
        listed = self.ask(["status", "--machine-readable"]).splitlines()
        names = {line.split(",")[1] for line in listed if line.count(",") >= 3 and line.split(",")[2] == "state"}
        if len(names) > 1:
            what = f"the Vagrantfile in {self.box.directory} has {len(names)} machines ({', '.join(sorted(names))})"
            raise UsageError(f"{what[:300]}, and postroj takes one of one machine")

    def do(self, *words: str) -> None:
        """Run Vagrant, which prints what it does. Raises HostError."""
        subject = os.path.basename(self.path)
        with_hint(lambda: process.follow(["vagrant", *words], subject=subject, env=self._env()), self.box)

    def ask(self, words: Sequence[str], *, stdin: str = "", deadline: Deadline = NEVER) -> str:
        """Run Vagrant, and return what it prints. Raises HostError."""
        timeout = deadline.sooner(_LAST_SECONDS).remaining() or _LAST_SECONDS
        run = partial(process.run, ["vagrant", *words], stdin=stdin, timeout=timeout, env=self._env())
        return with_hint(run, self.box)

    def told(self, command: str, deadline: Deadline) -> dict[str, str]:
        """Return what `ssh-config` or `winrm-config` tells: HostName, Port, User, Password. Raises HostError."""
        return dict(_OPTION.findall(self.ask([command], deadline=deadline)))

    def _env(self) -> dict[str, str]:
        return environment(
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
            POSTROJ_PREFIX=f"{os.path.basename(self.path)}_",
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
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(directory, to, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_COPIED))


def environment(provider: str, **more: str) -> dict[str, str]:
    """Return what Vagrant sees: boxes and settings of ours, and nothing of the user's but where boxes come from."""
    return process.environment(
        VAGRANT_HOME=os.path.join(vms_dir(), ".vagrant"),
        VAGRANT_CHECKPOINT_DISABLE="1",
        VAGRANT_NO_COLOR="1",
        VAGRANT_DEFAULT_PROVIDER=provider,
        **{name: os.environ[name] for name in _PASSED if name in os.environ},
        **more,
    )


def has_kvm() -> bool:
    """Return whether this host's processor can run a VM's kernel, by KVM."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
    except OSError:
        return False
    return os.environ.get("POSTROJ_VM_DRIVER") != "qemu"


def with_hint(do: Callable[[], T], box: Box | None = None) -> T:
    """Run Vagrant; an error that it is known for becomes one sentence. Raises HostError, and UsageError.

    `box` is the one that it is about.
    """
    process.require("vagrant")
    try:
        return do()
    except ToolError as error:
        if box and box.directory and (found := _mistake(error.why)):
            raise _mistaken(box, found, error.why) from error
        for pattern, what in _HINTS:
            if found_hint := re.search(pattern, error.why):
                raise HostError(_filled(what, found_hint, box), why=error.why) from error
        raise


def _mistaken(box: Box, what: str, why: str = "") -> UsageError:
    own = re.sub(r"/\S+/user/Vagrantfile", "Vagrantfile", what)  # it is told of the copy
    return UsageError(f"the Vagrantfile in {box.directory} has a mistake: {own}", why=why)


def _filled(what: str, found: re.Match[str], box: Box | None) -> str:
    groups = [group or "" for group in (found[0], *found.groups())]
    called = box.file or box.name or box.directory if box else "the box"
    provider, version = (box.provider, box.version) if box else ("", "")
    return what.format(*groups, box=called, provider=provider, version=version)


def _mistake(said: str) -> str:
    """Return what Vagrant says of a wrong Vagrantfile, in one line; empty if it says nothing of that."""
    for pattern in _MISTAKES:
        if found := re.search(pattern, said, re.DOTALL):
            told = found.groupdict()
            line = f"line {told['line']}: " if re.fullmatch("[1-9][0-9]*", told.get("line") or "") else ""
            return line + " ".join(told["why"].split())[:300]
    return ""
