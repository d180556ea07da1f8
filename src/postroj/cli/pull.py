"""`postroj pull`: bring images here."""

import argparse
import os
import sys
import time
from collections.abc import Callable

from postroj import events
from postroj import image as images
from postroj.cli.common import require_root
from postroj.cli.live import live
from postroj.cli.show import Show, from_system, paint
from postroj.container import sweep
from postroj.errors import PostrojError, UsageError
from postroj.image import Image, catalogue, lockfile, source
from postroj.report import printable

Pull = Callable[[], tuple[Image, bool]]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = "exit status: 0 if all images are here, 3 if one could not be pulled"
    parser.add_argument(
        "names", nargs="*", metavar="IMAGE",
        help="a name or alias (`postroj list-images`), NAME@sha256:…, or a reference: fedora:43, a path, a URL",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="pull all images of the catalogue")
    parser.add_argument("--update", action="store_true", help="pull again even if present")
    parser.add_argument("--source", default="", choices=source.KINDS, help="pull only from sources of this kind")
    parser.add_argument(
        "--platform", default="", metavar="PLATFORM", help="platform to pull instead of the host's, such as linux/arm64"
    )
    parser.add_argument("--offline", action="store_true", help="use no network; fail if something is missing")
    parser.add_argument("--lock", action="store_true", help="record the pulled digests in postroj.lock")
    parser.add_argument("--locked", action="store_true", help="pull exactly the digests in postroj.lock")


def handle(args: argparse.Namespace) -> int:
    """Pull them, one after the other, and go on after a failure."""
    if args.locked and (args.all or args.update or args.platform or args.lock or args.source):
        raise UsageError("--locked goes with names and --offline only")
    if args.all == bool(args.names) and not (args.locked and not args.all):
        raise UsageError("name the images to pull, or use --all, and not both", hint="see `postroj list-images`")
    require_root()
    if args.lock and os.path.exists(lockfile.NAME):
        lockfile.read(lockfile.NAME)  # so that a mistake in it is told before anything is pulled
    pulls = _locked(args) if args.locked else _named(args)
    brought, status = pull_all(pulls, args.show)
    if args.lock:
        lockfile.write(lockfile.NAME, brought)
    return status


def _named(args: argparse.Namespace) -> dict[str, Pull]:
    names = [entry.name for entry in catalogue.entries()] if args.all else args.names
    if not args.all:
        for name in names:
            # So that nothing begins with a mistake further on.
            images.resolve(name, platform=args.platform, kind=args.source).check_there()

    def pull(name: str) -> Pull:
        options = {"platform": args.platform, "kind": args.source}
        return lambda: images.pull(name, update=args.update, offline=args.offline, **options)

    return {name: pull(name) for name in names}


def _locked(args: argparse.Namespace) -> dict[str, Pull]:
    there = {one.name: one for one in lockfile.read(lockfile.NAME)}
    names = [name if name in there else images.resolve(name).name for name in args.names]
    for name in names:
        if name not in there:
            raise UsageError(f"{lockfile.NAME} does not have {name}", hint=f"add it: postroj pull --lock {name}")

    def pull(one: lockfile.Locked) -> Pull:
        return lambda: images.pull_locked(*one, offline=args.offline)

    return {name: pull(there[name]) for name in names or there}


def pull_all(pulls: dict[str, Pull], show: Show) -> tuple[list[Image], int]:
    """Pull images, and print a line for each at the end; returns those that are here, and the exit status."""
    sweep()
    summary: list[str] = []
    brought: list[Image] = []
    for name, pull in pulls.items():
        phases = _Phases()
        try:
            with live(show), events.subscribed(phases.event):
                image, pulled = pull()
        except (PostrojError, OSError) as problem:
            error = problem if isinstance(problem, PostrojError) else from_system(problem)
            show.error(error)
            summary.append(f"{paint('failed', 'red', sys.stdout)}  {name}: {printable(error.what)}")
            continue
        brought.append(image)
        summary.append(image_summary(image, phases.summary() if pulled else f"here since {image.pulled[:10]}"))
    failed = len(summary) - len(brought)
    for text in summary if len(summary) > 1 or not failed else []:
        print(text)
    if failed and len(summary) > 1:
        print(f"{failed} of {len(summary)} images could not be pulled")
    return brought, 3 if failed else 0


def image_summary(image: Image, how: str) -> str:
    """Return the line for an image that is here."""
    systemd = f"systemd {image.systemd}" if image.boots else "no systemd"
    return f"{paint('ok', 'green', sys.stdout)}      {image.name}: {image.size / 1e6:.0f} MB, {systemd}, {how}"


class _Phases:
    """How long each phase of a pull has taken."""

    def __init__(self) -> None:
        self._started = self._since = time.monotonic()
        self._phase = ""
        self._seconds: dict[str, float] = {}

    def event(self, event: events.Event) -> None:
        """Note when one begins."""
        if isinstance(event, events.Phase):
            self._end()
            self._phase = event.phase

    def summary(self) -> str:
        """Return the time of the pull, and that of each phase."""
        self._end()
        phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in self._seconds.items())
        return f"pulled in {self._since - self._started:.1f} s" + (f" ({phases})" if phases else "")

    def _end(self) -> None:
        now = time.monotonic()
        if self._phase:
            self._seconds[self._phase] = self._seconds.get(self._phase, 0.0) + now - self._since
        self._since = now
