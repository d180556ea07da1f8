"""`postroj shell`: a login shell in a machine that runs already."""

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from postroj.cli import command_options
from postroj.cli.common import require_root
from postroj.cli.entering import attached

if TYPE_CHECKING:
    from postroj.cli.entering import AnyAttached
    from postroj.harness.attendant import AnyMachine

# systemd sets SHELL and HOME of a user: systemd.exec(5), User=. A user's shell may be one that is not installed.
_LOGIN = """
cd 2>/dev/null || cd /
[ -x "${SHELL:-}" ] || SHELL=/bin/sh
exec "$SHELL" -l
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = "exit status: the shell's own; 125 if postroj failed. Without a terminal: `postroj exec NAME sh`."
    parser.usage_status = command_options.FAILED  # type: ignore[attr-defined]
    parser.set_defaults(error_status=command_options.FAILED)
    command_options.add_user(parser)
    parser.add_argument("name", metavar="MACHINE", help="the machine's name, as `postroj ps` lists it")


def handle(args: argparse.Namespace) -> int:
    """Run it."""
    require_root()
    command_options.check_user(args.user)
    command_options.check_terminal("a shell", f"for a script: postroj exec {args.name} sh")
    with attached(args.name) as machine:
        return login(machine, 0, screen=1, env=machine.proxies, user=args.user)


def login(
    machine: "AnyMachine | AnyAttached", terminal: int, *, screen: int, env: Mapping[str, str], user: str = "root"
) -> int:
    """Run a user's login shell on a terminal of the caller's, and return its exit status."""
    with machine.terminal(terminal, screen) as streams:
        env = {**command_options.terminal_env(), **env}
        return machine.run(["/bin/sh", "-c", _LOGIN], streams, env=env, user=user)
