"""What the processes of an installation or a removal tell: which of them hold it open, and which it leaves behind."""

from collections import deque
from collections.abc import Sequence

from postroj.contract import Process
from postroj.errors import InstallError

_LOOKS = 7
"""How often in a row, every five seconds, the same process must be found to hold it open: a job may end by itself."""
_IDLE_LOOKS = 6
"""In how many of these its processes must only sleep: a script that waits in a loop works for a moment now and then."""
_MOST_NAMES = 3


class HeldError(InstallError):
    """A process that a maintainer script has left running holds the installation open."""

    def __init__(self, holder: Process, waiting: Process) -> None:
        super().__init__(f"{holder} holds the installation open")
        self.holder = holder
        self.waiting = waiting


class InstallWatcher:
    """Watches a package manager at work; see Watcher. Raises HeldError if it waits for a process that is not its own.

    By Policy 9.3 and debconf-devel(7) daemons close what they inherit. One that keeps debconf's pipe open keeps
    debconf waiting for its end, and so dpkg, on every machine.
    """

    def __init__(self, programs: Sequence[str]) -> None:
        """Take the names of the package manager's programs: one of them that only sleeps waits for a disk."""
        self._programs = programs
        self.left: list[Process] = []
        """What runs still when the package manager has ended with success."""
        self.working: list[Process] = []
        """What the package manager waits for when its time is up."""
        self.is_stuck = False
        """Whether all of that has only slept for half a minute then, with no socket by which anything could come."""
        self.seen: Sequence[Process] = ()
        """What ran at the last look."""
        self._held: tuple[int, int] | None = None
        self._looks = 0
        self._idle = deque[bool](maxlen=_LOOKS)

    def running(self, processes: Sequence[Process]) -> None:
        """Look for a process that holds it open; one that ends by itself soon does not."""
        self.seen = processes
        self._idle.append(self._is_idle(_leaves(processes)))
        found = held(processes)
        pids = (found[0].pid, found[1].pid) if found else None
        self._looks = self._looks + 1 if pids == self._held else 1
        self._held = pids
        if found and self._looks >= _LOOKS:
            raise HeldError(*found)

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


def _leaves(processes: Sequence[Process]) -> list[Process]:
    """Return the processes of the package manager's own that wait for no child."""
    own = [one for one in processes if not one.is_orphan]
    parents = {one.parent for one in own}
    return [one for one in own if one.pid not in parents]
