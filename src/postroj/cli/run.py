"""`postroj run`: a command in a machine, with the streams and the exit status of the command."""

import argparse
import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from postroj import image as images
from postroj.cli import command_options, machine_options, streams, vm_options
from postroj.container import Bind, Container, Options
from postroj.container.launch.binds import read as read_bind
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, UsageError

if TYPE_CHECKING:
    from postroj.image.vmimage import VmImage

_EXAMPLES = """
examples:
  echo hi | postroj run debian-bookworm cat
  postroj run -it debian-trixie bash
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    command_options.add(parser, since="the start of postroj")
    parser.epilog = command_options.STATUS.format(failed="an unknown image, a machine that does not boot") + _EXAMPLES
    parser.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="SOURCE[:TARGET]",
        help="bind a host file or directory into the machine, writable; repeatable",
    )
    parser.add_argument(
        "--bind-ro", action="append", default=[], metavar="SOURCE[:TARGET]", help="the same, read-only; repeatable"
    )
    parser.add_argument("--name", help="the machine's name (postroj-IMAGE, with a number if that is taken)")
    parser.add_argument(
        "--no-boot", action="store_true", help="run the command without booting: no systemd, no services"
    )
    parser.add_argument(
        "--offline", action="store_true",
        help="do not download the image; for a command without network: --network=none",
    )  # fmt: skip
    parser.add_argument("--rm", action="store_true", help="accepted for docker's sake: machines are always removed")
    machine_options.add(parser, publish=("-p", "--publish"))
    vm_options.add(parser)
    parser.add_argument(
        "image",
        metavar="IMAGE",
        help="a name or alias (`postroj list-images`), or a reference: fedora:43, a path, a URL; pulled if needed",
    )
    command_options.add_words(parser)


def handle(args: argparse.Namespace) -> int:
    """Run it."""
    vm_options.require_root(args)
    if args.verbose:
        from postroj.cli import docker_options

        docker_options.check_volume(args.image)
    command = command_options.read(args)
    if not command.argv:
        raise _no_command(args)
    binds = [
        *(read_bind(text, writable=True) for text in args.bind),
        *(read_bind(text, writable=False) for text in args.bind_ro),
    ]
    options = machine_options.read(args)
    deadline = Deadline(args.timeout)
    try:
        if of_vm := images.find_vm(args.image, vm=args.vm, provider=args.provider):
            vm_options.check(args, bind=args.bind, bind_ro=args.bind_ro, name=args.name, no_boot=args.no_boot)
            return _run_in_vm(args, of_vm, command, deadline)
        vm_options.check_none(args)
        with images.open_image(args.image, offline=args.offline) as image:
            boots = image.boots and not args.no_boot
            if boots:
                images.check_boots(image)
            return (_run_booted if boots else _run_unbooted)(args, image, command, binds, options, deadline)
    except DeadlineError as error:
        args.show.error(error)
        return command_options.TIMED_OUT


def _run_booted(
    args: argparse.Namespace,
    image: images.Image,
    command: command_options.Command,
    binds: Sequence[Bind],
    options: Options,
    deadline: Deadline,
) -> int:
    with (
        Container(
            image.root,
            _name(args, image),
            exact_name=args.name is not None,
            binds=binds,
            options=options,
            deadline=deadline,
            image=image.name,
        ) as machine,
        ExitStack() as stack,
    ):
        given = stack.enter_context(machine.terminal(0)) if args.tty else streams.passed(args.interactive, stack)
        status = machine.run(
            command.argv, given, deadline=deadline, env=command.env, workdir=args.workdir, user=args.user
        )
        machine.warn_of_memory()
        return status


def _run_in_vm(args: argparse.Namespace, image: "VmImage", command: command_options.Command, deadline: Deadline) -> int:
    from postroj.vm import warm

    box = image.made(deadline, offline=args.offline)
    with (
        warm.taken(box, wait=args.vm_wait, offline=args.offline, deadline=deadline) as machine,
        ExitStack() as stack,
    ):
        given = stack.enter_context(machine.terminal(0)) if args.tty else streams.passed(args.interactive, stack)
        return machine.run(
            command.argv, given, deadline=deadline, env=command.env, workdir=args.workdir, user=args.user
        )


def _run_unbooted(
    args: argparse.Namespace,
    image: images.Image,
    command: command_options.Command,
    binds: Sequence[Bind],
    options: Options,
    deadline: Deadline,
) -> int:
    from postroj.container.unbooted import run_unbooted
    from postroj.streams import Streams

    with ExitStack() as stack:
        return run_unbooted(
            image.root,
            command.argv,
            Streams() if args.tty else streams.passed(args.interactive, stack),
            name=_name(args, image),
            exact_name=args.name is not None,
            binds=binds,
            options=options,
            deadline=deadline,
            env=command.env,
            workdir=args.workdir,
            user=args.user,
            terminal=0 if args.tty else None,
        )


def _name(args: argparse.Namespace, image: images.Image) -> str:
    return image.machine if args.name is None else args.name


def _no_command(args: argparse.Namespace) -> UsageError:
    """Return the error for a command line without a command."""
    taken = [text for text in args.env if "=" not in text and text not in os.environ]
    if taken:
        return UsageError(
            f"there is no command to run: --env took '{taken[-1][:80]}' for a variable, and '{args.image[:80]}' is the"
            " image then",
            hint="write --env=NAME=VALUE before the image",
        )
    return UsageError("there is no command to run", hint=f"postroj run {args.image} -- COMMAND…")
