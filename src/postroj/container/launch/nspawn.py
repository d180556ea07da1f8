"""One systemd-nspawn process: started in its confinement, watched until the guest is ready, and ended."""

import errno
import fcntl
import os
import resource
import select
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress

from postroj import process
from postroj.container import kernel
from postroj.container.host import cgroup, limits, machined
from postroj.container.host.claim import Claim
from postroj.container.host.scope import Scope
from postroj.container.host.slot import USERS, Slot
from postroj.container.launch import confinement, devices, mounts
from postroj.container.launch.binds import Bind, argument, open_all
from postroj.container.launch.console import Console
from postroj.container.launch.notifications import Notifications
from postroj.container.launch.state import State
from postroj.container.launch.users import IdMapping, mapped_mounts
from postroj.container.options import Options
from postroj.deadline import Deadline
from postroj.errors import BootError, HostError
from postroj.events import Warn, emit
from postroj.streams import Streams

MACHINE_TOOLS = ("systemd-nspawn", "setpriv", "unshare", "nsenter", "bash", "ip", "nft")
"""The host programs that every machine takes, its network included."""

BOOT_SECONDS = 90.0
_END_SECONDS = 5.0  # for unshare, whose child is gone
_FOLLOW_SECONDS = 2.0  # for nspawn, whose child is gone, if it is
_LOCKED_MEMORY = 8 << 20
_OPEN_FILES = (1024, 1 << 20)
"""As a kernel has it by default, fs.nr_open: a unit gets as many by LimitNOFILE= as on a full machine."""
_RLIMITS = {
    resource.RLIMIT_MEMLOCK: (_LOCKED_MEMORY, resource.RLIM_INFINITY),
    resource.RLIMIT_NOFILE: _OPEN_FILES,
}
"""What nspawn is given: it can give the guest no more than it has."""
_LAUNCH = os.path.join(os.path.dirname(__file__), "launch.sh")

# No settings file beside the image, no journal link, no time zone of the host: a guest is the same on every host.
_ALWAYS = [
    *("--register=no", "--keep-unit", "--settings=no", "--link-journal=no", "--timezone=off", "--quiet"),
    "--resolv-conf=off",  # it has one of ours
    # As large as on a real machine, half of the memory: tmpfs(5).
    "--tmpfs=/dev/shm:mode=1777,nosuid,nodev",
    # As systemd 254 and newer has it for services; a unit that asks for more, by LimitMEMLOCK=, gets it.
    f"--rlimit=MEMLOCK={_LOCKED_MEMORY}:infinity",
    f"--rlimit=NOFILE={_OPEN_FILES[0]}:{_OPEN_FILES[1]}",
]


class Nspawn:
    """A systemd-nspawn process in the name of a claim, with the users of a slot."""

    def __init__(
        self,
        claim: Claim,
        slot: Slot,
        image: str,
        state: State,
        arguments: Sequence[str],
        *,
        options: Options,
        binds: Sequence[Bind] = (),
        scope: str = "",
        ephemeral: bool = True,
        layer: str = "",
        resolv_conf: str = "",
        streams: Streams | None = None,
    ) -> None:
        """Start it on an image, which it does not change where it is `ephemeral`. It waits for `go`.

        What the machine has written is in `state`, from its first boot to its last. `layer` is a directory whose files
        it sees over those of the image; it does not change them either.

        `resolv_conf` becomes its /etc/resolv.conf, unless it is empty; a tree that is changed is left without.

        `scope` names the unit that the host's systemd makes for it; without it the claim's cgroup is its place. What
        the guest prints to its console is kept for errors, unless it has `streams` of the caller's.
        """
        process.require(*MACHINE_TOOLS)
        self._claim = claim
        self._slot = slot
        self._image = image
        self._state = state
        self._options = options
        self._binds = binds
        self._ephemeral = ephemeral
        self._layer = layer
        self._resolv_conf = resolv_conf
        self.root_uid = 0
        """What the guest's root is outside, once it is let go."""
        self.has_begun = False
        """Whether the guest's first process was there: from then on an end may be the guest's own."""
        self.memory_cgroup = ""
        """The directory of its cgroup with the memory controller, once it is let go; empty without one."""
        self._pid: int | None = None
        self._unit = scope
        self._scope = ""
        """The path of its scope's cgroup below the cgroup2 root, where it has one."""
        self._directory = os.path.join(claim.path, "mounts")
        bound = [argument(bind, mounts.bind_of(self._directory, number)) for number, bind in enumerate(binds)]
        targets = [os.path.normpath(bind.target) for bind in binds]
        if "/tmp" not in targets:
            bound.append(f"--bind={mounts.tmp_of(self._directory)}:/tmp")
        self._nodes = {path: number for path, number in devices.there().items() if path not in targets}
        place = mounts.devices_of(self._directory)
        bound += [f"--bind={devices.node_of(place, path)}:{path}" for path in self._nodes]
        os.makedirs(self._directory, exist_ok=True)
        self._notify = Notifications(os.path.join(claim.path, "notify"))
        given, redirections = _passed(streams)
        try:
            self.process = process.spawn_confined(
                [
                    # The sh of Debian has no names for descriptors above 9.
                    *("bash" if given else "sh", _LAUNCH, f"--private-users={slot.root_uid}:{USERS}"),
                    *(*confinement.capabilities(options), *redirections),
                    f"--machine={claim.name}",
                    f"--directory={mounts.root_of(self._directory, ephemeral=ephemeral)}",
                    *(*_ALWAYS, *confinement.network(options), *bound, *arguments),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=given,
                env={
                    "PATH": process.SEARCH_PATH,
                    "NOTIFY_SOCKET": self._notify.path,
                    # and not a guess of nspawn's from what it finds in the tree
                    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                    # Its own /tmp has a tenth of the host's memory; so has its /dev/shm: see _ALWAYS.
                    "SYSTEMD_NSPAWN_TMPFS_TMP": "0",
                },
            )
        finally:
            for fd in given:
                os.close(fd)
        self._console = Console(claim.name, self.process)
        self._users: IdMapping | None = None
        self._making: Scope | None = None
        self._cgroup: int | None = None
        """A mount of cgroup2 for it, until it is attached."""
        try:
            self._cgroup = cgroup.own_mount()
            # It takes the kernel some milliseconds, in which more can be done here, but no cgroup2 be mounted.
            self._entering = threading.Thread(target=self._enter_cgroup, daemon=True)
            self._entering.start()
            if not options.privileged and state.is_mapped is not False:
                self._users = IdMapping(slot.root_uid)
            if scope:
                self._making = Scope(scope, claim.name)
        except BaseException:
            self.kill()
            raise

    def go(self, deadline: Deadline) -> None:
        """Mount what it needs, now that its namespaces are there, and let it begin. Raises BootError, HostError."""
        opened, mapped = self._open_image()
        try:
            if not self._console.wait_started(deadline):
                raise self.failed("its namespaces could not be made")
            self._ask_scope()
            try:
                self._mount(opened)
            except OSError as error:
                if not mapped or self._state.is_mapped or error.errno != errno.EINVAL:
                    raise
                # Before Linux 5.19 an overlay does not go with mapped owners.
                self._warn_of_users(error)
                _close_all(opened)
                self._state.begin_anew()
                opened, mapped, self.root_uid = self._unmapped(), False, 0
                self._mount(opened)
            self._state.is_mapped = mapped
            self._wait_scope(deadline)
            self._limit()
        except OSError as error:
            self.check_alive(error, _FOLLOW_SECONDS)
            raise HostError(
                f"what {self._claim.name} needs cannot be mounted",
                why=str(error),
                hint="run `postroj doctor` to see what this host lacks",
            ) from error
        finally:
            _close_all(opened)
            self._close_cgroup()
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it has failed already; who waits for it will see
            self.process.stdin.write(b"mapped\n" if mapped else b"unmapped\n")
            self.process.stdin.flush()
        self._end_input()

    def _ask_scope(self) -> None:
        if self._making:
            try:
                self._making.ask([self.process.pid, self.pid], self._options)
            except HostError as error:
                self.check_alive(error, _FOLLOW_SECONDS)
                raise

    def _wait_scope(self, deadline: Deadline) -> None:
        if self._making:
            try:
                self._making.wait(deadline)
            except TimeoutError:
                raise self.failed("the host's systemd has made no scope for it in time") from None
            except HostError as error:
                self.check_alive(error, _FOLLOW_SECONDS)
                raise
            self._close_scope()

    def _close_scope(self) -> None:
        if self._making:
            self._making.close()
            self._making = None

    def _close_cgroup(self) -> None:
        if self._cgroup is not None:
            os.close(self._cgroup)
            self._cgroup = None

    def _limit(self) -> None:
        for kind, limit in _RLIMITS.items():
            with suppress(OSError, ValueError):  # without CAP_SYS_RESOURCE it is what this host has
                resource.prlimit(self.pid, kind, limit)
        self._entering.join()
        pid, own = self.pid, self._claim.cgroup
        if own:
            if cgroup.of(pid) != own:  # it was there before its parent was moved
                try:
                    cgroup.enter(own, pid)
                except (
                    FileNotFoundError
                ):  # empty until now, it was taken for debris by a postroj that sees no lock of it
                    self._claim.create_cgroup()
                    cgroup.enter(own, pid)
            limits.impose(self._claim.name, pid, self._options)
        else:
            limits.check(pid, self._options)
            self._scope = cgroup.of(pid)
        cgroup.bound(own or self._scope)
        self.memory_cgroup = limits.places(pid).get("memory", "")  # now: once let go, it may be gone at once

    def _enter_cgroup(self) -> None:
        if self._claim.cgroup:
            with suppress(OSError):  # found out by `_limit`
                cgroup.enter(self._claim.cgroup, self.process.pid)

    @property
    def _lowers(self) -> list[str]:
        return [self._image, self._layer] if self._layer else [self._image]

    def _unmapped(self) -> list[int]:
        return [kernel.clone_mount(path) for path in self._lowers]

    def _open_image(self) -> tuple[list[int], bool]:
        """Mounts of the image and of the layer, and whether their owners are the guest's own users."""
        if self._users:
            try:
                mounted = mapped_mounts(self._lowers, self._users)
            except OSError as error:
                if self._state.is_mapped:  # and what was written is of these users
                    raise HostError(
                        f"{self._claim.name} cannot be given its users again", why=str(error.strerror or error)
                    ) from error
                self._warn_of_users(error)
            else:
                self.root_uid = self._slot.root_uid
                return mounted, True
        return self._unmapped(), False

    def _warn_of_users(self, error: OSError) -> None:
        why = error.strerror or error
        emit(
            Warn(
                f"{self._claim.name} runs without a user namespace: its root is the host's root, "
                f"confined only by nspawn ({why})"
            )
        )
        if self._options.capabilities:
            names = ", ".join(self._options.capabilities)
            emit(Warn(f"{self._claim.name} is not given {names}: only a guest with users of its own is"))

    def _mount(self, opened: Sequence[int]) -> None:
        binds = open_all(self._binds, self.root_uid)
        try:
            namespace = os.open(f"/proc/{self.pid}/ns/mnt", os.O_RDONLY)
            try:
                mounts.make(namespace, self._plan(opened, binds))
            finally:
                os.close(namespace)
        finally:
            for bind in binds:
                os.close(bind)

    def _plan(self, opened: Sequence[int], binds: Sequence[int]) -> mounts.Plan:
        return mounts.Plan(
            name=self._claim.name,
            directory=self._directory,
            image=opened[0],
            layer=opened[1] if len(opened) > 1 else None,
            root_uid=self.root_uid,
            state=self._state,
            ephemeral=self._ephemeral,
            size=self._options.disk,
            resolv_conf=self._resolv_conf,
            binds=binds,
            devices=self._options.privileged,
            nodes=self._nodes,
            cgroup=self._cgroup,
        )

    def _end_input(self) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()

    def wait_leader(self, deadline: Deadline) -> int:
        """The PID of the guest's PID 1, as the host sees it, once it is there. Raises BootError."""
        message = self._wait_notification(b"X_NSPAWN_LEADER_PID=", deadline)
        self.has_begun = True
        inner = message.split(b"X_NSPAWN_LEADER_PID=")[1].split(b"\n")[0].decode()
        for pid in process.child_pids(self.pid):
            with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/status") as status:
                namespaced = next(line.split() for line in status if line.startswith("NSpid:"))
                # NSpid: PID here, PID in nspawn's namespace, PID in the guest (proc_pid_status(5))
                if namespaced[-2] == inner:
                    return pid
        raise self.gone()

    def check_leader(self, leader: int) -> None:
        """Raise BootError unless this is the guest's PID 1 still: what was opened by its number is the guest's then."""
        if leader not in process.child_pids(self.pid):
            raise self.gone()

    def check_alive(self, error: Exception, seconds: float = 1) -> None:
        """Raise BootError where its end, within some seconds, explains an error, which then needs no other words."""
        if self.has_ended(seconds):
            raise self.failed("systemd-nspawn has ended") from error

    def wait_ready(self, deadline: Deadline) -> None:
        """Return when the guest has booted. Raises BootError."""
        self._wait_notification(b"READY=1", deadline)
        # Nobody reads what comes after (systemd 254 and newer tell of each reload), and a full socket would block first
        # nspawn and then the guest's PID 1.
        self._notify.close()

    def has_ended(self, seconds: float) -> bool:
        """Whether it has ended, or does so within this time."""
        return self.wait_exit(Deadline(seconds)) is not None

    def said(self) -> str:
        """Return the last lines of its console."""
        return self._console.text()

    def wait_exit(self, deadline: Deadline) -> tuple[int, str] | None:
        """The exit status and what was printed, once it has ended; None when the deadline has passed."""
        if self.process.poll() is None:
            pidfd = os.pidfd_open(self.process.pid)
            try:
                poller = select.poll()
                poller.register(pidfd, select.POLLIN)
                remaining = deadline.remaining()
                if not poller.poll(None if remaining is None else remaining * 1000):
                    return None
            finally:
                os.close(pidfd)
        return self.process.wait(), self._console.text()

    @property
    def pid(self) -> int:
        """The PID of nspawn itself, as the host sees it; it stays the same after its end."""
        if self._pid is None:
            self._pid = process.confined_child(self.process)
        if self._pid is None:
            raise self.failed("systemd-nspawn has ended")
        return self._pid

    def begin_kill(self) -> None:
        """Have nspawn and the guest killed, and do not wait: it takes the kernel a while."""
        process.kill_confined(self.process, wait=False)

    def kill(self) -> None:
        """Kill nspawn and the guest, and return when nothing of them is left."""
        if self._users:
            self._users.discard()
        self._close_scope()
        self._close_cgroup()
        process.kill_confined(self.process)
        if self._scope:
            cgroup.empty(self._scope)
        elif self._unit:  # killed before it was seen in it: systemd may keep a scope that was empty from the beginning
            machined.stop(self._unit)
        self._end_input()
        self._notify.close()
        self._console.close()

    def _wait_notification(self, wanted: bytes, deadline: Deadline) -> bytes:
        try:
            return self._notify.wait(wanted, sender=self.pid, process=self.process.pid, deadline=deadline)
        except TimeoutError:
            raise self.failed(f"it was not ready after {deadline.seconds:g} s") from None
        except ProcessLookupError:
            raise self.failed("systemd-nspawn has ended") from None

    def was_killed(self, *, has_status: bool = False) -> bool:
        """Whether it has ended by SIGKILL from outside; not asked while it lives.

        With `has_status` its exit status is that of a command, which may be 137 as well.
        """
        ended = self.wait_exit(Deadline(_END_SECONDS)) if process.confined_child(self.process) is None else None
        statuses = [-signal.SIGKILL] if has_status else [-signal.SIGKILL, 128 + signal.SIGKILL]
        return ended is not None and (ended[0] in statuses or self._console.said_farewell)

    def failed(self, how: str) -> BootError:
        """The error that says how it failed, with what its console has shown."""
        killed = self.was_killed()
        why = self._console.text()
        told = killed or "Cannot bind mount" in why  # of what was asked for, and not of the host
        how = KILLED if killed else how
        error = BootError(
            f"the machine {self._claim.name} did not come up: {how}",
            why=why,
            hint="" if told else "run `postroj doctor` to see what this host lacks",
        )
        error.how = how
        return error

    def gone(self) -> BootError:
        """The error of a guest whose first process is gone: nspawn follows it, and may have something to tell."""
        self.has_ended(_FOLLOW_SECONDS)
        return self.failed("its first process is gone")


KILLED = "it was killed from outside (SIGKILL)"


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)


def _passed(streams: Streams | None) -> tuple[list[int], list[str]]:
    """Descriptors that the launcher is to have as well, and which of its own make nspawn's input, output and error."""
    if streams is None:
        return [], ["0", "1", "2"]
    # Its first three are for what it has to say itself; 0 is /dev/null in the end.
    copies = [None if fd is None else fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in streams[:3]]
    return [fd for fd in copies if fd is not None], [str(fd or 0) for fd in copies]
