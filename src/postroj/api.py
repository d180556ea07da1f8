"""The public machine: what `postroj.machine` gives, and what it can be asked for. docs/python.md is its reference.

It is a class of its own, and not the contract of contract.py, so that the contract can grow without a change here.
"""

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import IO, TYPE_CHECKING

from postroj import image as images
from postroj.container import Container, Options
from postroj.container.launch.binds import read as read_bind
from postroj.container.options import read_capability, read_publish, read_size
from postroj.deadline import Deadline
from postroj.errors import HostError, InstallError, MachineLostError, PostrojError, UsageError
from postroj.events import about
from postroj.privileges import require_fit_process
from postroj.streams import Streams

# The rest is imported on use: a boot does not wait for what comes after it.
if TYPE_CHECKING:
    from postroj.container.copying import Side
    from postroj.contract import Changes, Completed, UnitWatch
    from postroj.image import Image
    from postroj.package.install import Installed
    from postroj.package.reference import Package
    from postroj.probe import Finding
    from postroj.probe.judge import Check

_COPY = 'mkdir -p -- "${1%/*}" && cat >"$1"'
"""The script that makes a file of the guest of its standard input."""


@contextmanager
def machine(
    image: str,
    *,
    name: str | None = None,
    timeout: float | None = None,
    offline: bool = False,
    bind: Sequence[str] = (),
    bind_ro: Sequence[str] = (),
    network: str = "private",
    publish: Sequence[str] = (),
    privileged: bool = False,
    capability: Sequence[str] = (),
    memory: int | str = 0,
    cpus: float = 0.0,
    tasks: int = 0,
    disk: int | str = 0,
) -> "Iterator[Machine]":
    """Boot a machine from an image, which is pulled if needed; at the end of the block it is removed.

    The keywords are the options of `postroj run`, with the same values and defaults. `timeout` is in seconds, for all
    that is done with the machine; None for no end. `memory` and `disk` are bytes, or a text such as 512M. Raises
    UsageError before anything boots, ImageError, BootError, DeadlineError and other kinds of HostError.
    """
    deadline = Deadline(timeout)
    options = Options(
        network=network,
        publish=tuple(map(read_publish, _texts(publish))),
        privileged=privileged,
        capabilities=tuple(map(read_capability, _texts(capability))),
        memory=read_size(memory) if isinstance(memory, str) else memory,
        cpus=cpus,
        tasks=tasks,
        disk=read_size(disk) if isinstance(disk, str) else disk,
    )
    options.check()
    binds = [
        *(read_bind(text, writable=True) for text in _texts(bind)),
        *(read_bind(text, writable=False) for text in _texts(bind_ro)),
    ]
    require_fit_process()
    with images.open_image(image, offline=offline) as opened:
        images.check_boots(opened)
        with Container(
            opened.root,
            opened.machine if name is None else name,
            exact_name=name is not None,
            binds=binds,
            options=options,
            deadline=deadline,
            proxies=True,
            image=opened.name,
        ) as guest:
            running = Machine(guest, opened)
            try:
                yield running
            finally:
                running._running = None


class Machine:
    """A running machine; `postroj.machine` makes it. It is used by the thread that has started it.

    A `timeout` is in seconds; None is the time that `postroj.machine` was given. Each method raises MachineLostError
    if the guest is gone.
    """

    def __init__(self, guest: Container, image: "Image") -> None:
        self._running: Container | None = guest
        self._image = image
        self._name = guest.name
        self._begin = time.time()

    def __repr__(self) -> str:
        return f"<postroj.Machine {self.name}>"

    @property
    def name(self) -> str:
        """Its name, unique on this host."""
        return self._name

    @property
    def image(self) -> str:
        """The name of its image."""
        return self._image.name

    def command(
        self,
        argv: Sequence[str],
        *,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        workdir: str = "/",
        user: str = "root",
    ) -> "Completed":
        """Run a command to its end, and return its exit status and what it printed, at most the last 256 KiB.

        The status is 128 and the signal's number if a signal ended it, 126 if it cannot be executed, and 127 if there
        is no such command. Its standard input is empty, and it has the proxies of this host in its environment. What
        it leaves running is killed. Raises DeadlineError, with what it printed in `why`, and GuestSetupError.
        """
        return self._guest.command(_words(argv), deadline=self._deadline(timeout), env=env, workdir=workdir, user=user)

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: IO[bytes] | int | None = None,
        stdout: IO[bytes] | int | None = None,
        stderr: IO[bytes] | int | None = None,
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        workdir: str = "/",
        user: str = "root",
    ) -> int:
        """Run a command with streams of the caller's, and return its exit status as `command` does.

        A stream is a file, a pipe or a socket, as an object or by its descriptor; None is /dev/null. A terminal is
        refused: the guest could type into it. The environment is what `env` says. Raises as `command` does.
        """
        streams = Streams(_descriptor(stdin), _descriptor(stdout), _descriptor(stderr))
        return self._guest.run(
            _words(argv), streams, deadline=self._deadline(timeout), env=env, workdir=workdir, user=user
        )

    def install(
        self, *packages: str | os.PathLike[str], timeout: float | None = None, offline: bool = False
    ) -> "Installed":
        """Install packages as `postroj pkgprobe --package` does: files, globs, directories, http(s) URLs, or names.

        A path that is not a text is a file or a directory, whatever it is called. `offline`: download nothing. Raises
        UsageError for a package that is not one or does not fit the image, InstallError if the package is to blame,
        LimitError if the machine lacks what it needs, HostError if repositories cannot be reached or the disk is full.
        """
        from postroj.package.install import install
        from postroj.package.reference import check_all_fit, open_packages

        if not packages:
            raise UsageError("there is no package to install")
        with about(self.name):
            deadline = self._deadline(timeout)
            opened = open_packages(list(map(_reference, packages)), deadline=deadline, offline=offline)
            for package in opened:
                if package.fault:
                    raise InstallError(f"package {package.reference} {package.fault}")
            family = check_all_fit(opened, self._image)
            with self._copied(opened, deadline):
                return install(self._guest, family, opened, deadline=deadline, offline=offline)

    def push(self, source: str | os.PathLike[str], target: str) -> None:
        """Copy a file or a directory of the host into the machine, as `postroj cp SOURCE NAME:TARGET` does.

        A directory that exists is copied into; `SOURCE/.` is what is in a directory. What is copied belongs to the
        guest's root. Devices, sockets and FIFOs are left out, with a warning. Raises HostError.
        """
        from postroj.container.copying import HOST, Side

        self._copy_tree(HOST, os.fspath(source), Side(*self._guest.files), _absolute(target))

    def pull(self, source: str, target: str | os.PathLike[str]) -> None:
        """Copy a file or a directory of the machine to the host, as `postroj cp NAME:SOURCE TARGET` does.

        See `push`. What is copied belongs to the caller, without set-user-ID. Nothing outside of `target` is written,
        whatever the guest does with its files meanwhile.
        """
        from postroj.container.copying import HOST, Side

        self._copy_tree(Side(*self._guest.files), _absolute(source), HOST, os.fspath(target))

    def changes(self) -> "Changes":
        """Return the files that are not as they are in the image, by path; /tmp, /run and binds do not count."""
        return self._guest.changes()

    def reboot(self, *, timeout: float | None = None) -> None:
        """Reboot it, and return when it has booted. Its /run and /tmp are new; what watch_unit follows has ended.

        Raises RebootError, a HostError, if it does not end its shutdown or does not boot again: then only `restore`
        helps. It has 5 minutes for each, if `timeout` is not shorter.
        """
        self._guest.reboot(deadline=self._deadline(timeout))

    def snapshot(self, *, timeout: float | None = None) -> int:
        """Reboot it, and keep what is on its root file system in between; return the snapshot's number, 1 and up.

        Raises as `reboot` does.
        """
        return self._guest.snapshot(deadline=self._deadline(timeout))

    def restore(self, snapshot: int | None = None, *, timeout: float | None = None) -> None:
        """Kill it, and boot it as it was at a snapshot: the last one, or by its number; 0 is the image.

        Later snapshots are forgotten. Works also after a reboot that has failed. Raises UsageError for a snapshot that
        does not exist, and as `reboot` does.
        """
        try:
            self._guest.restore(snapshot, deadline=self._deadline(timeout))
        except ValueError as error:
            raise UsageError(f"the machine {self.name} cannot be restored: {error}") from error

    def check_unit(self, unit: str, *, stay: float = 0.0, timeout: float | None = None) -> "Finding":
        """Return whether a unit is active, and has been so for `stay` seconds. A start that is under way is waited for.

        Raises UsageError for a text that cannot be a unit's name, and DeadlineError.
        """
        from postroj.probe.unit import Stay, check_unit, unit_name

        with about(self.name):
            return check_unit(self._guest, unit_name(unit), stay=Stay(stay), deadline=self._deadline(timeout))

    def check_network(self, address: str, *, timeout: float = 30.0) -> "Finding":
        """Return whether an address of the guest's network answers within `timeout`: tcp://…, http://… or https://….

        Raises UsageError for a text that is not an address, and DeadlineError.
        """
        from postroj.probe.check import of_address
        from postroj.probe.network import parse

        return self._judged(of_address(parse(address)), f"network {address}", timeout)

    def check(self, text: str, *, timeout: float | None = None) -> "Finding":
        """Judge a check as `postroj pkgprobe --check` does: `http http://localhost:3000 status=200`, docs/checks.md.

        `timeout` is for a check that sets none of its own; without it, a check of an address, or of what listens,
        waits 30 s. Settings about the time since the installation count from the start of the machine. Raises
        UsageError for a text that is not a check, and DeadlineError.
        """
        from postroj.probe.check import name_of, read, settings_of
        from postroj.probe.kinds import NETWORK_SECONDS
        from postroj.probe.kinds.unit import Unit

        check = read(text)
        if isinstance(check, Unit) and check.active:  # its start is waited for
            started = self.check_unit(check.name, timeout=timeout if check.timeout is None else check.timeout)
            if not started.passed or check == Unit(check.name, timeout=check.timeout):
                return started
        seconds = timeout if timeout is not None else settings_of(check).seconds
        return self._judged(check, name_of(check), NETWORK_SECONDS if seconds is None else seconds)

    def watch_unit(self, unit: str) -> "AbstractContextManager[UnitWatch]":
        """Follow a unit inside a block: `state()` now, `facts()`, and `wait(seconds)` until it has changed."""
        from postroj.probe.unit import unit_name

        return self._guest.watch_unit(unit_name(unit))

    def connect(self, host: str, port: int, *, timeout: float = 10.0) -> socket.socket:
        """Connect by TCP from inside the guest's network; `timeout` is then that of the socket.

        Raises OSError, also for a name that does not resolve.
        """
        with about(self.name):
            return _socket(self._guest.connect(host, port, timeout), timeout)

    def connect_path(self, path: str, *, timeout: float = 10.0) -> socket.socket:
        """Connect to a stream socket in the guest's file system, by its absolute path. See `connect`."""
        return _socket(self._guest.connect_path(path, timeout), timeout)

    def failed_units(self) -> list[str]:
        """Return the names of the units whose state is failed."""
        return self._guest.failed_units()

    def listening_sockets(self) -> list[str]:
        """Return the TCP addresses that the guest listens on, as `address:port`."""
        return self._guest.listening_sockets()

    def free_bytes(self) -> int:
        """Return how much more the guest can write to its root file system."""
        return self._guest.free_bytes()

    def out_of_memory(self) -> int:
        """Return how many processes of the guest the kernel's OOM killer has ended."""
        return self._guest.out_of_memory()

    def _judged(self, check: "Check", name: str, seconds: float) -> "Finding":
        from postroj.probe.judge import Scene, judge

        scene = Scene(self._guest, self._begin, {}, self._image.family)
        with about(self.name):
            return judge(check, name, scene, seconds=seconds, deadline=scene.machine.deadline)

    @property
    def _guest(self) -> Container:
        # Its descriptors are closed with it, and their numbers may be those of other files by now.
        if not self._running:
            raise MachineLostError(f"the machine {self.name} was removed", hint="use it inside the block of `with`")
        return self._running

    def _deadline(self, timeout: float | None) -> Deadline:
        return self._guest.deadline if timeout is None else self._guest.deadline.sooner(timeout)

    def _copy_tree(self, source: "Side", path: str, target: "Side", where: str) -> None:
        from postroj.container.copying import copy

        try:
            with about(self.name):
                copy(source, path, target, where)
        except OSError as error:
            named = f": {error.filename}" if error.filename else ""
            raise HostError(f"{path} cannot be copied to {where}{named}: {error.strerror or error}") from error

    @contextmanager
    def _copied(self, packages: "Sequence[Package]", deadline: Deadline) -> Iterator[None]:
        """Have the files of packages in the guest inside the block, where the installation looks for them."""
        paths = {package.guest_name(number): package.file for number, package in enumerate(packages) if package.file}
        try:
            for path, file in paths.items():
                self._copy(file, path, deadline)
            yield
        finally:
            with suppress(PostrojError):  # whatever has gone wrong before is what is told
                self._guest.command(["rm", "-rf", "--", *map(os.path.dirname, paths)], deadline=deadline)

    def _copy(self, file: str, path: str, deadline: Deadline) -> None:
        with open(file, "rb") as source:
            done = self._guest.command(["sh", "-c", _COPY, "sh", path], deadline=deadline, stdin=source.fileno())
        if done.status != 0:
            raise HostError(f"{file} cannot be copied into the machine {self.name}", why=done.output)


def _words(argv: Sequence[str]) -> list[str]:
    if isinstance(argv, str) or not argv:
        raise UsageError("a command is a list of words, the program's name first", hint='for example ["ls", "-l"]')
    return list(argv)


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise UsageError(f"{path} is not an absolute path in the machine")
    return path


def _texts(texts: Sequence[str]) -> Sequence[str]:
    """Return several texts, of which a caller may have given one alone."""
    return (texts,) if isinstance(texts, str) else texts


def _reference(package: str | os.PathLike[str]) -> str:
    return package if isinstance(package, str) else os.path.abspath(package)


def _socket(fd: int, timeout: float) -> socket.socket:
    connected = socket.socket(fileno=fd)
    connected.settimeout(timeout)  # a new object takes the descriptor for one that blocks, and it does not
    return connected


def _descriptor(stream: IO[bytes] | int | None) -> int | None:
    fd = stream if stream is None or isinstance(stream, int) else stream.fileno()
    if fd is not None and os.isatty(fd):
        raise UsageError("a terminal is not given to a guest, which could type into it", hint="give a pipe or a file")
    return fd
