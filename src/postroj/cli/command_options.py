"""The options of every command that runs a command in a guest."""

import argparse
import os
import re
import sys
from typing import NamedTuple

from postroj.cli.common import seconds
from postroj.errors import UsageError

FAILED = 125
TIMED_OUT = 124
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_USER = r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?"

STATUS = """exit status:
  the command's own, 128 plus the signal's number if a signal ended it, and
  124  --timeout expired
  125  postroj failed: {failed}
  126  the command cannot be executed
  127  there is no such command
"""


class Command(NamedTuple):
    """What is to be run."""

    argv: list[str]
    env: dict[str, str]


def add(parser: argparse.ArgumentParser, *, since: str) -> None:
    """Add them; `since` says from when --timeout counts."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage_status = FAILED  # type: ignore[attr-defined]
    parser.set_defaults(error_status=FAILED)
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
    add_user(parser)
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="S",
        help=f"seconds until the command is killed, counted from {since}",
    )


def add_words(parser: argparse.ArgumentParser) -> None:
    """Add the command itself: the last argument of all."""
    parser.add_argument("command_line", nargs=argparse.REMAINDER, metavar="[--] COMMAND…", help="what to run")


def add_user(parser: argparse.ArgumentParser) -> None:
    """Add the one that says by whom."""
    parser.add_argument(
        "-u", "--user", default="root", metavar="USER", help="the guest's user to run it as, by name or UID (root)"
    )


def words(args: argparse.Namespace) -> list[str]:
    """Return the command as it was given."""
    given: list[str] = args.command_line
    return given[1:] if given[:1] == ["--"] else given


def read(args: argparse.Namespace) -> Command:
    """Return what was given. Raises UsageError."""
    env = dict(pair for text in args.env if (pair := _variable(text)))
    argv = words(args)
    if any("\ud800" <= character <= "\udfff" for character in "".join([*argv, args.workdir, *args.env])):
        raise UsageError("the command is not valid UTF-8, which D-Bus and systemd require")
    if not args.workdir.startswith("/"):
        raise UsageError(f"--workdir={args.workdir} is not an absolute path")
    check_user(args.user)
    if args.tty:
        check_terminal("-t", "leave -t out")
        env = {**terminal_env(), **env}
    return Command(argv, env)


def check_user(user: str) -> None:
    """Raise UsageError for what cannot be a user."""
    if ":" in user:
        raise _with_group(user)
    if not re.fullmatch(_USER, user):
        raise UsageError(f"'{user[:80]}' cannot be a user's name")


def check_terminal(what: str, hint: str) -> None:
    """Raise UsageError unless there is a terminal to be passed on."""
    if not sys.stdin.isatty():
        raise UsageError(f"{what} needs a terminal, which standard input is not", hint=hint)


def terminal_env() -> dict[str, str]:
    """Return the variables that a command with a terminal needs."""
    return {"TERM": os.environ.get("TERM", "linux")}


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
    if not re.fullmatch(_VARIABLE, name):
        taken = "" if equals else ": --env takes the word that follows it"
        raise UsageError(f"'{text[:80]}' is not a variable{taken}", hint="write --env=NAME=VALUE before the image")
    if not equals:
        if name not in os.environ:
            return None
        value = os.environ[name]
    if "\n" in value or "\0" in value:
        raise UsageError(f"the value of {name} has a line break, which systemd does not take")
    return name, value
