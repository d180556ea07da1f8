"""`postroj pkgprobe`: from an image and packages to a verdict."""

import argparse
import signal
from collections.abc import Sequence

from postroj import Request
from postroj import image as images
from postroj.cli import attending, cache_options, machine_options, reports, vm_options
from postroj.cli.common import seconds, seconds_or_zero
from postroj.cli.show import as_postroj_error
from postroj.errors import InterruptedProbeError, PostrojError, Terminated, UsageError
from postroj.harness import Progress, Result, probe
from postroj.harness.request import STAY_SECONDS, TOTAL_SECONDS
from postroj.harness.result import SHORT
from postroj.probe.kinds import KINDS, NETWORK_SECONDS

_EPILOG = """exit status:
  0  passed
  1  the package failed: it did not install, a unit is not active, an address does not answer, a check fails
  2  wrong usage, reported before anything boots
  3  no verdict: postroj or the host failed, or this machine cannot tell
  129, 130, 131, 143  ended by SIGHUP, Ctrl-C, SIGQUIT or SIGTERM; 141: nobody reads its output

example:
  postroj pkgprobe --image=debian-bookworm --package=webfs --check-unit=webfs --check-network=http://localhost:8000
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "--image",
        help="a name or alias (`postroj list-images`), or a reference: fedora:43, a path, a URL; pulled if needed; "
        "by default, for packages that are files or URLs, the newest supported image that installs them",
    )
    parser.add_argument(
        "--package", action="append", default=[], metavar="PACKAGE",
        help="a file; a directory or a glob, such as ./dist or './dist/*.deb' (the newest version of each package in "
        "it); an http(s) URL (with #sha256=… checked); or a name from the guest's repositories; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--with", action="append", default=[], dest="needed", metavar="PACKAGE",
        help="a package that is installed first and is not under test, named as for --package; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--repo", action="append", default=[], metavar="REPOSITORY",
        help="a package repository to add to the image's: 'URL SUITE COMPONENT...' or 'URL ./' for apt, 'URL NAME' for "
        "pacman, URL for dnf, yum and zypper; needs --repo-key; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--repo-key", action="append", default=[], metavar="KEY",
        help="an OpenPGP public key that repositories of --repo are signed by: a file or an https URL; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--repo-unsigned", action="append", default=[], metavar="REPOSITORY",
        help="the same as --repo, but no signature is checked; repeatable",
    )  # fmt: skip
    phases = parser.add_mutually_exclusive_group()
    phases.add_argument(
        "--lifecycle", action="store_true",
        help="take the package through its whole life: install, check, restart, reload, reboot, reinstall, remove, "
        "purge, install again, and with --upgrade-from upgrade and downgrade; see docs/lifecycle.md",
    )  # fmt: skip
    phases.add_argument(
        "--phase", action="append", default=[], metavar="PHASE",
        help="a phase of the package's life, in the order given: install, check, restart, reload, reboot, reinstall, "
        "remove, purge, install-again, purge-again, upgrade, downgrade; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--upgrade-from", action="append", default=[], metavar="PACKAGE",
        help="the earlier release to upgrade from: a file, a URL, or a name with its version from the guest's "
        "repositories; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--baseline", action="append", default=[], metavar="PACKAGE",
        help="an earlier release that is probed in the same way: what fails with it as well is no failure; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--allow", action="append", default=[], metavar="RULE",
        help="a rule of docs/lifecycle.md that the package may break; repeatable",
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
        help="KIND SUBJECT [KEY=VALUE | KEY!=VALUE | KEY~=REGEX | KEY!~=REGEX …], for example "
        f"'http http://localhost:3000/api/health status=200 body~=ok'; kinds: {', '.join(KINDS)}; see docs/checks.md; "
        "repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--network-timeout",
        type=seconds,
        default=NETWORK_SECONDS,
        metavar="S",
        help=f"seconds until an address must answer, and a check of tcp, udp, unix, http or listen must pass "
        f"({NETWORK_SECONDS:g})",
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
    parser.add_argument(
        "--artifacts", metavar="DIR",
        help="keep the report, the journal (whole, and of each phase), units, logs of the package manager, sockets, "
        "processes, core dumps and changed files in DIR, whatever ends the run; see docs/lifecycle.md",
    )  # fmt: skip
    cache_options.add(parser)
    reports.add(parser)
    attending.add(parser)
    machine_options.add(parser)
    vm_options.add(parser)


def handle(args: argparse.Namespace) -> int:
    """Run it and print the report."""
    if args.artifacts == "":
        raise UsageError("--artifacts= names no directory")
    wanted = reports.read(args.report, artifacts=args.artifacts or "")
    vm_options.require_root(args)
    request = _request(args)
    packages = (*args.package, *args.needed, *args.upgrade_from, *args.baseline)
    reports.keep_apart(wanted, (*packages, *args.repo_key, args.image or ""))
    of_vm = images.find_vm(args.image) if args.image is not None else None
    if args.vm or args.provider or of_vm:
        vm_options.check(args)
    else:
        vm_options.check_none(args)
    if of_vm and of_vm.family and (args.keep or args.shell):
        raise UsageError(f"{args.image} does not go with --keep and --shell: only a Linux guest can be kept or entered")
    attending.check(args, request.phases or SHORT)
    attendant = attending.Attending(args, lambda result: _tell(result, args, wanted))
    if not args.keep:
        return _probe(request, args, wanted, attendant)
    from postroj.cli import keeper

    def work(its: keeper.Keeper) -> int:
        attendant.keeper = its
        return _probe(request, args, wanted, attendant)

    return keeper.run(work)


def _request(args: argparse.Namespace) -> Request:
    """Return what is asked for."""
    return Request(
        image=args.image,
        packages=args.package,
        needed=args.needed,
        repositories=args.repo,
        unsigned_repositories=args.repo_unsigned,
        repository_keys=args.repo_key,
        units=args.check_unit,
        networks=args.check_network,
        checks=args.check,
        start=args.start == "auto",
        expect_enabled=args.expect_enabled,
        phases=_phases(args),
        earlier=args.upgrade_from,
        baseline=args.baseline,
        allow=args.allow,
        allow_failed=args.allow_failed,
        stay=args.stay_active,
        network_timeout=args.network_timeout,
        timeout=args.timeout,
        options=machine_options.read(args),
        artifacts=args.artifacts or "",
        cache_size=cache_options.read(args),
        offline=args.offline,
        vm=args.vm,
        provider=args.provider,
        vm_wait=args.vm_wait,
    )


def _probe(
    request: Request, args: argparse.Namespace, wanted: Sequence[reports.Target], attendant: attending.Attending
) -> int:
    progress = Progress(args.image or "")
    try:
        result = probe(request, progress, attendant)
    except UsageError:
        raise
    except (KeyboardInterrupt, Terminated) as end:
        if not attendant.has_reported:  # it is the end of a machine that was kept otherwise
            signum = end.signum if isinstance(end, Terminated) else signal.SIGINT
            asked_for = [target for target in wanted if target.is_asked_for]
            reports.write(asked_for, progress.result(InterruptedProbeError(signum)), args)
            args.show.interrupted(signal.Signals(signum).name)
        raise
    except Exception as error:
        reports.write(wanted, progress.result(as_postroj_error(error)), args)
        raise
    return result.status if attendant.has_reported else _tell(result, args, wanted)


def _tell(result: Result, args: argparse.Namespace, wanted: Sequence[reports.Target]) -> int:
    """Write the reports, and the error that broke the probe off, if one did; return the exit status."""
    is_written = reports.write(wanted, result, args)
    if result.error:
        args.show.error(result.error)
    return result.status if is_written else PostrojError.status


def _phases(args: argparse.Namespace) -> list[str]:
    if not args.lifecycle:
        if args.upgrade_from and not args.phase:
            return ["upgrade"]
        return list(args.phase)
    from postroj.harness.life import LIFE

    return list(LIFE)
