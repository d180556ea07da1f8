"""`postroj run`: a command in a machine, with the streams and the exit status of the command."""

import argparse
import os
import re
import stat
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from postroj import image as images
from postroj.cli import machine_options
from postroj.cli.common import require_root, seconds
from postroj.cli.output import error_of
from postroj.container import Bind, Container, Options
from postroj.container.launch.binds import read as read_bind
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, UsageError

if TYPE_CHECKING:
    from postroj.container.streams import Streams

_HARNESS_FAILED = 125
_TIMED_OUT = 124
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?")
_VOLUME = re.compile(r"[./~][^:]*:/")
"""What a docker user writes after -v."""

_EPILOG = """exit status:
  the command's own, 128 plus the signal's number if a signal ended it, and
  124  --timeout expired
  125  postroj failed: an unknown image, a machine that does not boot
  126  the command cannot be executed
  127  there is no such command

examples:
  echo hi | postroj run debian-bookworm cat
  postroj run -it debian-trixie bash
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.usage_status = _HARNESS_FAILED  # type: ignore[attr-defined]
    parser.set_defaults(error_status=_HARNESS_FAILED)
    parser.add_argument(
        "-i", "--interactive", action="store_true", help="forward standard input even if it is a terminal"
    )
    parser.add_argument("-t", "--tty", action="store_true", help="give the command a terminal; for a shell: -it")
    parser.add_argument(
        "-e",
        "--env",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="set a variable; without =VALUE, pass the caller's, as in -e http_proxy: none is passed by itself; "
        "repeatable",
    )
    parser.add_argument("-w", "--workdir", default="/", metavar="DIR", help="the directory to run it in (/)")
    parser.add_argument(
        "-u", "--user", default="root", metavar="USER", help="the guest's user to run it as, by name or UID (root)"
    )
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
        "--timeout",
        type=seconds,
        metavar="S",
        help="seconds until the command is killed, counted from the start of postroj",
    )
    parser.add_argument(
        "--offline", action="store_true",
        help="do not download the image; for a command without network: --network=none",
    )  # fmt: skip
    parser.add_argument("--rm", action="store_true", help="accepted for docker's sake: machines are always removed")
    machine_options.add(parser, publish=("-p", "--publish"))
    parser.add_argument(
        "image",
        metavar="IMAGE",
        help="a name or alias (`postroj list-images`), or a reference: fedora:43, a path, a URL; pulled if needed",
    )
    parser.add_argument("command_line", nargs=argparse.REMAINDER, metavar="[--] COMMAND…", help="what to run")


def handle(args: argparse.Namespace) -> int:
    """Run it."""
    require_root()
    if args.verbose and _VOLUME.match(args.image):
        raise UsageError(
            f"'{args.image[:200]}' is taken for the image, as -v is --verbose",
            hint=f"to bind a file or directory: --bind={args.image[:200]}, or --bind-ro",
        )
    env = dict(pair for text in args.env if (pair := _variable(text)))
    argv = args.command_line[1:] if args.command_line[:1] == ["--"] else args.command_line
    if not argv:
        raise _no_command(args)
    if any("\ud800" <= character <= "\udfff" for character in "".join([*argv, args.workdir, *args.env])):
        raise UsageError("the command is not valid UTF-8, which D-Bus and systemd require")
    if not args.workdir.startswith("/"):
        raise UsageError(f"--workdir={args.workdir} is not an absolute path")
    if ":" in args.user:
        raise _with_group(args.user)
    if not _USER.fullmatch(args.user):
        raise UsageError(f"'{args.user[:80]}' cannot be a user's name")
    if args.tty and not sys.stdin.isatty():
        raise UsageError("-t needs a terminal, which standard input is not", hint="leave -t out")
    if args.tty:
        env = {"TERM": os.environ.get("TERM", "linux"), **env}
    binds = [
        *(read_bind(text, writable=True) for text in args.bind),
        *(read_bind(text, writable=False) for text in args.bind_ro),
    ]
    options = machine_options.read(args)
    deadline = Deadline(args.timeout)
    try:
        with images.open_image(args.image, offline=args.offline) as image:
            boots = image.boots and not args.no_boot
            if boots:
                images.check_boots(image)
            return (_run_booted if boots else _run_unbooted)(args, image, argv, env, binds, options, deadline)
    except DeadlineError as error:
        args.show.error(error)
        return _TIMED_OUT


def _run_booted(
    args: argparse.Namespace,
    image: images.Image,
    argv: Sequence[str],
    env: Mapping[str, str],
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
        ) as machine,
        ExitStack() as stack,
    ):
        streams = stack.enter_context(machine.terminal(0)) if args.tty else _streams(args, stack)
        status = machine.run(argv, streams, deadline=deadline, env=env, workdir=args.workdir, user=args.user)
        machine.warn_of_memory()
        return status


def _run_unbooted(
    args: argparse.Namespace,
    image: images.Image,
    argv: Sequence[str],
    env: Mapping[str, str],
    binds: Sequence[Bind],
    options: Options,
    deadline: Deadline,
) -> int:
    from postroj.container.streams import Streams
    from postroj.container.unbooted import run_unbooted

    with ExitStack() as stack:
        return run_unbooted(
            image.root,
            argv,
            Streams() if args.tty else _streams(args, stack),
            name=_name(args, image),
            exact_name=args.name is not None,
            binds=binds,
            options=options,
            deadline=deadline,
            env=env,
            workdir=args.workdir,
            user=args.user,
            terminal=0 if args.tty else None,
        )


def _name(args: argparse.Namespace, image: images.Image) -> str:
    return image.machine if args.name is None else args.name


def _streams(args: argparse.Namespace, stack: ExitStack) -> "Streams":
    """Return the command's streams: those of postroj, with a pipe in place of a terminal.

    A guest's root could type into a terminal that it holds (TIOCSTI).
    """
    from postroj.container.guest.capture import fed_from
    from postroj.container.streams import Streams

    stdin: int | None = 0
    if os.isatty(0):
        stdin = stack.enter_context(fed_from(0)) if args.interactive else None
    return Streams(stdin, _sink(1, stack), _sink(2, stack))


def _sink(fd: int, stack: ExitStack) -> int:
    from postroj.container.guest.capture import sink_into

    # What is a file belongs to a user whom the guest does not have, and who could not open it as /dev/stdout.
    if not os.isatty(fd) and not stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    failed: list[OSError] = []

    def write(chunk: bytes) -> None:
        try:
            while chunk:
                chunk = chunk[os.write(fd, chunk) :]
        except OSError as error:
            failed.append(error)
            raise

    def check(kind: object, *_: object) -> None:
        if failed and kind is None:  # the command cannot know
            raise error_of(fd, failed[0])

    stack.push(check)
    return stack.enter_context(sink_into(write))


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


def _with_group(text: str) -> UsageError:
    """Return the error for USER:GROUP."""
    user, _, group = text[:80].partition(":")
    what = f"--user={text[:80]}: a user is given without a group, and has its own groups in the guest"
    if user in ("0", "root") and group in ("0", "root"):
        return UsageError(what, hint=f"write --user={user}, or leave it out: commands are run as root")
    words = f"--reuid={user or 'USER'} --regid={group or 'GROUP'}"
    return UsageError(what, hint=f"with a group: -- setpriv {words} --clear-groups COMMAND…")


def _variable(text: str) -> tuple[str, str] | None:
    """Return the name and the value of a variable; None if it has postroj's own value, and postroj has none."""
    name, equals, value = text.partition("=")
    if not _VARIABLE.fullmatch(name):
        taken = "" if equals else ": --env takes the word that follows it"
        raise UsageError(f"'{text[:80]}' is not a variable{taken}", hint="write --env=NAME=VALUE before the image")
    if not equals:
        if name not in os.environ:
            return None
        value = os.environ[name]
    if "\n" in value or "\0" in value:
        raise UsageError(f"the value of {name} has a line break, which systemd does not take")
    return name, value
