"""`--vm`: a VM in place of a container."""

import argparse

from postroj.container.options import Options
from postroj.errors import UsageError


def add(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--vm", action="store_true",
        help="use a virtual machine of the image's distribution, with a kernel of its own (Debian; see docs/vm.md)",
    )  # fmt: skip


def check(args: argparse.Namespace, **others: object) -> None:
    """Raise UsageError if an option is given that a VM does not have."""
    plain = Options()
    given = [name for name in Options._fields if getattr(args, name, None) not in (None, False, [], 0, "", *_as(plain))]
    given += [name for name, value in others.items() if value]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"--vm does not go with {options}: a VM has a kernel and a network of its own")


def _as(options: Options) -> list[object]:
    return list(options)
