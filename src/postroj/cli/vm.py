"""`postroj vm`: the virtual machines that are kept for the next run."""

import argparse

from postroj import privileges
from postroj.cli import add_verbosity, table, vm_host
from postroj.cli.common import require_root
from postroj.errors import UsageError
from postroj.nearest import did_you_mean
from postroj.vm import records, sweeping

_HEADER = ("NAME", "IMAGE", "STATE")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands."""
    commands = parser.add_subparsers(dest="what", metavar="COMMAND", required=True)

    def add(name: str, help: str) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(
            name, help=help, description=help[0].upper() + help[1:] + "."
        )
        command.set_defaults(parser=command)
        add_verbosity(command)
        return command

    table.add_format(add("ls", "list them"))
    removed = add("rm", "remove some, with their disks and snapshots")
    removed.add_argument("names", nargs="+", metavar="NAME")
    vm_host.configure(add("host", "the Linux VM of hosts that do not run Linux"))


def handle(args: argparse.Namespace) -> int:
    """List or remove them."""
    if privileges.is_linux():
        require_root()
    if args.what == "host":
        return vm_host.handle(args)
    return _list(args) if args.what == "ls" else _remove(args)


def _list(args: argparse.Namespace) -> int:
    sweeping.sweep_quietly()
    rows = [
        {
            "name": one.name,
            "image": one.image,
            "state": f"used by {one.user}" if one.user else "off" if one.is_ready else "half made",
        }
        for one in records.kept()
    ]
    if args.quiet and not args.format:
        for row in rows:
            print(row["name"])
        return 0
    table.show(args.format, _HEADER, [tuple(row.values()) for row in rows], rows)
    return 0


def _remove(args: argparse.Namespace) -> int:
    known = {one.name: one for one in records.kept()}
    for name in args.names:
        if name not in known:
            raise UsageError(f"there is no VM {name[:80]}", hint=did_you_mean(name, known) or "see `postroj vm ls`")
        if not sweeping.remove(name):
            user = known[name].user or "of another postroj"
            raise UsageError(f"the VM {name} is used by process {user}", hint=f"end that by `postroj stop {name}`")
        print(f"removed {name}")
    sweeping.sweep()  # the box, if no VM is made of it now
    return 0
