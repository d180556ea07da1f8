"""A command that is passed on to the Linux VM: with its files, streams, terminal, signals and exit status."""

import io
import json
import os
import signal
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import NamedTuple

from postroj import process
from postroj.errors import HostError, MachineLostError
from postroj.interrupts import told_of
from postroj.vm.host import installation, machine, results, shares
from postroj.vm.host.guest import ask, send
from postroj.vm.host.shares import Share
from postroj.vm.ssh import Connection

_RUNS = "/var/lib/postroj-host"
# The scripts are fixed. What a command that was killed has left is removed when nobody has locked it, after a day.
_BRING = """
set -eu
umask 077
mkdir -p -- "$1"
find "$2" -mindepth 1 -maxdepth 1 -mmin +1440 -exec flock --nonblock {} rm -rf -- {} ';' >&2
tar --extract --no-same-owner --same-permissions --directory="$1"
cat /usr/local/lib/postroj/version
"""
_TAKE = """
set -eu
cd -- "$1"
find shares -mindepth 2 -cnewer began '(' -type f -o -type l -o -type d ')' -print0 |
    tar --create --null --no-recursion --hard-dereference --files-from=- --format=pax
"""
_KILL = 'kill -s "$1" -- "$(cat -- "$2/pid")"'
_DIRECTORY = "/"


class Request(NamedTuple):
    """A command of postroj's."""

    words: Sequence[str]
    shares: Sequence[Share]
    environment: Mapping[str, str]
    terminal: bool
    """Whether it has ours."""
    stdin: bool
    """Whether it reads our standard input."""


def run(request: Request) -> int:
    """Run a command in the VM, and return its exit status. Raises UsageError, HostError."""
    with machine.connected() as connection:
        directory = f"{_RUNS}/{os.getpid()}-{os.urandom(6).hex()}"
        try:
            _bring(connection, directory, request)
            status = _run(connection, directory, request)
            _take(connection, directory, request)
        finally:
            with suppress(HostError):
                ask(connection, ["rm", "-rf", "--", directory])
        return status


def _bring(connection: Connection, directory: str, request: Request) -> None:
    """Copy what is shared, and postroj itself if the VM has another version of it."""
    told = {
        "words": list(request.words),
        "shares": [share.path for share in request.shares],
        "environment": dict(request.environment),
        "directory": os.getcwd() if any(share.path == os.getcwd() for share in request.shares) else _DIRECTORY,
    }
    data = json.dumps(told).encode()

    def write(archive: tarfile.TarFile) -> None:
        member = tarfile.TarInfo("request")
        member.size, member.mode = len(data), 0o600
        archive.addfile(member, io.BytesIO(data))
        shares.pack(archive, request.shares)

    version = send(connection, ["sh", "-c", _BRING, "sh", directory, _RUNS], write)
    if version.strip() != installation.digest():
        installation.renew(connection)


def _run(connection: Connection, directory: str, request: Request) -> int:
    # sshd, its parent, ends with the connection.
    words = ["setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "python3", "-m", "postroj.cli.in_vm", directory]
    argv = connection.argv(words, terminal=request.terminal)
    happened: SimpleQueue[int | None] = SimpleQueue()
    # In our own session if it has our terminal: so it is told of its size. Otherwise Ctrl-C is for us to pass on.
    started = subprocess.Popen(
        [process.find(argv[0]) or argv[0], *argv[1:]],
        stdin=None if request.stdin or request.terminal else subprocess.DEVNULL,
        env=process.environment(TERM=os.environ.get("TERM", "dumb")),
        start_new_session=not request.terminal,
    )

    def wait() -> None:
        started.wait()
        happened.put(None)

    try:
        with told_of(happened.put):
            Thread(target=wait, daemon=True).start()
            while (signum := happened.get()) is not None:
                with suppress(HostError):  # it has ended in this moment
                    ask(connection, ["sh", "-c", _KILL, "sh", signal.Signals(signum).name[3:], directory])
    finally:
        if started.poll() is None:
            process.stop(started)
    if connection.is_lost(started.returncode):
        raise MachineLostError("the connection to the Linux VM has ended", why=connection.said())
    if started.returncode < 0:
        raise HostError(f"ssh was killed by signal {-started.returncode}")
    return started.returncode


def _take(connection: Connection, directory: str, request: Request) -> None:
    """Copy back what the command has written."""
    if not request.shares:
        return
    asked = process.start(
        connection.argv(["sh", "-c", _TAKE, "sh", directory]),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert asked.stdout and asked.stderr
        try:
            results.unpack(asked.stdout, list(request.shares))
        except (tarfile.TarError, OSError) as error:
            raise HostError("what was written cannot be copied out of the Linux VM", why=str(error)) from error
        asked.stdout.read()
        if asked.wait():
            why = asked.stderr.read().decode(errors="replace")
            raise HostError("what was written cannot be copied out of the Linux VM", why=why[-4000:])
    finally:
        process.stop(asked)
