"""A process that powers a VM off when the postroj that uses it has ended, however it has ended.

libvirt's VMs are not children of ours, so the kernel cannot end them with us. The guard waits for the end of its
standard input, which only we hold open. It holds the VM's lock as well: nobody takes the VM before it is off.
"""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from postroj import process
from postroj.events import Warn, emit
from postroj.interrupts import uninterrupted
from postroj.locks import DirectoryLock
from postroj.vm import domains

_SECONDS = 120.0
_AGAIN_SECONDS = 5.0
# What libvirt was asked for by a postroj that was killed goes on: the VM may start after it was found to be off.
_SCRIPT = """
again=$1
shift
read -r ended && exec "$@"
"$@"
sleep "$again"
exec "$@"
"""


@contextmanager
def guarded(vm: str, lock: DirectoryLock, off: Sequence[str], env: Mapping[str, str]) -> Iterator[None]:
    """Have a VM powered off, by a command, at the end of the block, or with the end of this process."""
    # timeout(1) is in all distributions of Linux; macOS has it not.
    limit = ["timeout", f"{_SECONDS:g}"] if process.find("timeout") else []
    with uninterrupted():
        guard = process.start(
            ["sh", "-c", _SCRIPT, "sh", f"{_AGAIN_SECONDS:g}", *limit, *off],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(lock.fileno(),),
        )
    try:
        yield
    finally:
        with uninterrupted():
            _end(vm, guard)


def _end(vm: str, guard: "subprocess.Popen[bytes]") -> None:
    try:
        _, errors = guard.communicate(b"ended\n", timeout=2 * _SECONDS)
    except subprocess.TimeoutExpired:
        process.stop(guard)
        errors = b""
    said = errors.decode(errors="replace").strip()
    if guard.returncode and not domains.is_off(said):
        reason = said.rpartition("\n")[2].removeprefix("error: ") or "virsh did not end"
        emit(Warn(f"the VM {vm} could not be powered off, the next command tries again: {reason}"))
