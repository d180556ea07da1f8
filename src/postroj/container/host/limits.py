"""Limits on what a machine uses, in cgroups of its own, and what became of them.

On a host with systemd its scope has them (`machined`). Elsewhere a controller may be cgroup2's, and is set in the
machine's cgroup, or cgroup v1's, and gets a cgroup `postroj/NAME` in that hierarchy.
"""

import os
from contextlib import suppress

from postroj.container.host import cgroup
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
    """Have the machine's first process, and with it all that come, within its limits, where there is no systemd.

    Warns of those that this host cannot enforce.
    """
    v1 = _v1_hierarchies()
    for controller, value in _limits(options).items():
        try:
            if controller in v1:  # each costs the boot some milliseconds, so only where there is a limit
                own = os.path.join(v1[controller], cgroup.PARENT, name)
                os.makedirs(own, exist_ok=True)
                _write(own, _V1[controller], value)
                _write(own, "cgroup.procs", str(pid))
            else:
                own = f"{cgroup.PARENT}/{name}"
                cgroup.write(own, _V2[controller], f"{value} {_PERIOD}" if controller == "cpu" else value)
                if controller == "memory":
                    with suppress(FileNotFoundError):  # a kernel without swap
                        cgroup.write(own, "memory.swap.max", "0")
        except OSError as error:
            _warn(controller, str(error.strerror))


def check(pid: int, options: Options) -> None:
    """Warn of each limit of a process's scope that this host cannot enforce: systemd does not tell."""
    found = places(pid)
    for controller in _limits(options):
        file = _V1[controller] if controller in _v1_hierarchies() else _V2[controller]
        if not os.path.exists(os.path.join(found.get(controller, "/nowhere"), file)):
            _warn(controller, "no such controller")


def _warn(controller: str, why: str) -> None:
    emit(Warn(f"{OPTIONS[controller]} is not enforced: this host has no {controller} controller for machines ({why})"))


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
    """Counts the processes that the OOM killer ended in the cgroup of a machine's process, by its directory.

    Those that met a limit inside the machine, as MemoryMax= of a unit is, do not count: they would on any machine.
    """

    def __init__(self, name: str, directory: str) -> None:
        # One that is not its own, where it has no limit on a v1 host, would count others' as well.
        own = directory.endswith(f"/{cgroup.PARENT}/{name}") or f"/machine-{name}-" in directory
        self._directory = directory if own else ""
        self._most = 0

    def kills(self) -> int:
        """Return how many; 0 if the kernel does not count them, or not for the machine alone.

        When the cgroup is gone, as many as there were when it was asked for the last time.
        """
        if self._directory:
            files = ("memory.events", "memory.events.local", "memory.oom_control")
            self._most = max(self._most, kills(*map(self._read, files)))
        return self._most

    def _read(self, file: str) -> dict[str, int]:
        with suppress(OSError), open(os.path.join(self._directory, file)) as lines:
            return {name: int(value) for name, _, value in (line.partition(" ") for line in lines)}
        return {}


def kills(below: dict[str, int], own: dict[str, int], v1: dict[str, int]) -> int:
    """Return how many processes the OOM killer ended for want of memory of the machine, or of the host.

    `below` is memory.events, which counts what happened in the cgroup and in all below it, `own` memory.events.local
    (Linux 5.2), which counts how often the cgroup's own limit was met; `v1` is memory.oom_control of cgroup v1.
    """
    if own and below.get("oom", 0) and not own.get("oom", 0):
        return 0
    return below.get("oom_kill", 0) or v1.get("oom_kill", 0)


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


def places(pid: int | str) -> dict[str, str]:
    """The directory of a process's cgroup for each controller: proc_pid_cgroup(5). `self` is this process."""
    v1 = _v1_hierarchies()
    unified = cgroup.mount_point()
    with open(f"/proc/{pid}/cgroup") as file:
        entries = [line.rstrip("\n").split(":", 2) for line in file]
    own = next((path for number, _, path in entries if number == "0"), None)
    found = dict.fromkeys(_V2, unified + own) if unified and own else {}
    for _, controllers, path in entries:
        found.update({name: v1[name] + path for name in controllers.split(",") if name in v1})
    return found


def _write(directory: str, file: str, text: str) -> None:
    with open(os.path.join(directory, file), "w") as target:
        target.write(text)
