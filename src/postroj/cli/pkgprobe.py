"""`postroj pkgprobe`: from an image and packages to a verdict."""

import argparse
import sys
import time

from postroj.cli import machine_options
from postroj.cli.common import require_root, seconds, seconds_or_zero
from postroj.cli.show import as_postroj_error, paint
from postroj.errors import UsageError
from postroj.pkgprobe import Request, Result, pkgprobe
from postroj.pkgprobe.request import NETWORK_SECONDS, STAY_SECONDS, TOTAL_SECONDS

_EPILOG = """exit status:
  0  passed
  1  the package failed: it did not install, a unit is not active, an address does not answer
  2  wrong usage, reported before anything boots
  3  no verdict: postroj or the host failed, or this machine cannot tell

example:
  postroj pkgprobe --image=debian-bookworm --package=webfs --check-unit=webfs --check-network=http://localhost:8000
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "--image",
        required=True,
        help="a name or alias (`postroj list-images`), or a reference: fedora:43, a path, a URL; pulled if needed",
    )
    parser.add_argument(
        "--package", action="append", default=[], metavar="PACKAGE",
        help="a file; a directory or a glob, such as ./dist or './dist/*.deb' (the newest version of each package in "
        "it); an http(s) URL (with #sha256=… checked); or a name from the guest's repositories; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--check-unit",
        action="append",
        default=[],
        metavar="UNIT",
        help="a unit that must be active, by default those that the packages ship; repeatable",
    )
    parser.add_argument(
        "--start", choices=("auto", "never"), default="auto",
        help="auto: a unit that the installation leaves stopped is enabled and started, then judged (default); "
        "never: it is judged as the installation leaves it",
    )  # fmt: skip
    parser.add_argument(
        "--expect-enabled", action="store_true",
        help="fail if a boot would not start a unit as the installation leaves it: it is disabled, or nothing wants it",
    )  # fmt: skip
    parser.add_argument(
        "--allow-failed", action="append", default=[], metavar="GLOB",
        help="units that may fail: otherwise each unit that fails since the installation began is reported; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--check-network", action="append", default=[], metavar="ADDRESS",
        help="tcp://host:port, http://… or https://… that must answer inside the guest; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--check", action="append", default=[], metavar="CHECK",
        help="a check with settings: 'http http://localhost:3000/api/health status=200' (without status=, each below "
        "500 passes), 'tcp HOST:PORT', 'unit UNIT'; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--network-timeout",
        type=seconds,
        default=NETWORK_SECONDS,
        metavar="S",
        help=f"seconds until an address must answer ({NETWORK_SECONDS:g})",
    )
    parser.add_argument(
        "--stay-active", type=seconds_or_zero, metavar="S",
        help=f"seconds that a unit must stay active ({STAY_SECONDS:g}; 0 without --package)",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=seconds, default=TOTAL_SECONDS, metavar="S",
        help=f"seconds for everything ({TOTAL_SECONDS:g})",
    )  # fmt: skip
    parser.add_argument(
        "--offline", action="store_true",
        help="download nothing: no image, no package, and in the guest no package lists and no dependencies; it is an "
        "error if something is missing. Services have a network all the same: see --network",
    )  # fmt: skip
    machine_options.add(parser)


def handle(args: argparse.Namespace) -> int:
    """Run it and print the report."""
    if not (args.package or args.check_unit or args.check_network or args.check):
        raise UsageError("there is nothing to check", hint="give --package, --check-unit, --check-network or --check")
    require_root()
    request = Request(
        image=args.image,
        packages=args.package,
        units=args.check_unit,
        networks=args.check_network,
        checks=args.check,
        start=args.start == "auto",
        expect_enabled=args.expect_enabled,
        allow_failed=args.allow_failed,
        stay=args.stay_active,
        network_timeout=args.network_timeout,
        timeout=args.timeout,
        options=machine_options.read(args),
        offline=args.offline,
    )
    started = time.monotonic()
    try:
        result = pkgprobe(request)
    except UsageError:
        raise
    except Exception as error:
        _report(Result(args.image, [], time.monotonic() - started, as_postroj_error(error)), args)
        raise
    _report(result, args)
    if result.error:
        args.show.error(result.error)
    return result.verdict.value


def _report(result: Result, args: argparse.Namespace) -> None:
    from postroj.report.text import lines

    for line in lines(result, lambda text, colour: paint(text, colour, sys.stdout), verbose=args.verbose > 0):
        print(line)
    sys.stdout.flush()
