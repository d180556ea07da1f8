"""`postroj pull`: bring images here."""

import argparse
import sys
import time

from postroj import image as images
from postroj.cli.common import require_root
from postroj.cli.live import live
from postroj.cli.show import Show, from_system, paint
from postroj.container import sweep
from postroj.errors import PostrojError, UsageError
from postroj.image import catalogue
from postroj.report import printable


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="an image's name or version alias")
    parser.add_argument("--all", action="store_true", help="all images of the catalogue")
    parser.add_argument("--update", action="store_true", help="also those that are here already")


def handle(args: argparse.Namespace) -> int:
    """Pull them, one after the other, and go on after a failure."""
    if args.all == bool(args.names):
        raise UsageError("name the images to pull, or use --all", hint="see `postroj list-images`")
    require_root()
    entries = catalogue.entries() if args.all else [catalogue.resolve(name) for name in args.names]
    return pull_all([entry.name for entry in entries], args.show, update=args.update)


def pull_all(names: list[str], show: Show, *, update: bool) -> int:
    """Pull images, print a line for each at the end, and return the exit status."""
    sweep()
    summary: list[str] = []
    failed = 0
    for name in dict.fromkeys(names):
        started = time.monotonic()
        try:
            with live(show):
                image, pulled = images.pull(name, update=update)
        except (PostrojError, OSError) as problem:
            error = problem if isinstance(problem, PostrojError) else from_system(problem)
            failed += 1
            show.error(error)
            summary.append(f"{paint('failed', 'red', sys.stdout)}  {name}: {printable(error.what)}")
            continue
        how = f"pulled in {time.monotonic() - started:.1f} s" if pulled else f"here since {image.pulled[:10]}"
        summary.append(
            f"{paint('ok', 'green', sys.stdout)}      {name}: {image.size / 1e6:.0f} MB, systemd {image.systemd}, {how}"
        )
    for line in summary if len(summary) > 1 or not failed else []:
        print(line)
    if failed and len(summary) > 1:
        print(f"{failed} of {len(summary)} images could not be pulled")
    return 3 if failed else 0
