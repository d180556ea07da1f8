"""`postroj stop`: end machines that run in the background, or in another terminal."""

import argparse

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
    names = [*record.owners(), *vms_in_use()] if args.all else list(dict.fromkeys(args.name))
    vms = {name: path for name in names if (path := directory_of_vm(name))}
    for name in args.name:
        if name not in vms:
            machine_names.check(name)
    begun = {name: stopping.begin_vm(name, vms[name]) if name in vms else stopping.begin(name) for name in names}
    left = stopping.finish([ending for ending in begun.values() if ending])
    for name, ending in begun.items():
        if ending and name not in left:
            print(name)
    if left:
        raise HostError(f"still there after a minute: {', '.join(left)}", hint="see `postroj ps` in a while")
    missing = [name for name, ending in begun.items() if not ending]
    if missing and missing[0] in vms:
        raise UsageError(f"the VM {missing[0]} is not in use", hint="see `postroj ps`")
    if missing and not args.all:
        raise not_running(missing[0])
    return 0
