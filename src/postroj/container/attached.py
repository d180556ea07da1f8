"""A machine that another process has started, and owns: it can be asked for all that its owner can, but its end."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from postroj import locks
from postroj.container.guest.guest import Guest
from postroj.container.host import names, record
from postroj.deadline import NEVER, Deadline
from postroj.errors import HostError, MachineLostError, UsageError
from postroj.nearest import did_you_mean
from postroj.procfs import start_time

if TYPE_CHECKING:
    from postroj.streams import Streams
    from postroj.systemd.bus import Bus

_ENDING = "it is rebooting, or has ended at this moment"


class Attached(Guest):
    """A machine by its name; a context manager. Raises UsageError if there is none, HostError if it has not booted."""

    def __init__(self, name: str) -> None:
        names.check(name)
        self.name = name
        self.deadline: Deadline = NEVER
        """See Machine."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        found = record.read(self.name)
        if not found:
            self._check_owned()
            hint = "it boots still, or was started with --no-boot"
            raise HostError(f"the machine {self.name} has not booted", hint=hint)
        self._leader, self._root_uid = found.leader, found.root_uid
        self._proxies = record.read_proxies(self.name)
        try:
            # By the directory's descriptor it is this process, or none: its PID may be another's by now.
            proc = self._open(f"/proc/{found.leader}", os.O_PATH | os.O_DIRECTORY)
            if start_time(found.leader, proc) != found.started:
                raise ProcessLookupError
            self._guest_root = self._open("root", os.O_PATH, proc)
            self._guest_network = self._open("ns/net", os.O_RDONLY, proc)
            self._bus = self._connect()
        except (OSError, MachineLostError) as error:
            self._stack.close()
            self._check_owned()
            why = error.why if isinstance(error, MachineLostError) else ""
            raise MachineLostError(f"the machine {self.name} cannot be entered: {_ENDING}", why=why) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _check_owned(self) -> None:
        if not locks.owner(record.directory_of(self.name)):
            raise not_running(self.name)

    def run(
        self,
        argv: Sequence[str],
        streams: "Streams",
        *,
        deadline: Deadline = NEVER,
        env: Mapping[str, str] | None = None,
        workdir: str = "/",
        user: str = "root",
    ) -> int:
        """Run a command; see Guest. A signal that ends this process ends the command too."""
        try:
            return super().run(argv, streams, deadline=deadline, env=env, workdir=workdir, user=user)
        except Exception:
            raise
        except BaseException:
            # It may have interrupted a conversation by the bus, which cannot go on then.
            self._kill_commands()
            raise

    def _kill_commands(self) -> None:
        from postroj.container.guest.transient import kill_all

        with suppress(OSError, HostError):
            self.reconnect()
            kill_all(self._bus)

    def _connect(self) -> "Bus":
        from postroj.container.guest import bus

        connected = bus.connect(self._guest_root, self._root_uid)
        self._stack.callback(connected.close)
        return connected

    def _open(self, path: str, flags: int, directory: int | None = None) -> int:
        fd = os.open(path, flags, dir_fd=directory)
        self._stack.callback(os.close, fd)
        return fd

    def _lost(self, error: MachineLostError) -> MachineLostError:
        return MachineLostError(f"the machine {self.name} is lost: it has ended, or reboots", why=error.why)


def not_running(name: str) -> UsageError:
    """Return the error for a machine that is not there."""
    hint = did_you_mean(name, record.owners()) or "`postroj ps` lists those that run"
    return UsageError(f"no machine named {name} is running", hint=hint)
