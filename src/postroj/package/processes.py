"""What the processes of an installation or a removal tell: which of them hold it open, and which it leaves behind."""

from collections import deque
from collections.abc import Callable, Sequence

from postroj.contract import Process
from postroj.errors import InstallError

_LOOKS = 7
"""How often in a row, every five seconds, the same process must be found to hold it open: a job may end by itself."""
_IDLE_LOOKS = 6
"""In how many of these its processes must only sleep: a script that waits in a loop works for a moment now and then."""
_LISTENER_LOOKS = 13
"""How often in a row processes must be found asleep of which one listens, to be taken for a daemon: for a minute."""
_MOST_NAMES = 3


class HeldError(InstallError):
    """A process that a maintainer script has left running holds the installation open."""

    def __init__(self, holder: Process, waiting: Process) -> None:
        super().__init__(f"{holder} holds the installation open")
        self.holder = holder
        self.waiting = waiting


class ForegroundError(InstallError):
    """A process that a maintainer script waits for only listens, and nothing connects to it."""

    def __init__(self, process: Process) -> None:
        super().__init__(f"{process} listens, and nothing connects to it")
        self.process = process


class InstallWatcher:
    """Watches a package manager at work; see Watcher. Raises HeldError if it waits for a process that is not its own.

    Raises ForegroundError if all that it waits for has slept for a minute, and a process of it listens: a daemon that
    a script runs in the foreground, which does not end by itself.

    By Policy 9.3 and debconf-devel(7) daemons close what they inherit. One that keeps debconf's pipe open keeps
    debconf waiting for its end, and so dpkg, on every machine.
    """

    def __init__(self, programs: Sequence[str], tell: Callable[[str], None] = lambda text: None) -> None:
        """Take the names of the package manager's programs: one of them that only sleeps waits for a disk.

        `tell` is called with what is waited for, once it looks as if that is for nothing.
        """
        self._programs = programs
        self._tell = tell
        self.left: list[Process] = []
        """What runs still when the package manager has ended with success."""
        self.working: list[Process] = []
        """What the package manager waits for when its time is up."""
        self.is_stuck = False
        """Whether all of that has only slept for half a minute then, with no connection by which anything can come."""
        self.seen: Sequence[Process] = ()
        """What ran at the last look."""
        self._held: tuple[int, int] | None = None
        self._looks = 0
        self._idle = deque[bool](maxlen=_LOOKS)
        self._listening: tuple[int, ...] = ()
        self._listened = 0

    def running(self, processes: Sequence[Process]) -> None:
        """Look for a process that holds it open; one that ends by itself soon does not."""
        self.seen = processes
        leaves = _leaves(processes)
        self._idle.append(self._is_idle(leaves))
        self._watch_listener(leaves)
        found = held(processes)
        pids = (found[0].pid, found[1].pid) if found else None
        self._looks = self._looks + 1 if pids == self._held else 1
        self._held = pids
        if found and self._looks >= _LOOKS:
            raise HeldError(*found)

    def _watch_listener(self, leaves: Sequence[Process]) -> None:
        """Raise ForegroundError if the same processes have been idle at each look for a minute, and one listens."""
        listener = next((one for one in leaves if one.listens), None)
        pids = tuple(one.pid for one in leaves) if listener and self._idle[-1] else ()
        self._listened = self._listened + 1 if pids and pids == self._listening else 1
        self._listening = pids
        if not listener or not pids:
            return
        if self._listened == _LOOKS:
            self._tell(f"the installation waits for {listener}, which listens on {_addresses(listener)} and sleeps")
        if self._listened >= _LISTENER_LOOKS:
            raise ForegroundError(listener)

    def expired(self, processes: Sequence[Process]) -> None:
        """Note what it waits for."""
        self.seen = processes
        self.working = _leaves(processes)
        self.is_stuck = sum(self._idle) >= _IDLE_LOOKS and self._is_idle(self.working)

    def ended(self, left: Sequence[Process]) -> None:
        """Note what it leaves."""
        self.left = list(left)

    def _is_idle(self, leaves: Sequence[Process]) -> bool:
        """Return whether nothing is to be waited for but these processes, which do no work and have no connection."""
        return bool(leaves) and all(
            one.is_sleeping and not one.has_socket and one.name not in self._programs for one in leaves
        )


def held(processes: Sequence[Process]) -> tuple[Process, Process] | None:
    """Return a process that holds an installation open, and the one that waits for it.

    The latter is the innermost process that the package manager waits for, and waits itself for the end of a pipe that
    only orphans can write to: pipe(7), or socketpair(2), by which pacman reads what its scripts print.
    """
    for leaf in _leaves(processes):
        for pipe in sorted(leaf.reads - leaf.writes):
            writers = [one for one in processes if pipe in one.writes]
            if writers and all(one.is_orphan for one in writers):
                return min(writers, key=lambda one: one.pid), leaf
    return None


def names(processes: Sequence[Process]) -> str:
    """Return the processes as a list in a sentence: three of them, and how many there are besides."""
    listed = [str(one) for one in processes[:_MOST_NAMES]]
    if more := len(processes) - len(listed):
        return f"{', '.join(listed)} and {more} more"
    return " and ".join(filter(None, (", ".join(listed[:-1]), listed[-1])))


def in_foreground(process: Process, script: str) -> str:
    """Return what is to be said of a process that a script waits for, and that only listens."""
    return f"{script} runs {process} in the foreground, which listens on {_addresses(process)}, and waits for its end"


def _addresses(process: Process) -> str:
    return " and ".join(process.listens[:_MOST_NAMES])


def _leaves(processes: Sequence[Process]) -> list[Process]:
    """Return the processes of the package manager's own that wait for no child."""
    own = [one for one in processes if not one.is_orphan]
    parents = {one.parent for one in own}
    return [one for one in own if one.pid not in parents]
