"""`postroj exec`: a command in a machine that runs already, with the streams and the exit status of the command."""

import argparse
from contextlib import ExitStack

# Here, and not on use: it is used in any case, and until the command line is read no garbage is looked for.
from postroj import capture  # noqa: F401
from postroj.cli import command_options, streams
from postroj.cli.common import require_root
from postroj.cli.entering import attached
from postroj.container.guest import bus, transient  # noqa: F401
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, UsageError

_EXAMPLES = """
examples:
  postroj exec NAME systemctl status nginx
  postroj exec -it NAME bash
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    command_options.add(parser, since="its start")
    parser.epilog = command_options.STATUS.format(failed="no such machine, or it is gone") + _EXAMPLES
    parser.add_argument("name", metavar="MACHINE", help="the machine's name, as `postroj ps` lists it")
    command_options.add_words(parser)


def handle(args: argparse.Namespace) -> int:
    """Run it."""
    require_root()
    command = command_options.read(args)
    if not command.argv:
        raise UsageError("there is no command to run", hint=f"postroj exec {args.name} COMMAND…; or postroj shell NAME")
    deadline = Deadline(args.timeout)
    with attached(args.name) as machine, ExitStack() as stack:
        given = stack.enter_context(machine.terminal(0)) if args.tty else streams.passed(args.interactive, stack)
        env = {**machine.proxies, **command.env}
        try:
            return machine.run(command.argv, given, deadline=deadline, env=env, workdir=args.workdir, user=args.user)
        except DeadlineError as error:
            stack.close()  # the terminal, first
            args.show.error(error)
            return command_options.TIMED_OUT
