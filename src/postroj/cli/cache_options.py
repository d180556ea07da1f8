"""The options of the package cache."""

import argparse
import os

from postroj.cli.common import typed
from postroj.container.options import read_size
from postroj.errors import UsageError
from postroj.settings import PACKAGE_CACHE_SIZE

_VARIABLE = "POSTROJ_CACHE_SIZE"


def add(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    parser.add_argument(
        "--no-cache", action="store_true",
        help="do not use the package cache: package lists and packages are downloaded in the guest; see docs/cache.md",
    )  # fmt: skip
    parser.add_argument(
        "--cache-size", type=typed(read_size), metavar="SIZE",
        help=f"what the package cache may take on disk, for all images together (2G, or {_VARIABLE})",
    )  # fmt: skip


def read(args: argparse.Namespace) -> int:
    """Return the bytes that the package cache may have; 0: it is not used. Raises UsageError."""
    if args.no_cache:
        if args.cache_size is not None:
            raise UsageError("--no-cache and --cache-size do not go together")
        return 0
    if args.cache_size is not None:
        return int(args.cache_size)
    if text := os.environ.get(_VARIABLE):
        try:
            return read_size(text)
        except UsageError as error:
            raise UsageError(f"{_VARIABLE}: {error.what}") from error
    return PACKAGE_CACHE_SIZE
