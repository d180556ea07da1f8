"""Limits on what a machine uses, in cgroups of its own, and what became of them.

On a host with systemd its scope has them (`machined`). Elsewhere a controller may be cgroup2's, and is set in the
machine's cgroup, or cgroup v1's, and gets a cgroup `postroj/NAME` in that hierarchy.
"""

import os
from contextlib import suppress

from postroj.container import cgroup
from postroj.container.options import Options
from postroj.events import Warn, emit

_PERIOD = 100_000  # microseconds
_V2 = {"memory": "memory.max", "cpu": "cpu.max", "pids": "pids.max"}
_V1 = {"memory": "memory.limit_in_bytes", "cpu": "cpu.cfs_quota_us", "pids": "pids.max"}
OPTIONS = {"memory": "--memory", "cpu": "--cpus", "pids": "--tasks"}


def controllers() -> set[str]:
    """Which there are for machines: cgroup v1's, or cgroup2's."""
    return set(_v1_hierarchies()) | cgroup.controllers()


def impose(name: str, pid: int, options: Options) -> None:
    """Have the machine's first process, and with it all that come, within its limits, where there is no systemd."""
    limits = _limits(options)
    for controller, directory in _v1_hierarchies().items():
        if controller in limits:  # each costs the boot some milliseconds
            own = os.path.join(directory, cgroup.PARENT, name)
            with suppress(OSError):  # `check` says so
                os.makedirs(own, exist_ok=True)
                _write(own, _V1[controller], limits[controller])
                _write(own, "cgroup.procs", str(pid))
    for controller, value in limits.items():
        with suppress(OSError):
            cgroup.write(
                f"{cgroup.PARENT}/{name}", _V2[controller], f"{value} {_PERIOD}" if controller == "cpu" else value
            )


def check(pid: int, options: Options) -> None:
    """Warn of each limit that this host cannot enforce on the process."""
    places = _places(pid)
    for controller in _limits(options):
        directory = places.get(controller, "")
        file = _V1[controller] if controller in _v1_hierarchies() else _V2[controller]
        if not directory or not os.path.exists(os.path.join(directory, file)):
            emit(Warn(f"{OPTIONS[controller]} is not enforced: this host has no {controller} controller for machines"))


def remove(name: str) -> None:
    """Remove a machine's cgroups of cgroup v1; nothing is left in them."""
    for directory in _v1_hierarchies().values():
        parent = os.path.join(directory, cgroup.PARENT)
        with suppress(FileNotFoundError):
            group = os.open(os.path.join(parent, name), os.O_RDONLY | os.O_DIRECTORY)
            try:
                cgroup.remove_children(group)
            finally:
                os.close(group)
            os.rmdir(os.path.join(parent, name))
        with suppress(OSError):  # the last one out
            os.rmdir(parent)


class OutOfMemory:
    """Counts who fell to the out-of-memory killer: in a process's cgroup, or else on this host from now on."""

    def __init__(self, pid: int) -> None:
        directory = _places(pid).get("memory", "")
        # The cgroups of all that are in none of their own are the root, which counts the whole host's, or nothing.
        paths = [os.path.join(directory, file) for file in ("memory.events", "memory.oom_control")]
        paths = [path for path in paths if cgroup.PARENT in path or "machine.slice" in path]
        self._path = next((path for path in paths if os.path.exists(path)), "/proc/vmstat")
        self._before = self._count()

    def kills(self) -> int:
        """How many since."""
        return self._count() - self._before

    def _count(self) -> int:
        with suppress(OSError), open(self._path) as file:
            for name, _, value in (line.partition(" ") for line in file):
                if name == "oom_kill":
                    return int(value)
        return 0


def _limits(options: Options) -> dict[str, str]:
    limits = {
        "memory": str(options.memory) if options.memory else "",
        "cpu": str(int(options.cpus * _PERIOD)) if options.cpus else "",
        "pids": str(options.tasks) if options.tasks else "",
    }
    return {controller: value for controller, value in limits.items() if value}


def _v1_hierarchies() -> dict[str, str]:
    """Where the controllers that cgroup v1 has are mounted."""
    found = {}
    with open("/proc/self/mounts") as mounts:
        for fields in map(str.split, mounts):
            if fields[2] == "cgroup":
                found.update({option: fields[1] for option in fields[3].split(",") if option in _V1})
    return found


def _places(pid: int) -> dict[str, str]:
    """The directory of a process's cgroup for each controller: proc_pid_cgroup(5)."""
    v1 = _v1_hierarchies()
    unified = cgroup.mount_point()
    with open(f"/proc/{pid}/cgroup") as file:
        entries = [line.rstrip("\n").split(":", 2) for line in file]
    own = next((path for number, _, path in entries if number == "0"), None)
    places = dict.fromkeys(_V2, unified + own) if unified and own else {}
    for _, controllers, path in entries:
        places.update({name: v1[name] + path for name in controllers.split(",") if name in v1})
    return places


def _write(directory: str, file: str, text: str) -> None:
    with open(os.path.join(directory, file), "w") as target:
        target.write(text)
