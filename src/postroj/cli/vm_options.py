"""`--vm`: a VM in place of a container."""

import argparse

from postroj import image as images
from postroj import privileges
from postroj.cli import common, machine_options
from postroj.container.options import Options, option_of
from postroj.errors import UsageError


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--vm", action="store_true",
        help="use a virtual machine of the image's distribution, with a kernel of its own (see docs/vm.md)",
    )  # fmt: skip
    parser.add_argument(
        "--provider", default="", metavar="PROVIDER",
        help="what runs the virtual machine, by default the first of these that this host has: libvirt, virtualbox, "
        "vmware_desktop, hyperv, parallels, qemu",
    )  # fmt: skip
    parser.add_argument(
        "--vm-wait", action="store_true",
        help="with --vm: if another run uses the VM, wait for its end in place of making a second VM",
    )  # fmt: skip


def require_root(args: argparse.Namespace) -> None:
    """Raise UsageError unless we are root on Linux, or the machine is a VM of a host that does not run Linux.

    There Vagrant runs as the user. Raises what images.find_vm does.
    """
    is_of_vm = (
        args.image is not None
        and not privileges.is_linux()
        and images.find_vm(args.image, vm=args.vm, provider=args.provider)
    )
    if not is_of_vm:
        common.require_root()


def check(args: argparse.Namespace, **others: object) -> None:
    """Raise UsageError if an option is given that a VM does not have."""
    asked, plain = machine_options.read(args), Options()
    given = [name for name in Options._fields if getattr(asked, name) != getattr(plain, name)]
    given += [name for name, value in others.items() if value]
    if given:
        options = ", ".join(f"--{option_of(name)}" for name in given)
        what = "--vm" if args.vm else "--provider" if args.provider else f"{args.image}, a virtual machine,"
        raise UsageError(f"{what} does not go with {options}: a VM has a kernel and a network of its own")


def check_none(args: argparse.Namespace) -> None:
    """Raise UsageError if an option is given that a container does not have."""
    if args.vm_wait:
        raise UsageError("--vm-wait is about virtual machines", hint="give --vm as well")
