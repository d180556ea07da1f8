"""Commands in the Linux VM that only serve postroj: what they print, and archives that they read."""

import subprocess
import tarfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread

from postroj import process
from postroj.errors import HostError, MachineLostError
from postroj.vm.ssh import Connection


def ask(connection: Connection, words: Sequence[str]) -> str:
    """Return what a command prints. Raises HostError."""
    return send(connection, words, None)


def send(connection: Connection, words: Sequence[str], write: Callable[[tarfile.TarFile], None] | None) -> str:
    """Run a command that reads a tar archive, which `write` fills; return what it prints. Raises HostError."""
    asked = process.start(connection.argv(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert asked.stdin and asked.stdout and asked.stderr
        inlet, told, errors = asked.stdin, asked.stdout, bytearray()
        # What it says on the way must not hold it up.
        reader = Thread(target=lambda: errors.extend(asked.stderr.read() if asked.stderr else b""), daemon=True)
        reader.start()
        with suppress(BrokenPipeError), inlet:  # it has failed then, and says why
            if write:
                with tarfile.open(mode="w|", fileobj=inlet, format=tarfile.PAX_FORMAT) as archive:
                    write(archive)
        out = told.read()
        status = asked.wait()
        reader.join()
    finally:
        process.stop(asked)
    why = errors.decode(errors="replace")
    if connection.is_lost(status):
        raise MachineLostError("the connection to the Linux VM has ended", why=connection.said() or why)
    if status:
        raise HostError(f"a command in the Linux VM has failed with status {status}", why=why[-4000:])
    return out.decode(errors="replace")


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Have files belong to the VM's root; leave out devices, sockets and FIFOs."""
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        return None
    member.mode |= 0o755 if member.isdir() else 0o644  # users of a machine have to read it
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
