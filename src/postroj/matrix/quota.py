"""What cgroups leave to this process, as those of a container of CI do: cgroup2's or cgroup v1's, its own and above."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from postroj.container.host.limits import places


def cpus(roots: dict[str, str] | None = None) -> float:
    """Return how many processors' time it may have; infinite without a limit.

    `roots` are the directories of its cgroups, by controller; by default they are asked of the kernel.
    """
    return min(map(_cpus, _groups("cpu", roots)), default=float("inf"))


def free_memory(roots: dict[str, str] | None = None) -> float:
    """Return the bytes of memory that it may still have; infinite without a limit. Files that are cached are free."""
    return min(map(_free_memory, _groups("memory", roots)), default=float("inf"))


def _groups(controller: str, roots: dict[str, str] | None) -> Iterator[Path]:
    with suppress(OSError):
        place = Path((places("self") if roots is None else roots).get(controller, "/"))
        # Those above are not there where a container sees its own cgroup as the root.
        yield from (place, *place.parents)


def _cpus(group: Path) -> float:
    with suppress(OSError, ValueError):
        limit, period = (group / "cpu.max").read_text().split()
        return float("inf") if limit == "max" else int(limit) / int(period)
    with suppress(OSError, ValueError):
        limit, period = ((group / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(limit) / int(period) if int(limit) > 0 else float("inf")
    return float("inf")


def _free_memory(group: Path) -> float:
    for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
        with suppress(OSError, ValueError):  # `max` is no limit
            left = int((group / limit).read_text()) - int((group / used).read_text())
            return max(0, left + _cached(group / "memory.stat"))
    return float("inf")


def _cached(stat: Path) -> int:
    """Return the bytes of files in memory: cgroup v1 counts those of cgroups below apart."""
    values = dict(line.split() for line in stat.read_text().splitlines())
    return sum(int(values.get(f"total_{name}", values.get(name, 0))) for name in ("inactive_file", "active_file"))
