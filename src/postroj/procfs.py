"""What the kernel tells of processes: proc(5)."""

import os


def start_time(pid: int, proc: int | None = None) -> int:
    """Return when a process was started, in clock ticks since the boot: proc_pid_stat(5). Raises OSError.

    `proc` is a descriptor of its directory below /proc, by which it cannot be another one.
    """
    with open(os.open("stat" if proc is not None else f"/proc/{pid}/stat", os.O_RDONLY, dir_fd=proc)) as file:
        return int(file.read().rpartition(")")[2].split()[19])  # its name may have spaces and brackets


def status_of(pid: int) -> dict[str, str]:
    """Return what /proc/PID/status has: proc_pid_status(5).

    Raises OSError for a process that is gone, ValueError for one that has ended and was not waited for.
    """
    with open(f"/proc/{pid}/status", errors="replace") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    if status["State"].startswith(("Z", "X")):
        raise ValueError("it has ended")
    return status
