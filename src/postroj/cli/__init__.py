"""The commands, and all that is printed; the only code that exits."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from gc import enable, freeze  # by name, as there is a command gc
from itertools import pairwise
from typing import Any, NoReturn

from postroj import __version__
from postroj.cli import docker_commands, mistakes, output
from postroj.cli.show import Show
from postroj.errors import PostrojError, Terminated
from postroj.interrupts import raise_on_termination
from postroj.privileges import is_linux

COMMANDS = {
    "pkgprobe": "install packages in a fresh machine and check that they work",
    "test": "probe many packages in many images at once, as a plan says",
    "run": "run a command in a machine made from an image",
    "exec": "run a command in a machine that runs already",
    "shell": "open a shell in a machine that runs already",
    "logs": "show the journal of a machine",
    "cp": "copy files between a machine and the host",
    "stop": "end machines",
    "pull": "download images",
    "image": "inspect, remove, verify, import and export images",
    "list-images": "list known and downloaded images",
    "ps": "list the running machines",
    "vm": "list and remove the virtual machines that are kept",
    "gc": "clean up after killed runs",
    "doctor": "check whether this host can run machines, and how to fix what it lacks",
    "completion": "print the completion script of a shell",
}
"""Each is a module of its own, imported when it is asked for."""

_COLUMNS = 80
"""Of what is not a terminal."""
_FORMATTER = argparse.HelpFormatter("", width=_COLUMNS)
# Its words stay English, as all others are: to look for translations takes 3 ms.
vars(argparse)["_"] = str


class _StoreOnce(argparse._StoreAction):
    """Store the value of an option, and refuse a second one: the last would replace the others without a word."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *args: Any) -> None:
        given = namespace.__dict__.setdefault("given", set())
        if self.option_strings and self.dest in given:
            raise argparse.ArgumentError(self, "it is given twice, and takes one value")
        given.add(self.dest)
        super().__call__(parser, namespace, *args)


class Parser(argparse.ArgumentParser):
    """A parser without guesswork on abbreviated options, which would change meaning with each new option."""

    usage_status = 2

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **{**kwargs, "allow_abbrev": False})  # type: ignore[arg-type]
        for name in (None, "store"):
            self.register("action", name, _StoreOnce)
        self._words: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and keep the words for an error."""
        self._words = args or ()
        return super().parse_known_args(args and self._with_values(args), namespace)

    def _with_values(self, words: Sequence[str]) -> Sequence[str]:
        """Return words in which no option whose value may be left out takes one that is of the command's own list.

        A value is one of the choices, or has a space, as a check has: of `--list dist/` dist/ is a package.
        """
        if not self._list_of_words():
            return words
        told = list(words)
        for number, (word, following) in enumerate(pairwise(words)):
            if word == "--":
                break
            option = self._option_string_actions.get(word)
            if not option or option.nargs != "?" or following.startswith("-"):
                continue
            if following not in option.choices if option.choices else " " not in following:
                told[number] = f"{word}={option.const}"
        return told

    def add_argument(self, *args: Any, **kwargs: Any) -> argparse.Action:
        """Add it; argparse checks its metavar by a formatter, and would make one for each option."""
        formatter, self.formatter_class = self.formatter_class, lambda **_: _FORMATTER
        try:
            return super().add_argument(*args, **kwargs)
        finally:
            self.formatter_class = formatter

    @property
    def command(self) -> str:
        """The command as it is typed, without the program's name."""
        return self.prog.partition(" ")[2]

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Name the nearest command: argparse would list them all."""
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            self.error(mistakes.unknown_command(str(value), action.choices))
        super()._check_value(action, value)

    def _get_formatter(self) -> argparse.HelpFormatter:
        """Return what writes the help; argparse would import shutil for the terminal's width."""
        return self.formatter_class(prog=self.prog, width=_columns() - 2)  # type: ignore[call-arg]

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print the help, or an error; argparse would not tell that the help could not be written."""
        if file is sys.stdout:
            file.write(message)
            file.flush()
        else:
            with suppress(OSError):  # nobody may be there to read it, and the status says it as well
                super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        """Print one sentence and where to read on, and exit."""
        if message.startswith("the following arguments are required"):  # an unknown option may be why
            unknown = [word for word in self._words if self._is_unknown(word)]
            message = self.unknown(unknown) if unknown else message
        self.exit(self.usage_status, f"postroj: {message}\n  see `{self.prog} --help`\n")

    def takes_more(self, args: argparse.Namespace, words: Sequence[str]) -> bool:
        """Take words that stand behind options into the command's list of words, of which argparse has the first ones.

        Return False if there is no such list, or if options are among them.
        """
        name = self._list_of_words()
        if not name or any(word.startswith("-") for word in words):
            return False
        setattr(args, name, [*getattr(args, name), *words])
        return True

    def _list_of_words(self) -> str:
        """Return where the command's list of words is kept; empty if it has none."""
        lists = (one.dest for one in self._actions if not one.option_strings and one.nargs in ("*", "+"))
        return next(lists, "")

    def unknown(self, words: Sequence[str]) -> str:
        """Return one sentence about arguments that are not known."""
        return mistakes.unknown_arguments(self.command, words, self._option_string_actions)

    def _is_unknown(self, word: str) -> bool:
        known = self._option_string_actions
        return (
            word.startswith("-") and word.strip("-") != "" and word.split("=")[0] not in known and word[:2] not in known
        )


def _columns() -> int:
    """Return how wide the terminal is, as shutil.get_terminal_size does."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    with suppress(OSError):
        return os.get_terminal_size(1).columns or _COLUMNS
    return _COLUMNS


def build_parser(names: Sequence[str], *, alone: bool = False) -> argparse.ArgumentParser:
    """Return the parser, with the options of those commands that are among `names`.

    With `alone` it knows no other commands: each takes some tenths of a millisecond.
    """
    parser = Parser(
        prog="postroj",
        description="Boot real systemd machines, install packages in them, check that they work.",
        epilog="`postroj COMMAND --help` shows the options of a command, `postroj doctor` whether this host is fit. "
        "docker's words work as well: images, rmi, inspect, run --rm IMAGE:TAG.",
    )
    parser.set_defaults(parser=parser)
    parser.add_argument("--version", action="version", version=f"postroj {__version__}")
    add_verbosity(parser)
    # With `prog` given, argparse needs no formatter for it, nor shutil.
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", prog="postroj")
    for name, summary in COMMANDS.items():
        if alone and name not in names:
            continue
        command = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name in names:
            module = importlib.import_module(f"postroj.cli.{name.replace('-', '_')}")
            module.configure(command)
            command.set_defaults(handler=module.handle, parser=command)
            add_verbosity(command)
            command.set_defaults(verbose=0, quiet=False)
    return parser


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """Add the options that all commands have."""
    unset = argparse.SUPPRESS  # an inner parser must not set back what was given to the one around it
    verbose = "show the output of programs; -vv: show everything that is done"
    parser.add_argument("-v", "--verbose", action="count", default=unset, help=verbose)
    parser.add_argument("-q", "--quiet", action="store_true", default=unset, help="show errors and results only")


def main() -> NoReturn:
    """Run the program `postroj`, and exit."""
    program(lambda: execute(sys.argv[1:]))


def program(work: Callable[[], int]) -> NoReturn:
    """Do the work of a program, and exit with the status that it returns; whatever goes wrong is printed."""
    os.umask(0o022)  # images and machines are made for others than root as well
    _open_standard_streams()
    try:
        status = _told(Show(), work)
    except SystemExit as end:  # argparse's
        status = end.code if isinstance(end.code, int) else 2
    leave(status)


def _open_standard_streams() -> None:
    """Have something open as 0, 1 and 2: otherwise the next file that is opened would be taken for one of them."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdout = output.opened()
    sys.stderr = output.opened_errors()
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115


def leave(status: int) -> NoReturn:
    """Exit without taking the interpreter apart: all is torn down already, and that would cost 10 ms of each cycle."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


def execute(words: Sequence[str]) -> int:
    """Run a command as the shell would and return its exit status; whatever goes wrong is printed."""
    show = Show()
    return _told(show, lambda: _execute(words, show))


def _execute(words: Sequence[str], show: Show) -> int:
    raise_on_termination()
    words = docker_commands.translate(words)
    command = next((word for word in words if not word.startswith("-")), "")
    # One that stands first needs no list of the others, as help and errors do.
    alone = command in COMMANDS and words[0] == command
    args, unknown = build_parser([command], alone=alone).parse_known_args(words)
    # An error is said by the command's parser, with its status, and not by the one above it.
    if unknown and not args.parser.takes_more(args, unknown):
        args.parser.error(args.parser.unknown(unknown))
    if args.command is None:
        args.parser.print_help(sys.stderr)
        return 2
    show.configure(args)
    freeze()
    enable()
    with show.listening():
        status: int = args.handler(args) if _is_for_this_host(args) else _passed_on(args, words)
    sys.stdout.flush()  # here, where a broken pipe is understood
    return status


def _is_for_this_host(args: argparse.Namespace) -> bool:
    """Return whether a command is run here, and not in a Linux VM."""
    if is_linux() and not os.environ.get("POSTROJ_HOST"):
        return True
    from postroj.cli import vm_host

    return not vm_host.is_for(args)


def _passed_on(args: argparse.Namespace, words: Sequence[str]) -> int:
    from postroj.cli import vm_host

    return vm_host.pass_on(args, words)


def _told(show: Show, work: Callable[[], int]) -> int:
    """Do it, and return the exit status; errors are shown."""
    try:
        return work()
    except PostrojError as error:
        show.error(error)
        return show.status_of(error)
    except KeyboardInterrupt:
        return 130
    except Terminated as ended:
        return 128 + ended.signum
    except BrokenPipeError:
        # Whoever read our output has gone; there is nobody to tell.
        output.abandon()
        return 141
    except Exception as error:
        show.unexpected_error(error)
        return show.status_of(error)
