"""`postroj completion`: completion scripts for shells, made by shtab."""

import argparse
from typing import Any

_PREAMBLE = {
    "bash": '_postroj_images() { compgen -W "$(postroj list-images --format=plain | cut -f1,2)" -- "$1"; }',
    "zsh": "_postroj_images() { compadd $(postroj list-images --format=plain | cut -f1,2) }",
}
_IMAGES = {"bash": "_postroj_images", "zsh": "_postroj_images"}


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
    for action in parser._subparsers._group_actions[0].choices.values():  # type: ignore[union-attr]
        for option in action._actions:
            if option.dest in ("image", "names"):
                option.complete = _IMAGES
    preamble: Any = _PREAMBLE  # a text for each shell; shtab declares one text
    print(shtab.complete(parser, shell=args.shell, preamble=preamble))
    return 0
