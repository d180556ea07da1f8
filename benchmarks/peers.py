"""One cycle of postroj and of its peers, side by side: `python benchmarks/peers.py [IMAGE] [--rounds N]`, as root.

All boot the same root tree, see that systemd-journald is active inside, and tear down; in random order, interleaved
in one run. What is printed is Markdown: docs/benchmarks.md says what it means.

Needs, over what the tests need, the Debian packages podman and runc, and the Python package index for racker; the rows
of what is not to be had say so. What is made is removed, but for the root tree of the simulated host, which is that of
the tests and kept by them.
"""

import argparse
import compileall
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import postroj
from hosts import HERE, IN_HOST, Failed, Time, bare, simulated
from hosts import podman as podman_host
from postroj.image import Image, open_image
from postroj.settings import images_dir, state_dir
from timing import UNIT

RACKER = "racker==0.4.0"
POSTROJ = os.path.join(os.path.dirname(sys.executable), "postroj")

BARE, SYSTEMD = "bare host", "systemd host"
FLOOR, OURS = "systemd-nspawn, the floor", "postroj"
PLAIN, INSIDE, OUTSIDE = "podman as it comes", "podman tuned, guest waits", "podman tuned, host polls"
BASH, THEIRS = "bash with machinectl", "racker"

_WARM_UP = 2


class Contestant(NamedTuple):
    """What is timed, where, and by which words."""

    where: str
    name: str
    time: Time
    words: Sequence[str]
    missing: str = ""
    """Why it cannot be timed here."""


class Result(NamedTuple):
    """The seconds of each round, or why there are none."""

    seconds: list[float]
    reason: str


def contestants(image: Image, directory: Path, stack: ExitStack) -> tuple[list[Contestant], list[str]]:
    """Make all of them ready to run; with the versions of what is there."""
    compileall.compile_dir(os.path.dirname(postroj.__file__), quiet=1)
    cgroup = directory.name
    in_podman = stack.enter_context(podman_host(directory / "podman", cgroup))
    install(directory / "postroj", str(HERE.parent))
    no_racker = ""
    try:
        install(directory / "racker", RACKER)
    except Failed as error:
        no_racker = str(error)
    (directory / "state").mkdir()
    binds = {directory / name: f"{IN_HOST}/{name}" for name in ("postroj", "racker")}
    binds |= {directory / "state": "/var/lib/postroj", Path(images_dir()): "/var/lib/postroj/images"}
    host, in_host = stack.enter_context(simulated(binds))
    host.run("python3", "-m", "compileall", "-q", *(f"{IN_HOST}/{name}" for name in ("postroj", "racker")))
    root_in_host = f"/var/lib/postroj/images/{os.path.relpath(image.root, images_dir())}"

    probe = ["pkgprobe", f"--image={image.name}", f"--check-unit={UNIT}"]
    quiet = ["pkgprobe", "--quiet", *probe[1:]]
    no_podman = ", ".join(f"no {tool}" for tool in ("podman", "runc") if not shutil.which(tool))
    podman_end = [image.root, UNIT, str(directory / "podman"), cgroup]
    listed = [
        Contestant(BARE, FLOOR, bare, ["floor", image.root]),
        Contestant(BARE, OURS, bare, ["command", POSTROJ, *quiet]),
        *(
            Contestant(BARE, name, in_podman, ["command", str(HERE / "podman.sh"), how, *podman_end], no_podman)
            for name, how in ((PLAIN, "plain"), (INSIDE, "inside"), (OUTSIDE, "outside"))
        ),
        Contestant(SYSTEMD, FLOOR, in_host, ["floor", root_in_host]),
        Contestant(SYSTEMD, OURS, in_host, ["command", *installed("postroj"), *quiet]),
        Contestant(SYSTEMD, BASH, in_host, ["command", f"{IN_HOST}/benchmarks/machinectl.sh", root_in_host, UNIT]),
        Contestant(SYSTEMD, THEIRS, in_host, ["command", *installed("racker"), *probe], no_racker),
    ]
    versions = [
        f"bare host: Linux {platform.release()}, {output('systemd-nspawn', '--version')}, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores",
        f"systemd host: {host.run('systemd-nspawn', '--version').stdout.splitlines()[0]}, "
        f"{host.run('python3', '--version').stdout.strip()}",
        output(POSTROJ, "--version")
        + ("" if no_racker else f", {RACKER.replace('==', ' ')}")
        + ("" if no_podman else f", {output('podman', '--version')}, {output('runc', '--version')}"),
    ]
    return listed, versions


def install(directory: Path, what: str) -> None:
    """Have pip install a Python package and what it needs. Raises Failed."""
    directory.mkdir()
    limits = {name: str(HERE.parent / "constraints.txt") for name in ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT")}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--no-compile",
            f"--target={directory}",
            what,
        ],
        env={**os.environ, **(limits if os.path.isdir(what) else {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Failed(done.stderr.strip().splitlines()[-1])


def installed(package: str) -> list[str]:
    """The command `postroj` of one of the two packages that have one, on the simulated host."""
    directory = f"{IN_HOST}/{package}"
    return ["env", f"PYTHONPATH={directory}", "python3", f"{directory}/bin/postroj"]


def output(*words: str) -> str:
    """The first line that a command prints about itself."""
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout.splitlines()[0] if done.stdout else f"{words[0]}, version unknown"


def measure(listed: Sequence[Contestant], rounds: int) -> dict[tuple[str, str], Result]:
    """Time all; one that fails before it counts is left out, later it is an error."""
    results = {(each.where, each.name): Result([], each.missing) for each in listed}
    for number in range(-_WARM_UP, rounds):
        for each in random.Random(number).sample(listed, len(listed)):
            result = results[each.where, each.name]
            if result.reason:
                continue
            try:
                seconds = each.time(*each.words)
            except Failed as error:
                if number >= 0:
                    error.add_note(f"{each.name}, {each.where}")
                    raise
                results[each.where, each.name] = Result([], str(error))
            else:
                if number >= 0:
                    result.seconds.append(seconds)
    return results


def ratio(results: dict[tuple[str, str], Result], where: str, name: str, other: str) -> str:
    """Of the medians of two contestants on one host."""
    ours, theirs = results[where, name].seconds, results[where, other].seconds
    return f"{statistics.median(ours) / statistics.median(theirs):.2f}" if ours and theirs else "not here"


def table(results: dict[tuple[str, str], Result]) -> list[str]:
    """All results in Markdown."""
    lines = ["| host | cycle of | median | from, to | over the floor |", "|---|---|---|---|---|"]
    for (where, name), (seconds, reason) in results.items():
        if reason:
            plain = "".join(filter(str.isprintable, reason)).replace("|", "/")
            cells = f"not here: {plain[:120]} | | "
        else:
            over = ratio(results, where, name, FLOOR)
            cells = f"{statistics.median(seconds):.3f} s | {min(seconds):.3f}, {max(seconds):.3f} | {over}"
        lines.append(f"| {where} | {name} | {cells} |")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("image", nargs="?", default="debian-bookworm")
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as stack:
        image = stack.enter_context(open_image(args.image))
        # Overlays are made in it: it must lie on a real file system, as the images do.
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="peers-", dir=state_dir())))
        listed, versions = contestants(image, directory, stack)
        load = os.getloadavg()[0]
        results = measure(listed, args.rounds)
    print(f"{args.image} (systemd {image.systemd}), {args.rounds} rounds; the load before was {load:.1f}\n")
    print(*table(results), "", *(f"- {line}" for line in versions), "", sep="\n")
    for where, other in ((SYSTEMD, THEIRS), (BARE, PLAIN), (BARE, INSIDE), (BARE, OUTSIDE)):
        print(f"postroj / {other}, {where}: {ratio(results, where, OURS, other)}")


if __name__ == "__main__":
    main()
