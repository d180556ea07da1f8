"""What can kill a machine, each as it comes in real life.

Each function says whether it has found what it kills: at the beginning of a run it may not be there yet.
"""

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from moments import Process, command_of, confinement, guest_init, nspawn

_OWN = re.compile(r".*(/postroj/[^/]+|/machine-[^/]+\.scope)")


def kill_postroj(process: Process) -> bool:
    process.kill()
    return True


def kill_nspawn(process: Process) -> bool:
    """Or the launcher that becomes it, or what starts that."""
    return _kill(nspawn(process) or confinement(process))


def kill_guest(process: Process) -> bool:
    """Its PID 1."""
    return _kill(guest_init(process))


def terminate(process: Process) -> bool:
    """As `machinectl terminate` does, as soon as machined knows the machine."""
    name = next((w.removeprefix("--machine=") for w in command_of(nspawn(process)) if w.startswith("--machine=")), "")
    words = ["machinectl", "terminate", name]
    return bool(name) and subprocess.run(words, capture_output=True, check=False).returncode == 0


def starve(process: Process) -> bool:
    """Leave the machine no memory to grow, with its PID 1 as the one that the out-of-memory killer takes first."""
    pid = guest_init(process)
    with suppress(OSError):
        group = _memory_cgroup(pid) if pid else None
        if group is None:
            return False
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
        limit, usage, events = (
            group / file
            for file in (
                ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control")
                if (group / "memory.oom_control").exists()
                else ("memory.max", "memory.current", "memory.events")
            )
        )
        # What can be reclaimed is, by the first; cgroup v1 refuses a limit that is below what then is left.
        for lower in ("0", usage.read_text()):
            with suppress(OSError):
                limit.write_text(lower)
        return "oom_kill 0\n" not in events.read_text()
    return False


def lacks_memory_controller() -> bool:
    """Whether nothing on this host limits the memory of machines."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    v1 = any(mount[2] == "cgroup" and "memory" in mount[3].split(",") for mount in mounts)
    controllers = (Path(mount[1], "cgroup.controllers") for mount in mounts if mount[2] == "cgroup2")
    return not v1 and not any("memory" in file.read_text().split() for file in controllers)


def _kill(pid: int) -> bool:
    with suppress(ProcessLookupError):
        if pid:
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def _memory_cgroup(pid: int) -> Path | None:
    """The machine's own cgroup that has its memory, in whichever hierarchy."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    paths = [line.split(":", 2)[1:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    for controllers, path in paths:
        for _, place, kind, options, *_ in mounts:
            of_it = (
                "memory" in options.split(",") if controllers == "memory" else (controllers, kind) == ("", "cgroup2")
            )
            own = _OWN.match(path)
            if of_it and own and any(Path(place + own[0], f"memory.{f}").exists() for f in ("max", "oom_control")):
                return Path(place + own[0])
    return None
