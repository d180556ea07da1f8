"""How a cycle is timed, in all benchmarks: boot, `systemctl is-active` of one unit inside, teardown.

`python timing.py floor ROOT` or `python timing.py command WORD...` prints the seconds. It needs nothing but Python, so
that it runs on the host that is measured: getting there is not counted.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

UNIT = "systemd-journald"

_BOOT_SECONDS = 60
_CYCLE_SECONDS = 30.0
_END_SECONDS = 20


ACTIVE = ("systemctl", "is-active", "--quiet", UNIT)


def floor(root: str, *commands: Sequence[str]) -> float:
    """One cycle of bare systemd-nspawn, told by itself when the guest has booted; in seconds.

    `commands` are run in it, by default the one that asks for the state of UNIT.
    """
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(f"{directory}/notify")
        notify.settimeout(_BOOT_SECONDS)
        started = time.perf_counter()
        command = ["systemd-nspawn", f"--directory={root}", "--machine=floor", "--boot", "--volatile=overlay"]
        command += ["--register=no", "--keep-unit", "--notify-ready=yes", "--console=pipe", "--quiet"]
        nspawn = subprocess.Popen(
            command,
            env={**os.environ, "NOTIFY_SOCKET": f"{directory}/notify", "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        leader = ""
        try:
            while (message := notify.recv(4096)) and b"READY=1" not in message:
                for line in message.decode().splitlines():
                    leader = line.removeprefix("X_NSPAWN_LEADER_PID=") if "LEADER_PID" in line else leader
            enter = ["nsenter", f"--target={leader}", "--mount", "--pid", "--net", "--uts", "--ipc", "--"]
            for words in commands or [ACTIVE]:
                subprocess.run([*enter, *words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        finally:
            if leader:  # nspawn does not take the guest with it, but ends with it
                with suppress(ProcessLookupError):
                    os.kill(int(leader), signal.SIGKILL)
                nspawn.wait()
            else:
                end(nspawn)
        seconds = time.perf_counter() - started
    _remove_cgroups()
    return seconds


def command(words: list[str], *, seconds: float = _CYCLE_SECONDS) -> float:
    """A command from its start to its end, in seconds. Raises RuntimeError with its last words where it fails.

    It fails as well if it takes more than `seconds`.
    """
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        pidfd = os.pidfd_open(process.pid)  # Popen.wait looks only every 50 ms when it has a timeout
        try:
            ended = select.select([pidfd], [], [], seconds)[0]
            taken = time.perf_counter() - started
        finally:
            os.close(pidfd)
            end(process)
        if not ended:
            raise RuntimeError(f"{words[0]} has not ended after {seconds:g} s")
        if process.returncode:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            raise RuntimeError(said[-1] if said else f"{words[0]} ended with status {process.returncode}")
    return taken


def _remove_cgroups() -> None:
    """What nspawn with --keep-unit leaves in our own cgroup."""
    mounted = {"": ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"), "name=systemd": ("/sys/fs/cgroup/systemd",)}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, own = line.split(":", 2)
        for top in mounted.get(controllers, ()):
            for name in ("payload", "supervisor"):
                for path, _, _ in os.walk(f"{top}{own.rstrip('/')}/{name}", topdown=False):
                    with suppress(OSError):  # somebody else's, and in use
                        os.rmdir(path)


def end(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    """Have a process that is still there end in its own way, which tears down its machine."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> None:
    """Time what is asked for; where it fails, the reason is on standard error."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    what, *words = sys.argv[1:]
    try:
        print(floor(*words) if what == "floor" else command(words))
    except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
