"""`postroj stop`: end machines that run in the background, or in another terminal."""

import argparse
from collections.abc import Sequence

from postroj.cli.common import require_root
from postroj.cli.entering import directory_of_vm, vms_in_use
from postroj.container import stopping
from postroj.container.attached import not_running
from postroj.container.host import names as machine_names
from postroj.container.host import record
from postroj.errors import HostError, UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = (
        "A machine is removed when it ends, with all that it has written. The postroj that runs it, or keeps it, ends "
        "with it; a program that uses postroj as a library loses the machine alone. The guest is not shut down: for "
        "that, `postroj exec NAME systemctl poweroff`. Of a VM the run that uses it ends; the VM is kept, and off."
    )
    parser.add_argument("--all", action="store_true", help="all machines of this host")
    parser.add_argument("name", nargs="*", metavar="MACHINE", help="the machine's name, as `postroj ps` lists it")


def handle(args: argparse.Namespace) -> int:
    """End them, and print their names."""
    require_root()
    if args.all == bool(args.name):
        raise UsageError("say what to stop", hint="postroj stop NAME…, or postroj stop --all")
    containers, vms = (list(record.owners()), vms_in_use()) if args.all else _named(args.name)
    of_vms = [path for name in vms_in_use() if (path := directory_of_vm(name))]
    begun = [(name, stopping.begin(name, of_vms)) for name in containers]
    begun += [(name, _begin_vm(name, of_vms)) for name in vms]
    endings = [ending for _, ending in begun if ending]
    left = stopping.finish(endings)
    for ending in endings:
        if ending.name not in left:
            print(ending.name)
    if left:
        raise HostError(f"still there after a minute: {', '.join(left)}", hint="see `postroj ps` in a while")
    missing = {name for name, _ in begun} - {ending.name for ending in endings}
    if args.all or not missing:
        return 0
    first = next(name for name in args.name if name in missing)
    if first in vms:
        raise UsageError(f"the VM {first} is not in use", hint="see `postroj ps`")
    raise not_running(first)


def _named(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return which names are those of containers, and which of VMs: one can be that of both. Raises UsageError."""
    names = list(dict.fromkeys(names))
    vms = [name for name in names if directory_of_vm(name)]
    containers = [name for name in names if name not in vms or name in record.names()]
    for name in containers:
        machine_names.check(name)
    return containers, vms


def _begin_vm(name: str, vms: Sequence[str]) -> stopping.Ending | None:
    from postroj.vm import sweeping  # most hosts have no VM

    return stopping.begin_vm(name, directory_of_vm(name), lambda: sweeping.power_off(name), vms)
