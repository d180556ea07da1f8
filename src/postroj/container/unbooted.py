"""A command in an image that is not booted: it needs no systemd in it, and at best a shell."""

import fcntl
import os
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack

from postroj.container.guest.imagefiles import Missing, NotExecutable, Tree
from postroj.container.guest.user import cannot_be
from postroj.container.launch.binds import Bind
from postroj.container.launch.nspawn import KILLED
from postroj.container.lifecycle import Lifecycle, sweep
from postroj.container.options import Options
from postroj.deadline import NEVER, Deadline
from postroj.errors import BootError, HostError, MachineLostError, UsageError
from postroj.events import Debug, Warn, emit
from postroj.interrupts import uninterrupted
from postroj.streams import Streams
from postroj.systemd.command import IN_DIRECTORY, late

_DEFAULT = Options()
_SHELL = "/bin/sh"
_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
_ROOT = ("root", "0")

_GATE = "/run/host/postroj"
"""Where the guest's shell reads a line before the command begins: a FIFO of ours, so that its stdin is left alone."""
RESOLV_CONF = "/run/host/postroj-resolv.conf"
"""Where a guest that may change its tree finds what its /etc/resolv.conf is to be."""

# The shell stays, as nspawn tells the end by a signal by 255 only; what Ctrl-C and Ctrl-\ are for, ends the command
# and not the shell. Nor is it to say that its command was killed.
_SCRIPT = f"""
read -r postroj_terminal <{_GATE} || exit
[ -z "$postroj_terminal" ] || exec <>"$postroj_terminal" >&0 2>&0
{IN_DIRECTORY}
trap : INT QUIT
exec 3>&2 2>/dev/null
(exec 2>&3 3>&-; exec "$@")
exit $?
"""


def run_unbooted(
    root: str,
    argv: Sequence[str],
    streams: Streams,
    *,
    name: str,
    exact_name: bool = False,
    binds: Sequence[Bind] = (),
    options: Options = _DEFAULT,
    deadline: Deadline = NEVER,
    env: Mapping[str, str] | None = None,
    workdir: str = "/",
    user: str = "root",
    terminal: int | None = None,
) -> int:
    """Run a command in a machine of its own, without booting it, and return its exit status; see Unbooted.

    `terminal` is the one that the user sits at: then the command has one of the guest's, and no other streams.

    128 and the signal's number where one killed it, 126 and 127 where it cannot be executed or is not there. Raises
    DeadlineError, MachineLostError, GuestSetupError, and what Lifecycle raises.
    """
    with Unbooted(
        root,
        name,
        argv,
        streams,
        exact_name=exact_name,
        binds=binds,
        options=options,
        deadline=deadline,
        env={"LANG": "C.UTF-8", **(env or {})},
        workdir=workdir,
        user=user,
        terminal=terminal,
    ) as machine:
        status = machine.wait(deadline)
        machine.warn_of_memory()
        return status


class Unbooted(Lifecycle):
    """One command as PID 2 of a container: systemd-nspawn(1), --as-pid2. Inside the block it is there; see Lifecycle.

    Where the image has a shell, the command begins with `wait`, when its network is there. Without one, nothing can
    hold it back: it begins at once, its network comes a moment later, it gets no terminal, and what ends by a signal
    has the status 255. It is looked up beforehand; one that then cannot be executed all the same, as its loader is
    missing, has the status 1.

    A user other than root is found by the guest's getent, with its database `initgroups` (glibc); with musl, whose
    getent does not have that, the guest's su becomes the user.
    """

    def __init__(
        self,
        root: str,
        name: str,
        argv: Sequence[str],
        streams: Streams,
        *,
        exact_name: bool = False,
        binds: Sequence[Bind] = (),
        options: Options = _DEFAULT,
        deadline: Deadline = NEVER,
        ephemeral: bool = True,
        layer: str = "",
        env: Mapping[str, str] | None = None,
        workdir: str = "/",
        user: str = "root",
        terminal: int | None = None,
        proxies: bool = False,
        files: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare it. `files` are texts that the guest sees as files, by their paths."""
        super().__init__(
            root,
            name,
            exact_name=exact_name,
            binds=binds,
            options=options,
            deadline=deadline,
            ephemeral=ephemeral,
            layer=layer,
            proxies=proxies,
        )
        self._argv = argv
        self._streams = streams
        self._env = env or {}
        self._workdir = workdir
        self._user = user
        self._terminal = terminal
        self._files = files or {}
        self._uid = 0
        self._by_su = False
        self._gate: int | None = None
        self._status: int | None = None
        """What it ends with, where that is known without running it."""

    def _begin(self, deadline: Deadline) -> None:
        command = self._command()
        if self._status is not None:
            return
        self._streams.let_reopen()
        with uninterrupted():
            self._claim_all()
            for target, text in self._files.items():
                self._bring(text, target)
            arguments = [
                *("--as-pid2", "--console=pipe", "-u", "root" if self._by_su else self._user),
                *(f"--setenv={name}={value}" for name, value in {**self._proxies, **self._env}.items()),
                *("--", *command),
            ]
            if not self._ephemeral:
                self._bring(self._resolv_conf, RESOLV_CONF)
            if self._has_shell:
                self._make_gate()
            else:
                arguments.insert(0, f"--chdir={self._workdir}")
            emit(Debug(f"{self.name} runs in {self._root}"))
            # What nspawn has to say is for the command's stderr; the shell opens a terminal by itself.
            self._start(arguments, streams=None if self._terminal is not None else self._streams)
        self._go(deadline)
        sweep()
        try:
            self._meet(deadline)
        except BootError as error:
            self._check_failed(error)

    def _command(self) -> list[str]:
        """What nspawn is to execute."""
        with Tree(self._root, [bind.target for bind in self._binds]) as tree:
            if self._user not in _ROOT:
                uid = tree.uid(self._user)
                if uid is None:
                    raise cannot_be(self._user, self._argv[0], "there is none in its /etc/passwd")
                self._uid = uid
            self._has_shell = tree.is_executable(_SHELL)
            self._by_su = self._has_shell and self._user not in _ROOT and tree.has_musl()
            if self._has_shell:
                return [_SHELL, "-c", _SCRIPT, "sh", self._workdir, *self._become(), *self._argv]
            if self._terminal is not None:
                raise UsageError("a terminal needs a shell in the image, and there is none", hint="leave -t out")
            try:
                tree.check_directory(self._workdir)
                return [tree.find(self._argv[0], self._env.get("PATH"), self._workdir), *self._argv[1:]]
            except Missing as error:
                emit(Warn(str(error)))
                self._status = _NOT_FOUND
            except NotExecutable as error:
                emit(Warn(str(error)))
                self._status = _NOT_EXECUTABLE
        return []

    def _become(self) -> list[str]:
        """The command in front of the command."""
        return ["su", "-s", _SHELL, "-c", 'exec "$@"', "--", self._user, "sh"] if self._by_su else []

    def _make_gate(self) -> None:
        path = os.path.join(self._claim.path, "gate")
        os.mkfifo(path)
        os.chmod(path, 0o644)  # for whatever user the command has
        # Both ends, so that nobody waits for the other to open it.
        self._gate = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._stack.callback(os.close, self._gate)
        self._binds = [*self._binds, Bind(path, _GATE, mapped=False)]

    def _bring(self, text: str, target: str) -> None:
        """Have the guest see a text as a file; it lies in the machine's own directory, and ends with it."""
        path = os.path.join(self._claim.path, f"file-{len(self._binds)}")
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o644)  # for whatever user reads it
        os.utime(path, (0, 0))  # dnf asks anew if the file of a repository is newer than its lists
        self._binds = [*self._binds, Bind(path, target, mapped=False)]

    def _check_failed(self, error: BootError) -> None:
        """Raise what kept it from beginning; a command that nothing held back may just have ended already."""
        ended = self._nspawn.has_ended(1)
        if ended and not self._nspawn.has_begun and self._user not in _ROOT and not self._nspawn.was_killed():
            why = "it has no getent that knows `initgroups`, or that user"
            raise cannot_be(self._user, self._argv[0], why) from error
        if ended and self._nspawn.has_begun and self._gate is not None and not self._nspawn.was_killed():
            raise self._no_shell(error.why) from error  # which nothing has told yet to go on
        if not ended or not self._nspawn.has_begun or self._gate is not None:
            raise error

    def wait(self, deadline: Deadline) -> int:
        """Let the command begin, and return its exit status."""
        if self._status is not None:
            return self._status
        with ExitStack() as stack:
            line = ""
            if self._terminal is not None:
                from postroj.container.guest.terminal import attached

                owner = self._root_uid + self._uid
                line = stack.enter_context(attached(self._guest_root, owner, self._terminal))
            if self._gate is not None:
                os.write(self._gate, f"{line}\n".encode())
            ended = self._nspawn.wait_exit(deadline)
        if ended is None:
            raise late(self._argv, deadline)
        status, said = ended
        fate = self._fate()
        stopped = self._registration is not None and self._registration.was_stopped(0)
        if stopped or self._nspawn.was_killed(has_status=True):
            raise MachineLostError(f"the machine {self.name} is lost: {fate or KILLED}", why=said)
        if self._gate is not None and _unread(self._gate):
            raise self._no_shell(said)
        return status

    def written(self) -> AbstractContextManager[list[int]]:
        """Return the directory of what it has written over its image, when `wait` has returned, or nothing."""
        return self._state.opened()

    def _no_shell(self, why: str) -> HostError:
        return HostError(f"the guest's {_SHELL} could not be executed", why=why)


def _unread(fifo: int) -> int:
    return int.from_bytes(fcntl.ioctl(fifo, termios.FIONREAD, bytes(4)), sys.byteorder)
