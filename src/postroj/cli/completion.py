"""`postroj completion`: completion scripts for shells, made by shtab."""

import argparse
from collections.abc import Mapping
from typing import Any

_PREAMBLE = {
    "bash": '_postroj_images() { compgen -W "$(postroj list-images --format=plain | cut -f1,2)" -- "$1"; }',
    "zsh": "_postroj_images() { compadd $(postroj list-images --format=plain | cut -f1,2) }",
}
_IMAGES = {"bash": "_postroj_images", "zsh": "_postroj_images"}
_FILES = ("PACKAGE", "SOURCE[:TARGET]", "TARBALL|DIRECTORY", "FILE")
"""What may be one, as the help calls it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "shell", choices=sorted(_PREAMBLE), help="source the output of this in the shell's start-up file"
    )


def handle(args: argparse.Namespace) -> int:
    """Print it."""
    import shtab

    from postroj.cli import COMMANDS, build_parser

    parser = build_parser(list(COMMANDS))
    _complete(parser, {"IMAGE": _IMAGES, **dict.fromkeys(_FILES, shtab.FILE)})
    preamble: Any = _PREAMBLE  # a text for each shell; shtab declares one text
    print(shtab.complete(parser, shell=args.shell, preamble=preamble))
    return 0


def _complete(parser: argparse.ArgumentParser, how: Mapping[str, object]) -> None:
    """Have each argument of a parser, and of its commands, completed as what the help calls it."""
    for action in parser._actions:
        called = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        if called in how:
            action.complete = how[called]  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete(command, how)
