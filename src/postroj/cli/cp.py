"""`postroj cp`: copy files between a machine and the host."""

import argparse
import re
import sys
from typing import NamedTuple

from postroj.cli.common import require_root
from postroj.cli.entering import attached
from postroj.container import copying
from postroj.container.attached import Attached
from postroj.errors import HostError, UsageError

_IN_MACHINE = re.compile(r"([a-z0-9][a-z0-9.-]{0,63}):(.*)", re.DOTALL)
_EPILOG = """A directory that exists is copied into; PATH/. is what is in a directory; - is a tar stream. Links in a
directory are copied, and one that is named is followed. What is copied into a machine belongs to its root; what is
copied out of it belongs to you, without set-user-ID. Devices, sockets and FIFOs are left out. A file of the host with a
colon in its name: ./FILE.

examples:
  postroj cp NAME:/var/log/nginx ./logs
  postroj cp ./nginx.conf NAME:/etc/nginx/
  postroj cp NAME:/etc - | tar tv
"""


class _Place(NamedTuple):
    machine: str
    """Empty for the host."""
    path: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.usage = "postroj cp [-h] NAME:PATH PATH|-\n       postroj cp [-h] PATH|- NAME:PATH"
    parser.add_argument("source", metavar="SOURCE", help="a path, NAME:PATH in a machine, or -")
    parser.add_argument("target", metavar="TARGET", help="the same; one of both is in a machine")


def handle(args: argparse.Namespace) -> int:
    """Copy it."""
    require_root()
    source, target = _place(args.source), _place(args.target)
    if bool(source.machine) == bool(target.machine):
        raise UsageError("one of both is in a machine, and one on the host", hint="write NAME:PATH for one of them")
    if source.path == "-" and not source.machine and sys.stdin.isatty():
        raise UsageError("a tar stream is not typed at a terminal", hint="postroj cp - NAME:PATH <FILE")
    if target.path == "-" and not target.machine and sys.stdout.isatty():
        raise UsageError("a tar stream is not for a terminal", hint="postroj cp NAME:PATH - >FILE")
    with attached(source.machine or target.machine) as machine:
        try:
            if isinstance(machine, Attached):
                _copy(copying.Side(*machine.files), source, target)
            else:
                from postroj.cli import vmcopy

                copy = vmcopy.out if source.machine else vmcopy.into
                copy(machine, source.path, target.path)
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            raise HostError(f"it cannot be copied{where}: {error.strerror or error}") from error
    return 0


def _copy(side: copying.Side, source: _Place, target: _Place) -> None:
    if source.machine and target.path == "-":
        copying.copy_out(side, source.path)
    elif source.machine:
        copying.copy(side, source.path, copying.HOST, target.path)
    elif source.path == "-":
        copying.copy_in(side, target.path)
    else:
        copying.copy(copying.HOST, source.path, side, target.path)


def _place(text: str) -> _Place:
    if "\0" in text or not text:
        raise UsageError("a path is missing")
    found = _IN_MACHINE.fullmatch(text)
    if not found:
        return _Place("", text)
    return _Place(found[1], found[2] if found[2].startswith("/") else f"/{found[2]}")
