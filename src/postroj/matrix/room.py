"""Whether one more cell than there are slots can be run: cells that wait leave the processors to others.

There is nothing that would tell when processors become idle, so they are looked at while cells wait for a slot.
"""

import os
import time

from postroj.matrix import quota

LOOK_SECONDS = 0.5
"""How long processors are looked at. A cell that begins keeps one busy at once, so each look sees the last one."""
CONTAINER = 512 << 20
"""The bytes of memory that a cell needs: its container, and what it writes there. A VM has a size of its own."""
_PER_CPU = 4
"""A cell waits for most of its time: for units to stay active, for addresses to answer."""
_MOST_PER_CPU = 16
"""All of them may begin to work at the same moment, and each has limits on time."""
_IDLE_CPUS = 0.5


def slots(memory: int = CONTAINER) -> int:
    """Return how many cells can be run at once whatever they do, by the processors and the free memory that we have.

    `memory` is the bytes that each takes.
    """
    return _within(_PER_CPU * min(_cpus(), quota.cpus()), memory)


def most(memory: int = CONTAINER) -> int:
    """Return how many cells can be run at once if most of them wait.

    With a quota they are no more than there are slots: what is idle on the host is not ours then.
    """
    return slots(memory) if quota.cpus() < _cpus() else _within(_MOST_PER_CPU * _cpus(), memory)


def _within(cells: float, memory: int) -> int:
    return max(1, int(min(cells, min(free_memory(), quota.free_memory()) // memory)))


def _cpus() -> int:
    return len(os.sched_getaffinity(0))


class Room:
    """The processors and the memory of this host, for cells beyond its slots: `most` at once."""

    def __init__(self, most: int, memory: int = CONTAINER, proc: str = "/proc") -> None:
        self._most = most
        self._memory = memory
        self._proc = proc
        self._looked = time.monotonic()
        self._idle, self._all = _times(proc)

    def has_one(self, running: int) -> bool:
        """Return whether one more can be run beside those that are.

        Always False if the last look is not long enough ago.
        """
        if running >= self._most or time.monotonic() - self._looked < LOOK_SECONDS:
            return False
        idle, all_of = _times(self._proc)
        idle_cpus = _cpus() * (idle - self._idle) / max(1, all_of - self._all)
        self._looked, self._idle, self._all = time.monotonic(), idle, all_of
        return idle_cpus >= _IDLE_CPUS and min(free_memory(self._proc), quota.free_memory()) >= self._memory


def _times(proc: str) -> tuple[int, int]:
    """Return the time in which this host's processors were idle, and all of it: proc_stat(5)."""
    with open(f"{proc}/stat") as file:
        times = [int(word) for word in file.readline().split()[1:9]]  # those of guests are part of others
    return times[3], sum(times)


def free_memory(proc: str = "/proc") -> int:
    """Return the bytes of memory that programs can still have: MemAvailable of proc_meminfo(5)."""
    with open(f"{proc}/meminfo") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable:"))
